"""The least probability whose logarithm a loss takes.

Caffe: BVLC/caffe, include/caffe/layers/loss_layer.hpp
"""

from __future__ import annotations

from ..number import float32

LOG_THRESHOLD = float32(1e-20)

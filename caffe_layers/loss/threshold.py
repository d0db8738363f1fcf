"""The least probability whose logarithm a loss takes.

Caffe: BVLC/caffe, include/caffe/layers/loss_layer.hpp
"""

from __future__ import annotations

from math import log

from caffe_layers.base.number import float32

LOG_THRESHOLD = float32(1e-20)
LOG_FLT_MIN = log(2.0**-126)
"""SoftmaxWithLoss's: there a smaller probability counts as the least normal float."""

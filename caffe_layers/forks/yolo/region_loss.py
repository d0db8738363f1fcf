"""RegionLoss, of the second YOLO."""

from __future__ import annotations

from .grid_loss import GridLoss


class RegionLoss(GridLoss, type="RegionLoss", fork="yolo", bottoms=2):
    """The second YOLO's loss, a scalar: shapes alone.

    Caffe: eric612/MobileNet-YOLO, src/caffe/layers/region_loss_layer.cpp
    """

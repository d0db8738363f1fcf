"""Yolov3, the third YOLO's loss."""

from __future__ import annotations

from .grid_loss import GridLoss


class Yolov3(GridLoss, type="Yolov3", fork="yolo", bottoms=2):
    """The third YOLO's loss, a scalar: shapes alone.

    Caffe: eric612/MobileNet-YOLO, src/caffe/layers/yolov3_layer.cpp
    """

"""SyncBN, from yjxiong's Caffe."""

from __future__ import annotations

from caffe_layers.normalization.running_norm import RunningNorm


class SyncBN(RunningNorm, type="SyncBN", fork="tsn"):
    """BN whose batch, in training, is that of all processes together; here there is one process.

    Blobs and test behaviour are BN's: see `RunningNorm`.

    Errors: ShapeError for bottoms of fewer than 2 or more than 4 axes.
    Caffe: yjxiong/caffe, src/caffe/layers/sync_bn_layer.cpp
    """

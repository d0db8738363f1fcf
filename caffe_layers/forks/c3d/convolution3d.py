"""Convolution3D, of C3D."""

from __future__ import annotations

from caffe_layers.base.op import Py
from caffe_layers.vision.cross_correlation import CrossCorrelation

from .volume_filters import VolumeFilters


class Convolution3D(
    VolumeFilters, CrossCorrelation, type="Convolution3D", fork="c3d", param="convolution_param"
):
    """A convolution of N x C x L x H x W, along the length with fields of its own.

    The window is `kernel_depth` long, `kernel_size` high and wide, moved by `temporal_stride` and
    `stride` within the padding `temporal_pad` and `pad`.

    Every filter sees all channels: `filter_group` only says in how many parts the product is
    computed, and `group` nothing. Blobs: weight O x C x kernel_depth x kernel_size x kernel_size,
    bias 1 x 1 x 1 x 1 x O.

    Errors: ShapeError for a bottom without 5 axes, for a kernel that is not given in full, for an
    empty top.
    Caffe: facebookarchive/C3D at 71336a2, C3D-v1.0/src/caffe/layers/convolution3d_layer.cpp
    """

    def python(self, py: Py, *bottoms: str) -> str:
        return f"{self.torch_module(py, 'Conv')}({bottoms[0]})"


class NamedConvolution3D(
    Convolution3D, type="Convolution3D", fork="c3d_11", param="convolution3d_param"
):
    """C3D 1.1's, whose numbers stand in a message of their own.

    Caffe: facebookarchive/C3D at 71336a2, C3D-v1.1/src/caffe/layers/convolution3d_layer.cpp
    """

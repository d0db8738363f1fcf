"""Deconvolution3D, of C3D."""

from __future__ import annotations

from caffe_layers.base.op import Py
from caffe_layers.vision.transposed import Transposed

from .volume_filters import VolumeFilters


class Deconvolution3D(
    VolumeFilters, Transposed, type="Deconvolution3D", fork="c3d", param="convolution_param"
):
    """Convolution3D's transpose: each value of N x C x L x H x W adds a weighted kernel to the top.

    Its fields are Convolution3D's. The top's length is `(L - 1) temporal_stride - 2 temporal_pad +
    kernel_depth`, alike its height and width. Blobs: weight C x O x kernel_depth x kernel_size x
    kernel_size, bias 1 x 1 x 1 x 1 x O.

    Errors: those of Convolution3D.
    Caffe: facebookarchive/C3D at 71336a2, C3D-v1.0/src/caffe/layers/deconvolution3d_layer.cpp
    """

    def python(self, py: Py, *bottoms: str) -> str:
        return f"{self.torch_module(py, 'ConvTranspose')}({bottoms[0]})"


class NamedDeconvolution3D(
    Deconvolution3D, type="Deconvolution3D", fork="c3d_11", param="convolution3d_param"
):
    """C3D 1.1's, whose numbers stand in a message of their own.

    Caffe: facebookarchive/C3D at 71336a2, C3D-v1.1/src/caffe/layers/deconvolution3d_layer.cpp
    """

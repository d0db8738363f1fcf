"""DeconvolutionRistretto, of Ristretto."""

from __future__ import annotations

from caffe_layers.vision.transposed import Transposed

from .quantized import QuantizedConvolution


class DeconvolutionRistretto(
    QuantizedConvolution,
    Transposed,
    type="DeconvolutionRistretto",
    fork="ristretto",
    bottoms=(1, None),
    tops=(1, None),
):
    """Deconvolution in numbers of few bits, rounded as ConvolutionRistretto's are.

    Errors: those of Deconvolution and of Quantization.
    Caffe: pmgysel/caffe at 614963c, src/caffe/ristretto/layers/deconv_ristretto_layer.cpp
    """

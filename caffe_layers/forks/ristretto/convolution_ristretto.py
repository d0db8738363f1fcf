"""ConvolutionRistretto, of Ristretto."""

from __future__ import annotations

from caffe_layers.vision.cross_correlation import CrossCorrelation

from .quantized import QuantizedConvolution


class ConvolutionRistretto(
    QuantizedConvolution,
    CrossCorrelation,
    type="ConvolutionRistretto",
    fork="ristretto",
    bottoms=(1, None),
    tops=(1, None),
):
    """Convolution in numbers of few bits: bottoms, weight, bias and tops are rounded.

    `quantization_param` says how: see `Quantization`. Shapes and blobs are Convolution's, and the
    blobs are kept as they are. In Caffe other readers of a bottom see it rounded too; here they see
    it as it was.

    Errors: those of Convolution and of Quantization.
    Caffe: pmgysel/caffe at 614963c, src/caffe/ristretto/layers/conv_ristretto_layer.cpp
    """

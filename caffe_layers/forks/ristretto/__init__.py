"""Ristretto's layers (pmgysel/caffe): weights and activations in numbers of few bits."""

from .convolution_ristretto import ConvolutionRistretto
from .deconvolution_ristretto import DeconvolutionRistretto
from .fc_ristretto import FcRistretto

__all__ = ["ConvolutionRistretto", "DeconvolutionRistretto", "FcRistretto"]

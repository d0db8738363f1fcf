"""Ristretto's layers (pmgysel/caffe): weights and activations in numbers of few bits."""

from .convolution_ristretto import ConvolutionRistretto
from .deconvolution_ristretto import DeconvolutionRistretto
from .fc_ristretto import FcRistretto
from .lrn_ristretto import LRNRistretto

__all__ = ["ConvolutionRistretto", "DeconvolutionRistretto", "FcRistretto", "LRNRistretto"]

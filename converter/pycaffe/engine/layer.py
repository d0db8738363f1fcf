"""caffe.Layer: what a network's layers are, and the base of layers written in Python.

Caffe: python/caffe/_caffe.cpp, include/caffe/layers/python_layer.hpp
"""

from __future__ import annotations

from typing import Any, Literal

from .blob import BlobVec
from .vectors import RawBlobVec

PHASES: tuple[Literal["TRAIN"], Literal["TEST"]] = ("TRAIN", "TEST")


class Phase(int):
    """A phase as BVLC's number, whose text is its name as in the forks of R-CNN."""

    def __str__(self) -> str:
        return PHASES[self]

    __format__ = object.__format__


class Layer:
    """A layer: its `type` and its `blobs`.

    A layer written in Python fills `setup`, `reshape`, `forward` and `backward`; `param_str`
    (`param_str_` in the forks of R-CNN) and `phase` are set before any of them is called.
    """

    blobs: BlobVec
    type: str = "Python"
    param_str: str = ""
    param_str_: str = ""
    phase: Phase = Phase(0)

    def __new__(cls, *args: object, **others: object) -> Layer:
        made = super().__new__(cls)
        made.blobs = BlobVec()
        return made

    def __init__(self, param: Any = None) -> None:
        """Take the LayerParameter, which is of no use here."""

    def setup(self, bottom: RawBlobVec, top: RawBlobVec) -> None:
        """Read the parameters, once, before the first reshape."""

    def reshape(self, bottom: RawBlobVec, top: RawBlobVec) -> None:
        """Give the tops their shapes."""

    def forward(self, bottom: RawBlobVec, top: RawBlobVec) -> None:
        """Set the tops' values."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, top: RawBlobVec, propagate_down: Any, bottom: RawBlobVec) -> None:
        """Set the bottoms' gradients, and add to those of the layer's own blobs."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

"""One layer of a running network: its blobs, and what of it takes part in the backward pass."""

from __future__ import annotations

from typing import Any

from .blob import Blob, shapes_of
from .layer import Layer
from .memory import Shape


class Node:
    """A layer between its bottoms and tops; subclasses compute.

    `losses` are its tops' weights; `needs_backward`, `bottom_needs` and `blob_needs` say whether
    it is run backward, and which of its bottoms and own blobs then get a gradient.
    """

    def __init__(self, layer: Layer, step: Any, bottoms: list[Blob], tops: list[Blob]) -> None:
        self.layer = layer
        self.step = step
        self.bottoms, self.tops = bottoms, tops
        self.losses: tuple[float, ...] = ()
        self.needs_backward = False
        self.bottom_needs: list[bool] = []
        self.blob_needs: list[bool] = []
        self.seen: list[Shape] = []

    @property
    def place(self) -> str:
        """How error messages call the layer."""
        return str(self.step.place)

    @property
    def blobs(self) -> Any:
        """The layer's own blobs."""
        return self.layer.blobs

    def multiplier(self, index: int) -> float:
        """Return the learning rate's factor of an own blob, as the definition says it."""
        rows = self.step.layer.param
        return float(rows[index].lr_mult) if index < len(rows) else 1.0

    def weigh_losses(self, losses: tuple[float, ...]) -> None:
        """Let the tops that are losses hold their weights as gradients."""
        self.losses = losses if any(losses) else ()
        for top, weight in zip(self.tops, losses, strict=False):
            if weight:
                top.diff_tensor().fill_(weight)

    def loss(self) -> float:
        """Return the weighted sum of the tops that are losses."""
        total = 0.0
        for top, weight in zip(self.tops, self.losses, strict=False):
            if weight:
                total += float((top.tensor() * top.diff_tensor()).sum())
        return total

    def reshape(self) -> None:
        """Give the tops the shapes that follow from the bottoms'."""
        raise NotImplementedError

    def forward(self) -> None:
        """Compute the tops."""
        raise NotImplementedError

    def backward(self) -> None:
        """Compute the gradients of the bottoms and of the own blobs from those of the tops."""
        raise NotImplementedError


class SharingNode(Node):
    """A layer whose tops lie in its bottom's memory: Split, and those that only reshape.

    Caffe: src/caffe/layers/split_layer.cpp, flatten_layer.cpp, reshape_layer.cpp
    """

    def __init__(
        self, layer: Layer, step: Any, bottoms: list[Blob], tops: list[Blob], module: Any
    ) -> None:
        super().__init__(layer, step, bottoms, tops)
        self.module = module
        self.is_split: bool = step.cls.is_copy

    def reshape(self) -> None:
        (bottom,) = self.bottoms
        shapes = self.module.checked_shapes(bottom._shape)
        for top, shape in zip(self.tops, shapes, strict=True):
            top.set_shape(shape)
            top.share(bottom, diff=not self.is_split)
        self.seen = shapes_of(self.bottoms)

    def forward(self) -> None:
        bottom = self.bottoms[0]
        if [bottom._shape] != self.seen:
            self.reshape()
            return
        for top in self.tops:
            if top._values is not bottom._values:
                self.reshape()

    def backward(self) -> None:
        if self.is_split and self.bottom_needs[0]:
            first, *others = self.tops
            total = first.diff_tensor().clone()
            for top in others:
                total.add_(top.diff_tensor())
            self.bottoms[0].take_diff(total, ())

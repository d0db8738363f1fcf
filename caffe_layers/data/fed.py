"""Layers whose tops come from outside by name."""

from __future__ import annotations

from typing import ClassVar

from caffe_layers.base.layer import Layer
from caffe_layers.base.shape import Shape

from .data_transformer import DataTransformer

NONE = DataTransformer()


class Fed(Layer):
    """Base of layers that hold the shapes of their tops, None where the definition leaves it open.

    `transform` says what the layer does in Caffe to the images that it reads.
    """

    is_source = True
    makes_tops = False
    examples: tuple[Shape, ...] = ()
    """What to advise where the shapes are open, if the layer knows its like."""
    assumed: ClassVar[bool] = False
    """The shapes are no more than what the layer's code begins with: the data's may be others."""

    def __init__(self, *tops: Shape | None, transform: DataTransformer = NONE) -> None:
        super().__init__()
        self.top_shapes = tops
        self.transform = transform

    def shapes(self) -> list[Shape | None]:  # type: ignore[override]  # None: not in the file
        return list(self.top_shapes)

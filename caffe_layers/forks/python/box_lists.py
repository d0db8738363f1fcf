"""Lists of boxes that a grid makes, of DetectNet."""

from __future__ import annotations

from typing import Any, ClassVar

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.shape import Shape
from prototxt.errors import FormatError

BOXES = 50
"""Rows of a list where nothing says otherwise."""


class BoxLists(Layer, bottoms=2, tops=(1, None)):
    """Base: for a grid's coverage N x C x H x W and boxes N x 4 x H x W, C lists N x K x 5.

    `param_str` has numbers with commas between; the last two, which may be left out, are C (1) and
    K (50).

    Errors: FormatError for other numbers; ShapeError for other classes than tops or maps.
    """

    numbers: ClassVar[int]
    """How many stand before the classes."""

    def __init__(self, tops: int, *, classes: int = 1, boxes: int = BOXES) -> None:
        super().__init__()
        require(tops == classes, f"{tops} tops for {classes} classes, wants one for each")
        self.classes, self.boxes = classes, boxes

    @classmethod
    def read(cls, layer: Any) -> dict[str, Any]:
        more = map(int, cls.given(layer)[cls.numbers :])
        return {"tops": len(layer.top), **dict(zip(("classes", "boxes"), more, strict=False))}

    @classmethod
    def given(cls, layer: Any) -> list[float]:
        """Return the numbers of `param_str`."""
        text = layer.python_param.param_str
        try:
            given = [float(number) for number in text.split(",")]
        except ValueError:
            raise FormatError(f"param_str {text!r} is no numbers with commas between") from None
        if len(given) < cls.numbers:
            raise FormatError(f"param_str {text!r} has {len(given)} numbers, wants {cls.numbers}")
        return given

    def shapes(self, coverage: Shape, boxes: Shape) -> list[Shape]:
        require(
            len(coverage) == 4 and coverage[1] == self.classes,
            f"the coverage is {coverage}, wants N x {self.classes} x H x W",
        )
        return [(coverage[0], self.boxes, 5)] * self.classes

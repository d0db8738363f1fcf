"""The shapes of a network's values, by its layers' shape rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from caffe_layers import Shape
from prototxt.errors import within

from .layers import Layers
from .steps import Step


def shapes_of(
    steps: Iterable[Step], layers: Layers, inputs: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Return the shape of every value that steps compute from inputs of these shapes.

    Raises ShapeError, naming the layer, where Caffe would refuse them.
    """
    shapes = dict(inputs)
    for step in steps:
        with within(step.place):
            bottoms = [shapes[name] for name in step.bottoms]
            tops = layers[step.key].checked_shapes(*bottoms)
        shapes.update(zip(step.tops, tops, strict=True))
    return shapes

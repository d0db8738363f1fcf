"""The selection of SK units: Softmax, Slice, Reshape, Scale and Axpy layers become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from caffe_layers import Shape
from caffe_layers.fused.selection import Selection
from converter.network.steps import Step

from .wiring import Wiring


@dataclass(frozen=True)
class Found:
    """The steps of one selection, and what it reads and makes."""

    softmax: Step
    others: list[Step]
    features: list[str]
    last: Step


def fuse_selections(wiring: Wiring) -> str:
    """Let one layer weigh and add the branches of each SK unit."""
    shapes = wiring.shapes
    fused = 0
    for step in wiring.steps:
        found = _find(wiring, step, shapes) if step.cls.caffe_type == "Softmax" else None
        if found is None:
            continue
        new = replace(
            found.last,
            cls=Selection,
            bottoms=(found.softmax.bottoms[0], *found.features),
        )
        gone = [found.softmax, *(other for other in found.others if other is not found.last)]
        wiring.put(found.last, new, Selection(len(found.features)), gone)
        fused += 1
    return f"fused {fused} selections of kernels" if fused else ""


def _find(wiring: Wiring, softmax: Step, shapes: Mapping[str, Shape]) -> Found | None:
    """Follow the weights of every branch to the layer that multiplies its features."""
    sliced = wiring.index.reader(softmax.tops[0])
    if sliced is None or sliced.cls.caffe_type != "Slice":
        return None
    scores = shapes[softmax.tops[0]]
    axis = getattr(wiring.layers[softmax.key], "axis", None)
    whole = axis == 1 and len(scores) > 2 and len(sliced.tops) == scores[1]
    if not whole or any(shapes[top][1] != 1 for top in sliced.tops):
        return None
    others, products = [sliced], []
    for top in sliced.tops:
        value, step = top, wiring.index.reader(top)
        while step is not None and step.cls.caffe_type == "Reshape":
            others.append(step)
            value, step = step.tops[0], wiring.index.reader(step.tops[0])
        if step is None:
            return None
        products.append((value, step))
    return _sum(wiring, softmax, others, products, shapes)


def _sum(
    wiring: Wiring,
    softmax: Step,
    others: list[Step],
    products: list[tuple[str, Step]],
    shapes: Mapping[str, Shape],
) -> Found | None:
    """Check that the products are one Scale and a chain of Axpy that ends in one value."""
    features: list[str] = [""] * len(products)
    partial: dict[str, str] = {}  # a partial sum, and the Axpy that goes on with it
    first = last = None
    for branch, (weight, step) in enumerate(products):
        channels = shapes[softmax.tops[0]][2:]
        feature = _feature(wiring, step, weight)
        if feature is None or _size(shapes[weight]) != shapes[feature][0] * _size(channels):
            return None
        if len(shapes[feature]) != 4 or shapes[feature][1] != _size(channels):
            return None
        features[branch] = feature
        if step.cls.caffe_type == "Scale":
            if first is not None:
                return None
            first = step
        else:
            partial[step.bottoms[2]] = step.key
    if first is None or len(partial) != len(products) - 1:
        return None
    steps = {step.key: step for _, step in products}
    value, chain = first.tops[0], [first]
    while value in partial:
        if wiring.index.reader(value) is None:
            return None
        chain.append(steps[partial.pop(value)])
        value = chain[-1].tops[0]
    last = chain[-1]
    if partial:
        return None
    return Found(softmax, [*others, *chain], features, last)


def _feature(wiring: Wiring, step: Step, weight: str) -> str | None:
    """Return what a Scale or an Axpy multiplies by a weight, channel by channel."""
    layer = wiring.layers[step.key]
    if step.cls.caffe_type == "Axpy" and step.bottoms[0] == weight and not layer.in_place:
        return step.bottoms[1]
    scales = step.cls.caffe_type == "Scale" and len(step.bottoms) == 2
    if scales and step.bottoms[1] == weight and layer.axis == 0 and not layer.bias_term:
        return step.bottoms[0]
    return None


def _size(shape: Shape) -> int:
    size = 1
    for length in shape:
        size *= length
    return size

"""The selection of SK units: Softmax, Slice, Reshape, Scale and Axpy layers become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from caffe_layers import Shape
from caffe_layers.fused.selection import Selection
from converter.network.selections import Branch, Found, find_selection
from converter.network.steps import Step

from .wiring import Wiring


def fuse_selections(wiring: Wiring) -> str:
    """Let one layer weigh and add the branches of each SK unit."""
    fused = 0
    for step in wiring.steps:
        found = find_selection(step, wiring.index, wiring.layers, wiring.shapes)
        products = _chain(wiring, found) if found and _is_alone(wiring, found) else []
        if found is None or not products:
            continue
        features = [branch.features for branch in found.branches]
        last = products[-1]
        new = replace(last, cls=Selection, bottoms=(found.scores, *features))
        between = [step for branch in found.branches for step in branch.between]
        removed = [*_weighing(found), *between, *products[:-1]]
        wiring.put(last, new, Selection(len(features)), removed)
        fused += 1
    return f"fused {fused} selections of kernels" if fused else ""


def _weighing(found: Found) -> list[Step]:
    """Return the steps that make the weights."""
    return [found.step, *([found.sliced] if found.sliced else [])]


def _is_alone(wiring: Wiring, found: Found) -> bool:
    """Tell whether the weights are read by the selection only, by way of Reshape layers."""
    between = [step for branch in found.branches for step in branch.between]
    if found.sliced is None or any(step.cls.caffe_type != "Reshape" for step in between):
        return False
    values = [top for step in (*_weighing(found), *between) for top in step.tops]
    return all(wiring.index.reader(value) is not None for value in values)


def _chain(wiring: Wiring, found: Found) -> list[Step]:
    """Return the products, one Scale and a chain of Axpy that goes on with it; [] if others."""
    if not all(_multiplies(wiring, branch, found.channels) for branch in found.branches):
        return []
    products = [branch.product for branch in found.branches]
    first = [step for step in products if step.cls.caffe_type == "Scale"]
    adding = {step.bottoms[2]: step for step in products if step.cls.caffe_type == "Axpy"}
    if len(first) != 1 or len(adding) != len(products) - 1:
        return []
    chain = first
    while chain[-1].tops[0] in adding:
        if wiring.index.reader(chain[-1].tops[0]) is None:
            return []
        chain.append(adding.pop(chain[-1].tops[0]))
    return [] if adding else chain


def _multiplies(wiring: Wiring, branch: Branch, channels: int) -> bool:
    """Tell whether a Scale or an Axpy multiplies a branch's features channel by channel."""
    return _reads_as_factor(wiring, branch) and _fits(branch, channels, wiring.shapes)


def _reads_as_factor(wiring: Wiring, branch: Branch) -> bool:
    step, layer = branch.product, wiring.layers[branch.product.key]
    if step.cls.caffe_type == "Axpy":
        return step.bottoms[0] == branch.weights and not layer.in_place
    scales = step.cls.caffe_type == "Scale" and step.bottoms == (branch.features, branch.weights)
    return bool(scales and layer.axis == 0 and not layer.bias_term)


def _fits(branch: Branch, channels: int, shapes: Mapping[str, Shape]) -> bool:
    features = shapes[branch.features]
    if len(features) != 4 or features[1] != channels:
        return False
    return prod(shapes[branch.weights]) == features[0] * channels

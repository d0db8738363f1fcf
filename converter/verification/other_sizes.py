"""A model once more, with other sizes along the axes that it declares free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from caffe_layers import Shape
from converter.network.example_inputs import random_inputs
from converter.network.net import CaffeNet
from converter.onnx.free_axes import AXES, GROWTH
from converter.onnx.model import OnnxModel
from converter.preprocessing import image_input
from prototxt.errors import CaffeError

from .compare import Comparison, errors_of
from .feed import Feed, images_for
from .judge import FloatJudge, Judge
from .run import Model, Runs, wanted

NUMBERS = {axis: name for name, axis in AXES.items()}


def compare_at_other_sizes(
    net: CaffeNet, model: OnnxModel, fed: Feed, judge: Judge, seed: int
) -> list[Comparison]:
    """Compare the outputs of a model, of other sizes than the file's, with the network in torch.

    Empty where no axis is free, or where what was `fed` had other sizes along each of them.
    """
    free = _unproven(net, model, fed)
    if not free:
        return []
    shapes = _grown(net, fed.shapes, free)
    said = ", ".join(f"{axis} of {name}" for name, axes in free.items() for axis in axes)
    what = f"with another size ({said})"
    title = f"ONNX Runtime, {what}, against torch"
    if shapes is None:
        return [Comparison(title, skipped="the network admits no other")]
    other = Feed(random_inputs(net, seed, losses=True, shapes=shapes))
    if fed.images is not None and fed.preprocessing is not None:
        image = shapes[image_input(net)]
        fixed = model.inputs.shapes[model.inputs.image]
        size = (301, 298)  # not those of the first run
        other = images_for(net, other.tensors, fed.preprocessing, fixed, image[0], seed, size)
    try:
        runs = Runs(net, other.tensors, Model.run(model, what, other))
    except CaffeError as error:
        return [Comparison(title, refused=str(error))]
    compared = Comparison(title)
    if isinstance(judge, FloatJudge):
        for want in wanted(runs):
            compared.rows += errors_of(runs.model.shipped, want, judge.tolerance)
        if compared.passed:
            return [compared]
    compared, exposed = judge.compare(runs)  # layer by layer, and in double
    return [compared] if compared.passed else [compared, exposed]


def _unproven(net: CaffeNet, model: OnnxModel, fed: Feed) -> dict[str, list[str]]:
    """Return the network's inputs, and those free axes of them that had the file's size."""
    found: dict[str, list[str]] = {}
    for name, sizes in _free(net, model):
        base, got = net.input_shapes[name], fed.shapes.get(name)
        if got is not None:
            axes = [NUMBERS[at] for at in sizes if base[at] == got[at]]
            found |= {name: axes} if axes else {}
    return found


def _free(net: CaffeNet, model: OnnxModel) -> Iterator[tuple[str, list[int]]]:
    """Yield the network's inputs with their free axes; of photos it only sees how many."""
    for name, shape in model.inputs.shapes.items():
        if name in net.inputs:
            yield name, [at for at in NUMBERS if at < len(shape) and not shape[at]]
        elif name == model.inputs.image and not shape[0]:
            yield image_input(net), [AXES["batch"]]


def _grown(
    net: CaffeNet, shapes: Mapping[str, Shape], free: Mapping[str, list[str]]
) -> dict[str, Shape] | None:
    """Return the shapes with more along the free axes: the least that the network admits."""
    for index in range(len(GROWTH["height"])):
        grown = {}
        for name, shape in shapes.items():
            more = [0] * len(shape)
            for axis in free.get(name, ()):
                steps = GROWTH[axis]
                more[AXES[axis]] = steps[min(index, len(steps) - 1)]
            grown[name] = tuple(np.add(shape, more).tolist()) if shape else shape
        if net.admits(grown):
            return grown
    return None

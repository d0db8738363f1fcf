"""A model once more, with other sizes along the axes that it declares free."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from caffe_layers import Shape
from converter.network.example_inputs import random_inputs
from converter.network.net import CaffeNet
from converter.onnx.free_axes import AXES, GROWTH, FreeAxisError
from converter.onnx.model import OnnxModel
from converter.preprocessing import image_input
from converter.text import format_shape
from prototxt.errors import CaffeError

from .compare import Comparison, errors_of
from .feed import Feed, images_for
from .judge import FloatJudge, Judge
from .run import Model, Runs, wanted
from .stretches import stretches_of
from .torch_pass import torch_pass, twin

NUMBERS = {axis: name for name, axis in AXES.items()}


def compare_at_other_sizes(
    net: CaffeNet, model: OnnxModel, fed: Feed, judge: Judge, seed: int
) -> list[Comparison]:
    """Compare the outputs of a model, of other sizes than the file's, with the network in torch.

    Empty where no axis is free, or where what was `fed` had other sizes along each of them.
    """
    free = _free_axes(net, model, fed, at_own_size=True)
    return _compare_grown(net, model, fed, judge, seed, free) if free else []


def wrong_as_fed(
    net: CaffeNet, model: OnnxModel, fed: Feed, judge: Judge, seed: int
) -> dict[str, CaffeError]:
    """Return the free axes that a model is wrong along as it was fed, with why, as `wrong_axes`.

    Empty where it was fed its own sizes, and where with them it is wrong too.
    """
    free = _free_axes(net, model, fed, at_own_size=False)
    if not free:
        return {}
    own = _fed(net, model, fed, judge, seed, {name: net.input_shapes[name] for name in fed.shapes})
    if not _passed(_compare(net, model, own, judge, "with the file's size")):
        return {}
    why = _first_wrong(net, model, fed, judge)
    axes = dict.fromkeys(axis for axes in free.values() for axis in axes)
    return {axis: FreeAxisError(axis, f"with another {axis}: {why}") for axis in axes}


def wrong_axes(
    net: CaffeNet, model: OnnxModel, fed: Feed, judge: Judge, seed: int
) -> dict[str, CaffeError]:
    """Return the free axes along which a model that was found wrong is so, with why.

    That names the first layer whose values are.
    """
    free = _free_axes(net, model, fed, at_own_size=True)
    alone: dict[str, dict[str, list[str]]] = {}
    for name, axes in free.items():
        for axis in axes:
            alone.setdefault(axis, {})[name] = [axis]
    if len(alone) > 1:  # each by itself, or all where only together they are wrong
        wrong = {
            axis: some
            for axis, some in alone.items()
            if not _passed(_compare_grown(net, model, fed, judge, seed, some))
        }
        alone = wrong or dict.fromkeys(alone, free)
    return {
        axis: FreeAxisError(axis, f"with another {axis}: {_first_wrong(net, model, other, judge)}")
        for axis, some in alone.items()
        if (other := _grown_feed(net, model, fed, judge, seed, some)) is not None
    }


def _passed(comparisons: Iterable[Comparison]) -> bool:
    return all(one.passed for one in comparisons)


def _compare_grown(
    net: CaffeNet,
    model: OnnxModel,
    fed: Feed,
    judge: Judge,
    seed: int,
    free: Mapping[str, list[str]],
) -> list[Comparison]:
    """Compare the outputs of other sizes along these axes."""
    said = ", ".join(f"{axis} of {name}" for name, axes in free.items() for axis in axes)
    what = f"with another size ({said})"
    other = _grown_feed(net, model, fed, judge, seed, free)
    if other is None:
        return [Comparison(_title(what), skipped="the network admits no other")]
    return _compare(net, model, other, judge, what)


def _title(what: str) -> str:
    return f"ONNX Runtime, {what}, against torch"


def _compare(
    net: CaffeNet, model: OnnxModel, other: Feed, judge: Judge, what: str
) -> list[Comparison]:
    """Compare the outputs of these inputs, and every value where they are wrong."""
    title = _title(what)
    try:
        runs = Runs(net, other.tensors, Model.run(model, what, other))
        compared = Comparison(title)
        if isinstance(judge, FloatJudge):
            for want in wanted(runs):
                compared.rows += errors_of(runs.model.shipped, want, judge.tolerance)
            if compared.passed:
                return [compared]
        compared, exposed = judge.compare(runs)  # layer by layer, and in double
    except CaffeError as error:
        return [Comparison(title, refused=str(error))]
    return [compared] if compared.passed else [compared, exposed]


def _first_wrong(net: CaffeNet, model: OnnxModel, fed: Feed, judge: Judge) -> str:
    """Say which layer is the first that a model does not do as the network in torch, and how."""
    shapes = net.shapes(fed.shapes)
    stretches = stretches_of(net.plan(fed.tensors), shapes, net.layers, largest=0)  # a step each
    ours = torch_pass(twin(net), stretches, fed.tensors)
    theirs = model.walk(fed.arrays(model.inputs.image), [one.tops for one in stretches])
    for stretch, want in zip(stretches, ours, strict=True):
        place = stretch.steps[0].place if stretch.steps else "the inputs"
        try:
            got = next(theirs)
        except CaffeError:
            return f"{place}: ONNX Runtime does not run what was written of it"
        for row in errors_of(got, want, judge.tolerance):
            if got[row.blob].shape != row.shape:
                one, other = format_shape(got[row.blob].shape), format_shape(row.shape)
                return f"{place}: what was written of it makes {one}, wants {other}"
            if not row.passed:
                return f"{place}: what was written of it is off by {row.error:.2g} there"
    return "the outputs are wrong, and the layers one by one are right"


def _grown_feed(
    net: CaffeNet,
    model: OnnxModel,
    fed: Feed,
    judge: Judge,
    seed: int,
    free: Mapping[str, list[str]],
) -> Feed | None:
    """Return inputs of other sizes along these axes; None where the network admits no other."""
    shapes = _grown(net, fed.shapes, free)
    return None if shapes is None else _fed(net, model, fed, judge, seed, shapes)


def _fed(
    net: CaffeNet,
    model: OnnxModel,
    fed: Feed,
    judge: Judge,
    seed: int,
    shapes: Mapping[str, Shape],
) -> Feed:
    """Return inputs of these shapes, images where images were fed.

    A model of fewer bits gets more of what it was fed: values have ranges that noise may leave.
    """
    other = Feed(random_inputs(net, seed, losses=True, shapes=shapes))
    if fed.images is None or fed.preprocessing is None:
        if isinstance(judge, FloatJudge):
            return other
        more = {name: _more(value, shapes[name]) for name, value in fed.tensors.items()}
        return Feed({**other.tensors, **more})
    image = shapes[image_input(net)]
    fixed = model.inputs.shapes[model.inputs.image]
    size = (301, 298)  # not those of the first run
    return images_for(net, other.tensors, fed.preprocessing, fixed, image[0], seed, size)


def _more(value: Tensor, shape: Shape) -> Tensor:
    """Return a value over and over up to a shape; further images of a batch are half as bright.

    Those are others, and within the ranges that values have.
    """
    batch = len(value) if value.dim() else 0
    for axis, size in enumerate(shape):
        places = torch.arange(size, device=value.device) % value.shape[axis]
        value = value.index_select(axis, places)
    if value.dim() == 4:
        value[batch:] /= 2
    return value


def _free_axes(
    net: CaffeNet, model: OnnxModel, fed: Feed, *, at_own_size: bool
) -> dict[str, list[str]]:
    """Return the network's inputs, and those free axes of them that had the file's size, or not."""
    found: dict[str, list[str]] = {}
    for name, sizes in _free(net, model):
        base, got = net.input_shapes[name], fed.shapes.get(name)
        if got is not None:
            axes = [NUMBERS[at] for at in sizes if (base[at] == got[at]) == at_own_size]
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

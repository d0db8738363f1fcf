"""Judging a model of float16: against torch in double, by what rounding to float16 alone does."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto
from torch import Tensor, nn

from converter.network.arrays import array_of
from converter.network.net import CaffeNet
from converter.network.steps import Step
from converter.onnx.runtime import load_model, run_part

from .compare import BlobError, Comparison, compare, relative_error, softmax_of

LEAST = 2.0**-9
"""Four roundings to float16, of 2**-11 each: the limit where rounding happens to do less."""
MOST = 0.25
"""Beyond a quarter of a blob's largest value half precision is of no use, even if it is right."""
TIMES = 2
"""Errors may be this much of what rounding does: the two round at different places."""
SAME_INPUTS = 1e-4
"""What a layer in float32 may differ by, from the same inputs."""
CHOOSING = frozenset(
    {
        *("ArgMax", "Ceil", "Compress", "Equal", "Floor", "Greater", "GreaterOrEqual", "Less"),
        *("LessOrEqual", "NonMaxSuppression", "NonZero", "Round", "Sign", "TopK"),
    }
)
"""What makes another thing, not one a little off, of values a little off."""

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class HalfModel:
    """What an ONNX file of half precision holds in float16."""

    rounded: frozenset[str]
    """The values."""
    weights: frozenset[str]
    makers: Mapping[str, onnx.NodeProto]
    """The node that makes each value."""

    def holds_weights_of(self, layer: str) -> bool:
        """Tell whether a layer has weights in float16."""
        return any(name.startswith(f"{layer}.") for name in self.weights)

    def chooses(self, step: Step, others: Iterable[str]) -> bool:
        """Tell whether a layer chooses by its inputs: boxes, the highest, what is above 0."""
        seen, waiting = set(others) - set(step.tops), list(step.tops)
        while waiting:
            name = waiting.pop()
            node = self.makers.get(name)
            if node is None or name in seen:
                continue
            seen.add(name)
            if node.op_type in CHOOSING:
                return True
            waiting += node.input
        return False


def half_model(path: str | PathLike[str]) -> HalfModel | None:
    """Return what a file holds in float16; None if that is nothing."""
    graph = load_model(path).graph
    halves = {
        info.name
        for info in (*graph.input, *graph.value_info, *graph.output)
        if info.type.tensor_type.elem_type == TensorProto.FLOAT16
    }
    weights = {one.name for one in graph.initializer if one.data_type == TensorProto.FLOAT16}
    if not (halves or weights):
        return None
    makers = {name: node for node in graph.node for name in node.output}
    return HalfModel(frozenset(halves), frozenset(weights), makers)


def compare_half(
    net: CaffeNet,
    path: str | PathLike[str],
    model: HalfModel,
    steps: Iterable[Step],
    fed: Mapping[str, Tensor],
    shipped: Arrays,
    exposed: Arrays,
    outputs: Iterable[str],
    tolerance: float | None,
    what: str,
) -> list[Comparison]:
    """Compare with the network in double; the limit of a blob is twice what rounding does.

    `what` names the file in the comparison of its outputs.

    That is measured: torch runs once more with the weights and the values that the file holds in
    float16 rounded to it, and its largest error up to a blob, in the network's order, is the
    blob's. A layer that chooses (a box, the highest value) may choose otherwise for a value a
    little off: it is compared with its own form in torch on the same inputs, and what follows it
    goes on from its choice.
    """
    steps = list(steps)
    tops = {top for step in steps for top in step.tops} | fed.keys()
    choosing = [step for step in steps if model.chooses(step, tops)]
    forced = {top: exposed[top] for step in choosing for top in step.tops if top in exposed}
    exact = _run(copy.deepcopy(net).double(), fed, forced)
    noisy = _run(_rounded(net, model), fed, forced, model.rounded)
    behind = _behind(steps, forced)
    values = {name: array_of(value) for name, value in fed.items()} | dict(exposed)
    alike: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for step in choosing:
        alike |= _alone(net, path, step, steps, values)
    limits: dict[str, float] = {}
    noise = 0.0
    for name, value in exact.items():
        if name not in forced:
            noise = max(noise, relative_error(noisy[name], value))
        limits[name] = min(max(LEAST, TIMES * noise), MOST) if tolerance is None else tolerance
    title = f"against torch in double (rounding to float16 alone: off by {noise:.1g})"
    probabilities = softmax_of(shipped, {name: exact[name] for name in outputs})
    limits |= dict.fromkeys(probabilities, max(limits.values(), default=LEAST))
    first = compare(f"ONNX Runtime, {what}, {title}", shipped, exact | probabilities, limits)
    # Fused, it rounds elsewhere, and may choose otherwise.
    judged = [row for row in first.rows if row.passed or row.blob not in behind]
    if first.rows and not judged:
        first.skipped = f"{', '.join(shipped)}: other choices than below, where they are judged"
    first.rows = judged
    second = compare(f"ONNX Runtime, every value exposed, {title}", exposed, exact, limits)
    second.rows = [
        replace(row, error=relative_error(*alike[row.blob]), tolerance=_same(row, model, tolerance))
        if row.blob in forced
        else row
        for row in second.rows
    ]
    return [first, second]


def agreement(shipped: Arrays, exact: Arrays) -> list[str]:
    """Say how often the highest score of each output is the float32 network's."""
    notes = []
    for name, got in shipped.items():
        want = exact.get(name)
        scores = got.ndim > 1 and got.shape[1] == got[:1].size > 1
        if want is None or want.shape != got.shape or not scores:
            continue
        same = got.reshape(len(got), -1).argmax(1) == want.reshape(len(want), -1).argmax(1)
        notes.append(
            f"{name}: the highest is the float32 network's in {same.sum()} of {len(same)} samples"
        )
    return notes


def _same(row: BlobError, model: HalfModel, tolerance: float | None) -> float:
    if tolerance is not None:
        return tolerance
    return LEAST if row.blob in model.rounded else SAME_INPUTS


def _run(
    net: CaffeNet,
    fed: Mapping[str, Tensor],
    forced: Arrays,
    rounded: frozenset[str] = frozenset(),
) -> dict[str, np.ndarray]:
    """Return every value, some replaced, and some rounded to float16, where they are made."""
    net.reset_state()
    fed = {name: value.to(net.dtype) for name, value in fed.items()}
    fed = net.feed(
        {name: _half(value) if name in rounded else value for name, value in fed.items()}
    )
    plan = net.plan(fed)
    for step in plan.steps:
        net.layers[step.key].register_forward_hook(partial(_change, step.tops, forced, rounded))
    return {name: array_of(value) for name, value in net.run(fed, plan).items()}


def _change(
    names: tuple[str, ...],
    forced: Arrays,
    rounded: frozenset[str],
    layer: nn.Module,
    bottoms: tuple[Tensor, ...],
    tops: Any,
) -> tuple[Tensor, ...]:
    """Return a layer's tops as what follows it shall read them."""
    return tuple(
        torch.from_numpy(forced[name]).to(top)
        if name in forced
        else _half(top)
        if name in rounded
        else top
        for name, top in zip(names, [tops] if isinstance(tops, Tensor) else tops, strict=True)
    )


def _half(value: Tensor) -> Tensor:
    return value.half().to(value.dtype)


def _rounded(net: CaffeNet, model: HalfModel) -> CaffeNet:
    """Return the network with the weights that the file holds in float16 rounded to it."""
    net = copy.deepcopy(net)
    for name, layer in net.layers.items():
        if model.holds_weights_of(name):
            for blob in layer.blobs:
                blob.data = _half(blob.data)
    return net


def _behind(steps: Iterable[Step], forced: Arrays) -> set[str]:
    """Return the values that depend on a choice."""
    behind = set(forced)
    for step in steps:
        if not behind.isdisjoint(step.bottoms):
            behind.update(step.tops)
    return behind


def _alone(
    net: CaffeNet, path: str | PathLike[str], step: Step, steps: Iterable[Step], values: Arrays
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return a layer's tops of the same inputs in ONNX Runtime and in torch.

    The part is run by itself: in a whole model ONNX Runtime leaves casts to float16 and back out.
    It begins at the nearest of `values`: the file may leave out what makes a bottom.
    """
    got = run_part(path, {name: values[name] for name in values.keys() - step.tops}, step.tops)
    makers = {top: one for one in steps for top in one.tops}
    tops = _tops(net, step, makers, dict(values))
    return {name: (got[name], top) for name, top in tops.items() if name in got}


def _tops(
    net: CaffeNet, step: Step, makers: Mapping[str, Step], values: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return a layer's tops in torch, after those of the layers whose tops it lacks."""
    for name in step.bottoms:
        if name not in values:
            values |= _tops(net, makers[name], makers, values)
    fed = (torch.from_numpy(values[name]).to(net.device, net.dtype) for name in step.bottoms)
    tops = net.layers[step.key](*fed)
    tops = [tops] if isinstance(tops, Tensor) else tops
    return {name: array_of(top) for name, top in zip(step.tops, tops, strict=True)}

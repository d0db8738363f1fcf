"""Trainings by the solver beside loops written out in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from converter.network.net import CaffeNet
from converter.training import Solver
from tests.support.recorded import assert_close

ITERATIONS = 50
MOMENTUM = 0.9

Weights = Mapping[str, Sequence[Tensor]]
Batch = Mapping[str, Tensor]
Step = Callable[[Weights, Batch, int], Tensor | tuple[Tensor, Mapping[tuple[str, int], Tensor]]]
"""Of weights by layer, a batch and the iteration: the loss, whose gradient torch takes, or the loss
with gradients that are not the loss's own, by layer and blob."""


def check_trained(
    layers: str,
    batches: Mapping[str, np.ndarray],
    step: Step,
    folder: Path,
    *,
    rate: float = 0.05,
    dialect: str | None = None,
) -> None:
    """Train the layers' text for 50 iterations, in float64, beside a loop that calls `step`.

    `batches` are arrays by input, one batch after the other, which are gone through in turn. Both
    begin with the blobs that the fillers drew. Raises AssertionError where a loss or a blob
    differs by more than 1e-9 of its largest value, and where a loss is no number.
    """
    text = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {size}" for size in array.shape[1:])
        + " } } }\n"
        for name, array in batches.items()
    )
    (folder / "net.prototxt").write_text(text + layers)
    (folder / "solver.prototxt").write_text(
        f'net: "{folder / "net.prototxt"}" base_lr: {rate} lr_policy: "fixed" '
        f"momentum: {MOMENTUM} max_iter: {ITERATIONS} random_seed: 1701 solver_mode: CPU "
        f'snapshot_after_train: false snapshot_prefix: "{folder / "s"}"\n'
    )
    count = len(next(iter(batches.values())))
    given = [
        {name: torch.from_numpy(array[at]) for name, array in batches.items()}
        for at in range(count)
    ]
    passes = iter(range(ITERATIONS))

    def feed(net: CaffeNet) -> Batch:
        return given[next(passes) % count]

    solver = Solver(folder / "solver.prototxt", dtype=torch.float64, feed=feed, dialect=dialect)
    params: dict[str, Sequence[Tensor]] = {}
    for name, blobs in solver.net.params.items():
        shared = {id(blob) for held in params.values() for blob in held}
        if len(blobs) and not any(id(blob) in shared for blob in blobs):
            params[name] = blobs
    weights = {
        name: [blob.detach().clone().requires_grad_() for blob in blobs]
        for name, blobs in params.items()
    }
    flat = {(name, at): w for name, blobs in weights.items() for at, w in enumerate(blobs)}
    rate32 = float(np.float32(rate)), float(np.float32(MOMENTUM))
    history = {key: torch.zeros_like(w) for key, w in flat.items()}
    for iteration in range(ITERATIONS):
        solver.step(1)
        found = step(weights, given[iteration % count], iteration)
        loss, gradients = found if isinstance(found, tuple) else (found, {})
        left = {key: w for key, w in flat.items() if key not in gradients}
        if left:
            own = torch.autograd.grad(loss, list(left.values()), allow_unused=True)
            gradients = dict(gradients) | dict(zip(left, own, strict=True))
        assert torch.isfinite(loss)
        assert_close(float(solver.loss), float(loss.detach()), f"loss {iteration}")
        with torch.no_grad():
            for key, w in flat.items():
                gradient = gradients[key]
                if gradient is None:
                    gradient = torch.zeros_like(w)
                history[key] = rate32[1] * history[key] + rate32[0] * gradient
                w -= history[key]
    for (name, at), w in flat.items():
        assert_close(params[name][at].detach(), w.detach(), f"{name}[{at}]")

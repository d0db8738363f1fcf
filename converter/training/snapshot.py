"""A training's state in Caffe's files: weights and, beside them, the solver's memory."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from converter.loading.save import save_caffemodel
from converter.loading.weights import copy, fill
from converter.network.arrays import blob_array
from converter.network.net import CaffeNet
from converter.network.parameters import learnable
from prototxt import Blob, SolverState, read_solverstate, read_weights, write_solverstate
from prototxt.errors import UsageError, WeightError, within
from prototxt.named_file import find_named

from .optimizer import CaffeOptimizer


def histories(net: CaffeNet, optimizer: CaffeOptimizer) -> list[Tensor]:
    """Return the optimizer's memory in the order of a snapshot."""
    each = [optimizer.history(item.blob) for item in learnable(net.layers)]
    return [history[index] for index in range(optimizer.histories) for history in each]


def save_state(
    net: CaffeNet,
    optimizer: CaffeOptimizer,
    prefix: str,
    *,
    iteration: int,
    current_step: int,
    hdf5: bool,
) -> tuple[Path, Path]:
    """Write `<prefix>_iter_<n>.caffemodel` and `.solverstate`, with `.h5` added to HDF5 files."""
    suffix = ".h5" if hdf5 else ""
    model = Path(f"{prefix}_iter_{iteration}.caffemodel{suffix}")
    path = Path(f"{prefix}_iter_{iteration}.solverstate{suffix}")
    save_caffemodel(net, model)
    memory = [_blob(history) for history in histories(net, optimizer)]
    write_solverstate(path, SolverState(iteration, str(model), memory, current_step))
    return model, path


def restore_state(net: CaffeNet, optimizer: CaffeOptimizer, path: str | Path) -> SolverState:
    """Read a solver's state and its weights into a network and its optimizer.

    Raises WeightError where they are another network's or another type of solver's.
    """
    state = read_solverstate(path)
    targets = histories(net, optimizer)
    with within(str(path)):
        if len(state.history) != len(targets):
            raise WeightError(
                f"{len(state.history)} histories, but {type(optimizer).__name__} keeps "
                f"{len(targets)} of this network",
                fix="is it the state of this network, and of a solver of this type?",
            )
        for index, (held, target) in enumerate(zip(state.history, targets, strict=True)):
            if not held.fits(tuple(target.shape)):
                raise WeightError(
                    f"history {index} is {held.shape}, wants {tuple(target.shape)}",
                    fix="is it the state of this network?",
                )
        model = None if state.learned_net is None else _weights(state.learned_net, Path(path))
    if model is not None:
        with torch.no_grad():
            fill(net.steps, net.layers, [read_weights(model)])
    for held, target in zip(state.history, targets, strict=True):
        copy(held, target)
    for group in optimizer.param_groups:
        group["iteration"] = state.iter
    return state


def _weights(learned_net: str, state: Path) -> Path:
    if found := find_named(learned_net, state):
        return found
    raise UsageError(f"its weights {learned_net!r} are neither in the working folder nor beside it")


def _blob(tensor: Tensor) -> Blob:
    return Blob(blob_array(tensor).reshape(-1), tuple(tensor.shape))

"""caffe.SGDSolver and the others: trainings that a script drives.

Caffe: src/caffe/solver.cpp, src/caffe/solvers, python/caffe/_caffe.cpp
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import prototxt
from converter.training.definitions import Reader, SolverNet, tested_nets, trained_net
from converter.training.policies import Policy
from converter.training.settings import OPTIMIZERS, make_optimizer
from prototxt import SolverState, read_solver, read_solverstate, write_solverstate
from prototxt.errors import UnsupportedError, WeightError, within
from prototxt.named_file import find_named
from prototxt.paths import split_list

from .engine.vectors import NetVec
from .errors import CaffeAbortError, aborting, readable
from .finder import installed_dialect
from .learned import Learned
from .modes import NCCL, log, seeded
from .net import Net

Call = Callable[[], object]


class SGDSolver:
    """A training as a solver's file describes it.

    `net` learns, `test_nets` are tested with its blobs, `iter` counts the updates, `param` is the
    file's message, whose `base_lr` may be written.
    """

    kind: ClassVar[str] = "SGD"

    def __init__(self, solver_file: str | PathLike[str]) -> None:
        path = readable(solver_file)
        with aborting():
            self.param = read_solver(path)
            self.param.type = self.kind
            seeded(self.param.random_seed)
            reader = Reader(path, installed_dialect())
            self.net = _net_of(trained_net(self.param, reader))
            for name in [name for given in self.param.weights for name in split_list(given)]:
                self.net.copy_from(reader.find("weights", name))
            self.test_nets = NetVec(map(_net_of, tested_nets(self.param, reader)))
            with within(path):
                self._policy = Policy.from_caffe(self.param)
                self._learned = Learned(self.net.draft)
                self._optimizer = make_optimizer(self.param, self._learned.groups())
        self._optimizer.keeps_updates = True
        self._iter = 0
        self._callbacks: list[tuple[Call, Call]] = []
        self._losses: deque[float] = deque(maxlen=max(1, self.param.average_loss))

    @property
    def iter(self) -> int:
        """How many updates there were."""
        return self._iter

    @property
    def lr(self) -> float:
        """The learning rate of the next update."""
        return float(self.param.base_lr * self._policy.factor(self._iter))

    def add_callback(self, on_start: Any, on_gradients_ready: Call | None = None) -> None:
        """Call functions at the start of each iteration, and before each update.

        An NCCL in their place has nothing to do.
        """
        if isinstance(on_start, NCCL):
            return
        if on_gradients_ready is None:
            raise CaffeAbortError("add_callback wants two functions, or an NCCL")
        self._callbacks.append((on_start, on_gradients_ready))

    def share_weights(self, net: Net) -> None:
        """Let another network hold the values of the one that learns."""
        net.share_with(self.net)

    def solve(self, resume_file: str | PathLike[str] | None = None) -> None:
        """Train until `max_iter`, from a .solverstate if one is given; write the last snapshot."""
        if resume_file:
            self.restore(resume_file)
        self.step(self.param.max_iter - self._iter)
        every = self.param.snapshot
        if self.param.snapshot_after_train and not (every and self._iter % every == 0):
            self.snapshot()
        if self._is_due(self.param.display):
            self._losses.append(self.net._forward(0, len(self.net.layers) - 1))
            self._tell_train()
        if self._is_due(self.param.test_interval):
            self._test_all()

    def step(self, iters: int) -> None:
        """Train so many iterations."""
        self._losses.clear()
        last = len(self.net.layers) - 1
        for _ in range(iters):
            self.net.clear_param_diffs()
            if self._is_due(self.param.test_interval) and (
                self._iter or self.param.test_initialization
            ):
                self._test_all()
            for on_start, _ in self._callbacks:
                on_start()
            loss = 0.0
            for _ in range(self.param.iter_size):
                loss += self.net._forward(0, last)
                self.net._backward(last, 0)
            self._losses.append(loss / self.param.iter_size)
            if self._is_due(self.param.display):
                self._tell_train()
            for _, on_gradients_ready in self._callbacks:
                on_gradients_ready()
            self.apply_update()
            self._iter += 1
            if self._is_due(self.param.snapshot):
                self.snapshot()

    def apply_update(self) -> None:
        """Change the blobs by their gradients, which become the changes."""
        rate = self.lr
        if self._is_due(self.param.display):
            log(f"Iteration {self._iter}, lr = {rate:g}")
        for group in self._optimizer.param_groups:
            group["lr"], group["iteration"] = rate, self._iter
        self._learned.bind()
        self._optimizer.step()

    def snapshot(self) -> None:
        """Write the weights and the solver's memory under `snapshot_prefix`."""
        hdf5 = self.param.snapshot_format == self.param.HDF5
        stem, suffix = f"{self.param.snapshot_prefix}_iter_{self._iter}", ".h5" if hdf5 else ""
        model = f"{stem}.caffemodel{suffix}"
        (self.net.save_hdf5 if hdf5 else self.net.save)(model)
        memory = [
            prototxt.Blob(history.numpy().reshape(-1), tuple(history.shape))
            for history in self._learned.histories(self._optimizer)
        ]
        state = SolverState(self._iter, model, memory, self._policy.current_step)
        with aborting():
            write_solverstate(Path(f"{stem}.solverstate{suffix}"), state)

    def restore(self, state_file: str | PathLike[str]) -> None:
        """Go on from a .solverstate and the weights that it names."""
        path = readable(state_file)
        with aborting(), within(path):
            state = read_solverstate(path)
            targets = self._learned.histories(self._optimizer)
            shapes = [tuple(target.shape) for target in targets]
            if len(shapes) != len(state.history) or not all(
                held.fits(shape) for held, shape in zip(state.history, shapes, strict=True)
            ):
                raise WeightError(
                    f"its histories are not those of a {self.kind} solver of this network"
                )
            if state.learned_net is not None:
                model = find_named(state.learned_net, path)
                if model is None:
                    raise WeightError(f"no file {state.learned_net!r}, its weights")
                self.net.copy_from(model)
            for held, target in zip(state.history, targets, strict=True):
                target.numpy()[...] = held.values.reshape(target.shape)
        self._iter, self._policy.current_step = state.iter, state.current_step

    def _is_due(self, every: int) -> bool:
        return bool(every) and self._iter % every == 0

    def _test_all(self) -> None:
        for index, net in enumerate(self.test_nets):
            log(f"Iteration {self._iter}, Testing net (#{index})")
            net.share_with(self.net)
            sums: dict[str, Any] = {}
            for _ in range(self.param.test_iter[index]):
                for name, value in net.forward().items():
                    sums[name] = sums.get(name, 0) + value.astype(float)
            means = {name: value / self.param.test_iter[index] for name, value in sums.items()}
            _tell_outputs("Test", net, means)

    def _tell_train(self) -> None:
        log(f"Iteration {self._iter}, loss = {sum(self._losses) / len(self._losses):g}")
        values = {name: self.net.blobs[name].data for name in self.net.outputs}
        _tell_outputs("Train", self.net, values)


def _tell_outputs(what: str, net: Net, values: dict[str, Any]) -> None:
    number = 0
    for name in net.outputs:
        weight = net.blob_loss_weights[name]
        for value in values[name].flat:
            loss = f" (* {weight:g} = {weight * value:g} loss)" if weight else ""
            log(f"    {what} net output #{number}: {name} = {value:g}{loss}")
            number += 1


def _net_of(net: SolverNet) -> Net:
    return Net.of(net.definition, net.phase, net.level, net.stages)


Solver = SGDSolver
"""What all solvers are: of Caffe's two base classes nothing tells one from the other here."""


class NesterovSolver(SGDSolver):
    """`type: "Nesterov"`."""

    kind = "Nesterov"


class AdaGradSolver(SGDSolver):
    """`type: "AdaGrad"`."""

    kind = "AdaGrad"


class RMSPropSolver(SGDSolver):
    """`type: "RMSProp"`."""

    kind = "RMSProp"


class AdaDeltaSolver(SGDSolver):
    """`type: "AdaDelta"`."""

    kind = "AdaDelta"


class AdamSolver(SGDSolver):
    """`type: "Adam"`."""

    kind = "Adam"


_SOLVERS = {
    cls.kind: cls
    for cls in (
        *(SGDSolver, NesterovSolver, AdaGradSolver),
        *(RMSPropSolver, AdaDeltaSolver, AdamSolver),
    )
}


def get_solver(solver_file: str | PathLike[str]) -> SGDSolver:
    """Return the solver of the `type` that its file names."""
    path = readable(solver_file)
    with aborting():
        kind = read_solver(path).type
        if kind not in _SOLVERS:
            raise UnsupportedError(
                f"{path}: solver type {kind!r} is unknown", fix=f"one of {', '.join(OPTIMIZERS)}"
            )
    return _SOLVERS[kind](path)

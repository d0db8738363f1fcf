"""Caffe's solver: it trains a network, tests it, and writes snapshots.

Caffe: src/caffe/solver.cpp
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from os import fspath
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from caffe_layers import Shape
from caffe_layers.base.layer import Registry
from converter.loading.device import on_device
from converter.loading.options import Rename
from converter.loading.user_layers import Layers, registry_of
from converter.network.net import CaffeNet, Inputs
from converter.network.parameters import learnable
from converter.parallel import Processes
from prototxt import insert_splits
from prototxt.errors import UnsupportedError, UsageError, within
from prototxt.paths import PathName
from prototxt.schema.protos import Protos

from .definitions import SolverNet
from .edge_losses import refuse_edge_losses
from .events import Displayed, Event, NetTested, SnapshotWritten
from .networks import ask_recurrent, check_fed, check_loss, load_net, reading, share_trained
from .settings import Settings, make_optimizer
from .signal_handler import Requests
from .snapshot import restore_state, save_state
from .testing import Outputs, mean_outputs, outputs_of

LOGGED_LOSSES = 200
"""How many losses a log has at least, where `display` asks for none."""


class Solver:
    """A training, as a solver's file describes it.

    `net` learns and `test_nets` are tested, with the same blobs; `iter` counts the updates so far;
    `optimizer` and `policy` are what changes the blobs; a signal handler may set `requests`.
    Started by `torchrun` every process has its own Solver, and gradients are averaged.

    Args:
        solver: the solver's file.
        weights: files to begin with, later ones win, in place of those that the solver names.
        snapshot: a `.solverstate` to go on from.
        device: where to compute (default: the solver's: the GPU, if it wants one and there is one).
        dtype: of weights and updates.
        amp: matrices are multiplied in bfloat16.
        seed: in place of the solver's `random_seed`.
        workers: processes that read data (0: none but this one).
        dialect: as `load` takes it; so `allow_unknown`, `layers`, `proto`, `values`,
            `input_shapes`, `rename` and `ignore`, for each of the networks.
        feed: called with a network for the inputs of each of its passes; without it the definition
            must read its own data.
        report: told what happens, as `follow` says.

    Raises CaffeError, with the file and the place in it, for whatever is wrong.
    """

    def __init__(
        self,
        solver: PathName,
        *,
        weights: PathName | Sequence[PathName] | None = None,
        snapshot: PathName | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        amp: bool = False,
        seed: int | None = None,
        workers: int = 0,
        dialect: str | None = None,
        allow_unknown: bool = False,
        layers: Layers = None,
        proto: Protos = None,
        values: Mapping[str, str] | None = None,
        input_shapes: Mapping[str, Shape] | None = None,
        rename: Rename | None = None,
        ignore: Iterable[str] = (),
        feed: Callable[[CaffeNet], Inputs] | None = None,
        report: Callable[[Event], None] | None = None,
    ) -> None:
        if amp and dtype != torch.float32:
            raise UnsupportedError(f"amp wants float32 weights, not {dtype}")
        if workers < 0:
            raise UsageError(f"{workers} workers, wants 0 or more")
        registry = registry_of(layers, proto=proto, near=solver)
        self.settings = Settings.read(
            fspath(solver),
            dialect,
            allow_unknown=allow_unknown,
            schema=registry.schema,
            values=values,
        )
        self.param, self.policy = self.settings.param, self.settings.policy
        device = device or solver_device(self.param)
        with on_device(device):
            self.device = torch.device(device)
        self.seed = self.settings.seed if seed is None else seed
        self.amp, self.feed = amp, feed
        self._reports: list[Callable[[Event], None]] = [report] if report else []
        self._updates: list[Callable[[], None]] = []
        self.processes = Processes.joined()
        self.requests = Requests()
        if snapshot is not None:
            weights = []  # its own are the state's
        elif weights is None:
            weights = self.settings.weights()
        options: dict[str, Any] = {
            "input_shapes": input_shapes,
            "rename": rename,
            "ignore": tuple(ignore),
        }
        if (rename or options["ignore"]) and not weights:
            raise UsageError("no weights are given whose layers could be mapped or ignored")
        self._load(weights, dtype, dialect, registry, options)
        self.optimizer = make_optimizer(self.param, self.net.parameter_groups())
        self.iter = 0
        self._losses: deque[Tensor] = deque(maxlen=self.param.average_loss)
        self._clock = (0, time.perf_counter())
        self._blobs = [each.blob for each in learnable(self.net.layers)]
        if snapshot is not None:
            self.restore(snapshot)
        self.processes.broadcast(self._blobs)
        self._seed_everything(workers)

    def _load(
        self,
        weights: PathName | Sequence[PathName],
        dtype: torch.dtype,
        dialect: str | None,
        layers: Registry,
        options: Mapping[str, Any],
    ) -> None:
        settings = self.settings

        def load(net: SolverNet) -> CaffeNet:
            with reading() if self.feed is None else nullcontext():
                return load_net(
                    net,
                    weights,
                    dtype=dtype,
                    device=self.device,
                    dialect=dialect,
                    seed=self.seed,
                    layers=layers,
                    **options,
                )

        self.net = load(settings.train)
        check_loss(self.net)
        refuse_edge_losses(self.net, dialect)
        ask_recurrent(self.net)
        assert self.net.definition is not None
        with within(settings.source):
            settings.check_snapshots(insert_splits(self.net.definition))
        self.test_nets = (
            [load(part) for part in settings.tests] if self.processes.is_primary else []
        )
        for net in (self.net, *self.test_nets):
            if self.feed is None:
                check_fed(net)
            if net is not self.net:
                share_trained(net, self.net)

    @property
    def rate(self) -> float:
        """The learning rate of the last update."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def loss(self) -> float:
        """The mean loss of the last `average_loss` iterations; NaN before the first."""
        if not self._losses:
            return float("nan")
        return float(torch.stack(list(self._losses)).double().mean())

    def follow(
        self, report: Callable[[Event], None], updated: Callable[[], None] | None = None
    ) -> None:
        """Tell `report` of losses, tests and snapshots from now on; call `updated` at each update.

        Only the primary process has something to report.
        """
        self._reports.append(report)
        if updated is not None:
            self._updates.append(updated)

    def solve(self) -> None:
        """Train until `max_iter`, then write the last snapshot and test once more."""
        self.step(self.param.max_iter - self.iter)
        every = self.param.snapshot
        written = every and self.iter % every == 0
        if not written and (self.requests.stop or self.param.snapshot_after_train):
            self.snapshot()
        if self.requests.stop:
            return
        display, interval = self.param.display, self.param.test_interval
        if display and self.iter % display == 0:
            with torch.no_grad():
                loss, outputs = self._forward(look=True)
            self._losses.append(loss.detach())
            self._tell_train(outputs, None)
        if interval and self.iter % interval == 0:
            self.test_all()

    def step(self, iterations: int) -> None:
        """Train so many iterations, or until a signal asks to stop."""
        self._losses.clear()
        self._clock = (self.iter, time.perf_counter())
        every, interval = self.param.snapshot, self.param.test_interval
        first = 0 if self.param.test_initialization else 1
        end = self.iter + iterations
        while self.iter < end and not self.requests.stop:
            if interval and self.iter % interval == 0 and self.iter >= first:
                self.test_all()
            self._iterate()
            for updated in self._updates:
                updated()
            asked = self._agree()
            if asked or (every and self.iter % every == 0):
                self.snapshot()

    def test_all(self) -> list[Outputs]:
        """Test every test network, in the primary process; the others return nothing."""
        if not self.processes.is_primary:
            return []
        results = []
        for index in range(len(self.test_nets)):
            if (result := self.test(index)) is not None:
                results.append(result)
        return results

    def test(self, index: int = 0) -> Outputs | None:
        """Return the means of a test network's outputs; None if a signal asked to stop."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            result = mean_outputs(
                self.test_nets[index],
                self.param.test_iter[index],
                feed=self.feed,
                stopped=lambda: self.requests.stop,
                ap_version=self.settings.ap_version,
            )
        if result is not None:
            loss = result.loss if self.param.test_compute_loss else None
            tested = NetTested(
                self.iter, index, result.values, result.weights, loss, result.without_mean
            )
            self._tell(tested)
        return result

    def snapshot(self) -> tuple[Path, Path] | None:
        """Write weights and state under `snapshot_prefix`, in the primary process alone."""
        if not self.processes.is_primary:
            return None
        paths = save_state(
            self.net,
            self.optimizer,
            self.param.snapshot_prefix,
            iteration=self.iter,
            current_step=self.policy.current_step,
            hdf5=self.settings.hdf5,
        )
        self._tell(SnapshotWritten(self.iter, *map(str, paths)))
        return paths

    def restore(self, snapshot: PathName) -> None:
        """Go on from a .solverstate and the weights that it names."""
        held = restore_state(self.net, self.optimizer, Path(snapshot))
        self.iter, self.policy.current_step = held.iter, held.current_step

    def _iterate(self) -> None:
        self.optimizer.zero_grad()
        total: Tensor | None = None
        is_due, last = self._is_due(), self.param.iter_size - 1
        for micro_batch in range(self.param.iter_size):
            loss, outputs = self._forward(look=is_due and micro_batch == last)
            if loss.requires_grad:
                torch.autograd.backward(loss)
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None
        self._losses.append(total / self.param.iter_size)
        self.processes.average(self._gradients())
        rate = self.param.base_lr * self.policy.factor(self.iter)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if is_due:
            self._tell_train(outputs, rate)
        self.optimizer.step()
        self.iter += 1

    def _forward(self, *, look: bool) -> tuple[Tensor, Outputs]:
        """Return the loss of the next batch, and the outputs if somebody looks at them."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            fed = self.net.feed(self.feed(self.net) if self.feed else None)
            plan = self.net.plan(fed)
            values = self.net.run(fed, plan, until_last_use=True)
            loss = self.net.weighted_loss(plan, values)
            return loss, outputs_of(plan, values) if look else Outputs()

    def _gradients(self) -> list[Tensor]:
        """Return all gradients, in an order that all processes have."""
        if self.processes.count > 1:
            for blob in self._blobs:
                if blob.requires_grad and blob.grad is None:
                    blob.grad = torch.zeros_like(blob)
        return [blob.grad for blob in self._blobs if blob.grad is not None]

    def _agree(self) -> bool:
        """Let all processes hear of one's signals; return whether a snapshot is asked for."""
        asked = self.requests
        wanted, asked.snapshot = asked.snapshot, False
        asked.stop, wanted = self.processes.any(asked.stop, wanted, device=self.device)
        return wanted

    def _is_due(self) -> bool:
        every = self.param.display or max(1, self.param.max_iter // LOGGED_LOSSES)
        return bool(self._reports) and self.iter % every == 0

    def _tell_train(self, outputs: Outputs, rate: float | None) -> None:
        since, began = self._clock
        now = time.perf_counter()
        self._clock = (self.iter, now)
        self._tell(
            Displayed(
                iter=self.iter,
                loss=self.loss,
                lr=rate,
                seconds=now - began,
                iterations=self.iter - since,
                outputs=outputs.values,
                weights=outputs.weights,
            )
        )

    def _tell(self, event: Event) -> None:
        if self.processes.is_primary:
            for report in self._reports:
                report(event)

    def _seed_everything(self, workers: int) -> None:
        rank, count = self.processes.rank, self.processes.count
        torch.manual_seed(self.seed + rank)
        for number, net in enumerate((self.net, *self.test_nets)):
            for index, layer in enumerate(net.layers.values()):
                layer.seed_data(self.seed, number, index, rank=rank, world=count, workers=workers)


def solver_device(solver: Any) -> str:
    """Return the device that a SolverParameter wants, or the CPU where there is no such GPU."""
    if solver.solver_mode == solver.CPU or not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{solver.device_id}" if solver.HasField("device_id") else "cuda"

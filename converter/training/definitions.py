"""The networks that a solver's file names: read, counted and put into their states.

Caffe: src/caffe/solver.cpp, InitTrainNet and InitTestNets
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from prototxt import Net, embedded_net, read_net
from prototxt.errors import FormatError, UsageError, within
from prototxt.named_file import find_named
from prototxt.passes.filter import PHASES
from prototxt.schema import SHIPPED, Schema

TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")


@dataclass(frozen=True)
class SolverNet:
    """One network of a solver: its definition and the state that filters it."""

    field: str
    definition: Net
    phase: Literal["TRAIN", "TEST"]
    level: int
    stages: tuple[str, ...]


@dataclass
class Reader:
    """Reads the definitions that a solver names, each file once.

    Paths are the working folder's, as in Caffe. What is not there but stands beside the solver is
    taken from there, and `notes` says so.
    """

    source: str
    dialect: str | None = None
    allow_unknown: bool = False
    schema: Schema = SHIPPED
    values: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _read: dict[str, Net] = field(default_factory=dict)

    def net(self, name: str, path: str) -> Net:
        """Read the definition that a field names."""
        if path not in self._read:
            found = self.find(name, path)
            self._read[path] = read_net(
                found,
                dialect=self.dialect,
                allow_unknown=self.allow_unknown,
                values=self.values,
                schema=self.schema,
            )
        return self._read[path]

    def embedded(self, name: str, message: Any) -> Net:
        """Read the definition that stands in the solver's own file."""
        return embedded_net(message, f"{self.source}: {name}", schema=self.schema)

    def find(self, name: str, path: str) -> str:
        """Return where a file is; raises CaffeError where it is in neither folder."""
        found = find_named(path, self.source)
        if found is None:
            raise UsageError(
                f"{self.source}: {name}: no file {path!r} in the working folder or beside the "
                "solver"
            )
        if found == Path(path):
            return path
        note = f"{name}: {path!r} is not in the working folder, taken {str(found)!r}"
        if note not in self.notes:
            self.notes.append(note)
        return str(found)


def trained_net(solver: Any, reader: Reader) -> SolverNet:
    """Return the network that learns; raises FormatError unless exactly one field gives it."""
    given = [name for name in TRAIN_FIELDS if solver.HasField(name)]
    if len(given) != 1:
        said = f"both {' and '.join(given)} are given" if given else "no network is given"
        raise FormatError(f"{reader.source}: {said}", fix=f"give one of {', '.join(TRAIN_FIELDS)}")
    name = given[0]
    value = getattr(solver, name)
    read = reader.embedded if name.endswith("_param") else reader.net
    return _solver_net(name, read(name, value), "TRAIN", solver.train_state)


def tested_nets(solver: Any, reader: Reader) -> list[SolverNet]:
    """Return the networks that are tested, in Caffe's order.

    First each `test_net_param`, then each `test_net`, then the common `net` as often as there are
    more `test_iter`. Raises FormatError where the numbers of fields do not fit.
    """
    sources = [
        ("test_net_param", reader.embedded(f"test_net_param {index}", message))
        for index, message in enumerate(solver.test_net_param)
    ]
    sources += [("test_net", reader.net("test_net", path)) for path in solver.test_net]
    own, iters = len(sources), len(solver.test_iter)
    common = next((name for name in ("net_param", "net") if solver.HasField(name)), None)
    with within(reader.source):
        _check_tests(solver, own, has_common=common is not None)
    if common is not None and iters > own:
        read = reader.embedded if common == "net_param" else reader.net
        sources += [(common, read(common, getattr(solver, common)))] * (iters - own)
    states = list(solver.test_state) or [None] * iters
    return [
        _solver_net(name, definition, "TEST", state)
        for (name, definition), state in zip(sources, states, strict=True)
    ]


def _check_tests(solver: Any, own: int, *, has_common: bool) -> None:
    """Raise FormatError unless the fields fit `own` test networks and, if there is, the common."""
    iters, states = len(solver.test_iter), len(solver.test_state)
    if iters < own or (not has_common and iters != own):
        raise FormatError(
            f"{iters} test_iter for {own} test networks", fix="give each one a test_iter"
        )
    if states not in (0, iters):
        raise FormatError(
            f"{states} test_state for {iters} test networks, wants none or one for each"
        )
    if iters and solver.test_interval < 1:
        raise FormatError(
            f"test_interval is {solver.test_interval}, with test networks it wants 1 or more"
        )
    if bad := [count for count in solver.test_iter if count < 1]:
        raise FormatError(f"test_iter is {bad[0]}, wants 1 or more")


def _solver_net(
    name: str, definition: Net, phase: Literal["TRAIN", "TEST"], state: Any
) -> SolverNet:
    """Merge the default state, the definition's and the solver's: later ones win, stages add."""
    level, stages = 0, []
    header: Any = definition.header
    for each in (header.state, *([state] if state is not None else [])):
        if each.HasField("phase"):
            phase = "TEST" if each.phase == PHASES["TEST"] else "TRAIN"
        if each.HasField("level"):
            level = each.level
        stages += list(each.stage)
    return SolverNet(name, definition, phase, level, tuple(stages))

"""What a solver's file asks for, checked as Caffe checks it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from converter.seed import SEED
from prototxt import Net
from prototxt.errors import FormatError, UnsupportedError, UsageError, within
from prototxt.hdf5.file import h5py_for
from prototxt.hdf5.weights import check_names
from prototxt.paths import split_list
from prototxt.read import read_solver_file
from prototxt.schema import Schema

from .average_precision import VERSIONS, check_version
from .definitions import Reader, SolverNet, tested_nets, trained_net
from .optimizer import CaffeOptimizer
from .policies import Policy
from .rules import SGD, AdaDelta, AdaGrad, Adam, Nesterov, RMSProp

"""Where neither the solver nor the caller gives a seed."""

MEASURES = ("eval_type", "ap_version")
"""Fields of SSD's solver that say how a test network is measured."""

OPTIMIZERS: dict[str, tuple[type[CaffeOptimizer], tuple[str, ...]]] = {
    "SGD": (SGD, ("momentum",)),
    "Nesterov": (Nesterov, ("momentum",)),
    "AdaGrad": (AdaGrad, ("momentum", "delta")),
    "RMSProp": (RMSProp, ("momentum", "delta", "rms_decay")),
    "AdaDelta": (AdaDelta, ("momentum", "delta")),
    "Adam": (Adam, ("momentum", "momentum2", "delta")),
}
"""A solver's `type`: the class, and the solver's fields that its rule reads."""


@dataclass
class Settings:
    """A solver's file, read and checked: what to train, how, and from which weights."""

    source: str
    param: Any
    train: SolverNet
    tests: list[SolverNet]
    policy: Policy
    reader: Reader
    otherwise: list[str]
    """What is done otherwise than in Caffe."""
    ap_version: str | None = None
    """How tests average detections' precision; None where they take the means of outputs."""

    @classmethod
    def read(
        cls,
        path: str,
        dialect: str | None,
        *,
        allow_unknown: bool,
        schema: Schema,
        values: Mapping[str, str] | None = None,
    ) -> Settings:
        """Read a solver's file and the definitions that it names.

        Raises CaffeError for what Caffe refuses and for what cannot be done here.
        """
        param, passed_over, own = read_solver_file(path, schema=schema, heeded=MEASURES)
        reader = Reader(path, dialect, allow_unknown, schema, values or {})
        with within(path):
            otherwise = passed_over + check(param)
            detections = ap_version(own)
            policy = Policy.from_caffe(param)
            make_optimizer(param, [torch.zeros(())])  # what is wrong with it comes before its data
        train, tests = trained_net(param, reader), tested_nets(param, reader)
        return cls(path, param, train, tests, policy, reader, otherwise, detections)

    @property
    def notes(self) -> list[str]:
        """What is not as in Caffe, and what was found elsewhere than named."""
        return self.otherwise + self.reader.notes

    def weights(self) -> list[str]:
        """Return the files of weights that it names; raises CaffeError where one is not there."""
        named = [name for given in self.param.weights for name in split_list(given)]
        return [self.reader.find("weights", name) for name in named]

    @property
    def hdf5(self) -> bool:
        """Whether snapshots are HDF5 files."""
        return bool(self.param.snapshot_format == self.param.HDF5)

    @property
    def seed(self) -> int:
        """The seed that the file gives, or ours: Caffe then takes another every time."""
        return int(self.param.random_seed) if self.param.random_seed >= 0 else SEED

    def check_snapshots(self, net: Net) -> None:
        """Raise CaffeError for what would stop a snapshot, before there is work to lose.

        `net` is as it would be written, with Split layers.
        """
        param = self.param
        if not (param.snapshot or param.snapshot_after_train):
            return
        folder = Path(f"{param.snapshot_prefix}_").parent
        if not folder.is_dir():
            raise UsageError(f"snapshot_prefix: no folder {str(folder)!r}", fix="make it")
        if not os.access(folder, os.W_OK):
            raise UsageError(f"snapshot_prefix: the folder {str(folder)!r} is not writable")
        if self.hdf5:
            h5py_for(f"{param.snapshot_prefix}_iter_{param.max_iter}.caffemodel.h5")
            check_names([layer.name for layer in net.layers])


def ap_version(own: Mapping[str, Any]) -> str | None:
    """Return how tests measure detections, by the fields of SSD's solver; None where they do not.

    Raises UnsupportedError for what SSD's solver does not know either.

    Caffe: weiliu89/caffe, src/caffe/solver.cpp, TestAll
    """
    kind, version = own.get("eval_type", "classification"), own.get("ap_version", VERSIONS[-1])
    if kind == "classification":
        return None
    if kind != "detection":
        raise UnsupportedError(
            f"eval_type {kind!r} is unknown", fix="one of classification, detection"
        )
    check_version(version)
    return str(version)


def make_optimizer(solver: Any, groups: Iterable[Any]) -> CaffeOptimizer:
    """Return the optimizer of a SolverParameter; raises CaffeError for what Caffe refuses."""
    if solver.type not in OPTIMIZERS:
        close = difflib.get_close_matches(solver.type, OPTIMIZERS, 1)
        fix = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(OPTIMIZERS)}"
        raise UnsupportedError(f"solver type {solver.type!r} is unknown", fix=fix)
    cls, fields = OPTIMIZERS[solver.type]
    return cls(
        groups,
        solver.base_lr,
        weight_decay=solver.weight_decay,
        regularization_type=solver.regularization_type,
        clip_gradients=solver.clip_gradients,
        iter_size=solver.iter_size,
        **{name: getattr(solver, name) for name in fields},
    )


def check(solver: Any) -> list[str]:
    """Raise CaffeError for what cannot be done; return what is done otherwise than in Caffe."""
    if not solver.HasField("max_iter"):
        raise FormatError("max_iter is missing", fix="say how many iterations to train")
    for name in ("max_iter", "display", "snapshot", "test_interval"):
        if getattr(solver, name) < 0:
            raise FormatError(f"{name} is {getattr(solver, name)}, wants 0 or more")
    if not solver.HasField("base_lr"):
        raise FormatError("base_lr is missing", fix="give the learning rate")
    if solver.average_loss < 1:
        raise FormatError(f"average_loss is {solver.average_loss}, wants 1 or more")
    if solver.snapshot_diff:
        raise UnsupportedError(
            "snapshot_diff: gradients are not written", fix="remove it: Caffe never reads them"
        )
    notes = []
    if solver.debug_info:
        notes.append("debug_info prints nothing here")
    if solver.test_interval and not solver.test_iter:
        notes.append("test_interval without a test_iter: nothing is tested")
    return notes

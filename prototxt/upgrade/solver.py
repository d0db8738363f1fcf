"""A solver's `solver_type: ADAM` to `type: "Adam"`, and where its snapshots go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prototxt.errors import FormatError
from prototxt.net import copied

TYPES = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}


def upgrade_solver(solver: Any) -> Any:
    """Return a SolverParameter in today's form; one that has it already is returned as it is.

    Caffe: src/caffe/util/upgrade_proto.cpp
    """
    if not solver.HasField("solver_type"):
        return solver
    old = solver.SolverType.Name(solver.solver_type)
    if solver.HasField("type"):
        raise FormatError(
            f"both solver_type: {old} and type: {solver.type!r}, wants one", fix="keep type"
        )
    new = copied(solver)
    new.type = TYPES[old]
    new.ClearField("solver_type")
    return new


def name_snapshots(solver: Any, path: str | Path) -> Any:
    """Return a solver that has a `snapshot_prefix`: without one, its own file's path and stem.

    A prefix that is a folder is followed by the file's stem. Relative ones are, as in Caffe, the
    working folder's.

    Caffe: src/caffe/util/upgrade_proto.cpp, UpgradeSnapshotPrefixProperty
    """
    prefix = solver.snapshot_prefix
    if prefix and not Path(prefix).is_dir():
        return solver
    stem = Path(path).with_suffix("")
    new = copied(solver)
    new.snapshot_prefix = str(Path(prefix) / stem.name if prefix else stem)
    return new

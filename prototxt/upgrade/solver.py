"""A solver's `solver_type: ADAM` to `type: "Adam"`."""

from __future__ import annotations

from typing import Any

from prototxt.errors import FormatError

TYPES = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}


def upgrade_solver(solver: Any) -> Any:
    """Give a SolverParameter in today's form; one that has it already is given back as it is.

    Caffe: src/caffe/util/upgrade_proto.cpp
    """
    if not solver.HasField("solver_type"):
        return solver
    old = solver.SolverType.Name(solver.solver_type)
    if solver.HasField("type"):
        raise FormatError(
            f"both solver_type: {old} and type: {solver.type!r}, wants one", fix="keep type"
        )
    new = type(solver)()
    new.CopyFrom(solver)
    new.type = TYPES[old]
    new.ClearField("solver_type")
    return new

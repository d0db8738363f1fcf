"""Definitions of our own, and their solvers: written by a builder, checked in as prototxt."""

from __future__ import annotations

from collections.abc import Callable

from . import digits, lenet, sknet
from .definition import Definition, SolverDefinition
from .networks import NETWORKS as NETWORKS
from .networks import build as build

DEFINITIONS: dict[str, Callable[[], Definition | SolverDefinition]] = {
    "sknet50": sknet.sknet50,
    "sknet101": sknet.sknet101,
    "lenet_digits": lenet.lenet_digits,
    "lenet_digits_solver": lenet.lenet_digits_solver,
    "digits_sk_train": digits.digits_sk_train,
    "digits_sk_solver": digits.digits_sk_solver,
}


def text(name: str) -> str:
    """Return the text of one definition, as its file holds it."""
    return "# Written by `python -m prototxt.nets`: change the builder, not this file.\n\n" + str(
        DEFINITIONS[name]()
    )

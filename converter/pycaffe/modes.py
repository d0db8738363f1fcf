"""What is set for the whole process: where it runs, its random numbers, its part of a training."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import torch

LEVEL = "GLOG_minloglevel"
"""The variable by which scripts silence Caffe."""

UID = 128
"""Bytes of a training's name, as NCCL has them."""

_said: set[str] = set()
_shared = {"solver_count": 1, "solver_rank": 0, "multiprocess": 0}


def set_mode_cpu() -> None:
    """Run on the CPU, as everything does."""


def set_mode_gpu() -> None:
    """Say once that what follows runs on the CPU all the same."""
    _say_once("caffe.set_mode_gpu(): networks run on the CPU here")


def set_device(device: int) -> None:
    """Say once that there is no choice of GPUs."""
    _say_once("caffe.set_device(): networks run on the CPU here")


def set_random_seed(seed: int) -> None:
    """Seed fillers and whatever layers draw; the numbers are not those of Caffe's generator."""
    torch.manual_seed(seed)


def init_log(*level: int) -> None:
    """Do nothing: there is no log."""


def log(message: str) -> None:
    """Write a line to the error output, unless GLOG_minloglevel silences it."""
    if os.environ.get(LEVEL, "0") in ("", "0"):
        print(message, file=sys.stderr)


def solver_count() -> int:
    """Return the number of solvers of a training."""
    return _shared["solver_count"]


def set_solver_count(count: int) -> None:
    """Set the number of solvers of a training."""
    _shared["solver_count"] = count


def solver_rank() -> int:
    """Return this process' number among a training's."""
    return _shared["solver_rank"]


def set_solver_rank(rank: int) -> None:
    """Set this process' number among a training's."""
    _shared["solver_rank"] = rank


def set_multiprocess(on: bool) -> None:
    """Say that each process has one solver."""
    _shared["multiprocess"] = int(on)


def has_nccl() -> bool:
    """Return False: gradients are not exchanged between GPUs here."""
    return False


class NCCL:
    """Exchanges the gradients of a training's solvers: of a single one there are none to exchange.

    Raises RuntimeError where `set_solver_count` said that there are more.
    """

    def __init__(self, solver: Any, uid: Any) -> None:
        if solver_count() > 1:
            raise RuntimeError(
                f"{solver_count()} solvers: NCCL is not here, caffeport train exchanges "
                "gradients, started by torchrun"
            )

    @staticmethod
    def new_uid() -> bytes:
        """Return what names a training."""
        return bytes(UID)

    def bcast(self) -> None:
        """Do nothing: there is no other solver that begins with these weights."""


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        print(message, file=sys.stderr)


def seeded(seed: int) -> None:
    """Seed by a solver's `random_seed`, if it has one."""
    if seed >= 0:
        set_random_seed(int(np.int64(seed)))

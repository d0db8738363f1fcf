"""Learning-rate policies: what Caffe multiplies `base_lr` by in each iteration.

Caffe: src/caffe/solvers/sgd_solver.cpp, GetLearningRate
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from caffe_layers.base.number import float32
from prototxt.errors import FormatError, UnsupportedError


@dataclass
class Policy:
    """One `lr_policy` with the solver's fields that it reads.

    fixed: 1; step: gamma ^ (iter / stepsize, rounded down); exp: gamma ^ iter;
    inv: (1 + gamma * iter) ^ -power; multistep: gamma ^ (the number of stepvalues reached);
    poly: (1 - iter / max_iter) ^ power; sigmoid: 1 / (1 + exp(-gamma * (iter - stepsize))).

    Raises UnsupportedError for an unknown policy, FormatError for a stepsize below 1 or a negative
    gamma where one of them counts steps.
    """

    lr_policy: str = "fixed"
    gamma: float = 0.0
    power: float = 0.0
    stepsize: int = 0
    stepvalue: Sequence[int] = ()
    max_iter: int = 0
    current_step: int = 0
    """The steps so far: what a snapshot keeps. multistep takes one in an iteration at most."""

    def __post_init__(self) -> None:
        self.gamma, self.power = float32(self.gamma), float32(self.power)
        self.stepvalue = tuple(self.stepvalue)
        if not self.lr_policy:
            raise FormatError("lr_policy is missing", fix=f"one of {', '.join(FACTORS)}")
        if self.lr_policy not in FACTORS:
            close = difflib.get_close_matches(self.lr_policy, FACTORS, 1)
            fix = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(FACTORS)}"
            raise UnsupportedError(f"lr_policy {self.lr_policy!r} is unknown", fix=fix)
        if self.lr_policy == "step" and self.stepsize < 1:
            raise FormatError(f"stepsize is {self.stepsize}, lr_policy 'step' wants 1 or more")
        if self.lr_policy in ("step", "multistep") and self.gamma < 0:
            raise FormatError(
                f"gamma is {self.gamma:g}, lr_policy {self.lr_policy!r} wants 0 or more"
            )

    @classmethod
    def from_caffe(cls, solver: Any) -> Policy:
        """Read a SolverParameter."""
        return cls(
            solver.lr_policy,
            solver.gamma,
            solver.power,
            solver.stepsize,
            solver.stepvalue,
            solver.max_iter,
        )

    def factor(self, iteration: int) -> float:
        """Return the factor of an iteration, which multistep wants to hear of in order."""
        return FACTORS[self.lr_policy](self, iteration)


def _fixed(policy: Policy, iteration: int) -> float:
    return 1.0


def _step(policy: Policy, iteration: int) -> float:
    policy.current_step = iteration // policy.stepsize
    return policy.gamma**policy.current_step


def _exp(policy: Policy, iteration: int) -> float:
    return policy.gamma**iteration


def _inv(policy: Policy, iteration: int) -> float:
    # The product is C++'s float * int, a float: in doubles the rate would be 2e-8 off.
    product = float(np.float32(policy.gamma) * np.float32(iteration))
    return float((1 + product) ** -policy.power)


def _multistep(policy: Policy, iteration: int) -> float:
    values = policy.stepvalue
    if policy.current_step < len(values) and iteration >= values[policy.current_step]:
        policy.current_step += 1
    return policy.gamma**policy.current_step


def _poly(policy: Policy, iteration: int) -> float:
    return float((1 - iteration / policy.max_iter) ** policy.power)


def _sigmoid(policy: Policy, iteration: int) -> float:
    return 1 / (1 + exp(-policy.gamma * (iteration - policy.stepsize)))


FACTORS: dict[str, Callable[[Policy, int], float]] = {
    "fixed": _fixed,
    "step": _step,
    "exp": _exp,
    "inv": _inv,
    "multistep": _multistep,
    "poly": _poly,
    "sigmoid": _sigmoid,
}


class PolicyLR(LRScheduler):
    """A policy as a scheduler of any of torch's optimizers; its epochs are Caffe's iterations."""

    def __init__(self, optimizer: Optimizer, policy: Policy, last_epoch: int = -1) -> None:
        self.policy = policy
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        factor = self.policy.factor(self.last_epoch)
        return [base * factor for base in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        state = {key: value for key, value in super().state_dict().items() if key != "policy"}
        return state | {"current_step": self.policy.current_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        self.policy.current_step = state.pop("current_step")
        super().load_state_dict(state)

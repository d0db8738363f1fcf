"""What Caffe's optimizers have in common: how a gradient becomes an update.

Caffe: src/caffe/solvers/sgd_solver.cpp, ApplyUpdate and ClipGradients
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypedDict

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from caffe_layers.base.number import float32
from prototxt.errors import FormatError, UnsupportedError

REGULARIZATIONS = ("L2", "L1")

CACHED_VALUES = 1 << 16
"""How many values a CPU handles at once."""


class UpdateOptions(TypedDict, total=False):
    """What every rule takes: see `CaffeOptimizer`."""

    weight_decay: float
    regularization_type: str
    clip_gradients: float
    iter_size: int


class CaffeOptimizer(Optimizer):
    """Base of the optimizers. One `step` is Caffe's ApplyUpdate, in Caffe's order.

    1. All gradients together are clipped to the norm `clip_gradients`, unless that is negative.
    2. They are divided by `iter_size`, the number of backward passes that they sum.
    3. `weight_decay * decay_mult` times w (L2) or sign(w) (L1) is added.
    4. The rule makes an update of them, with the rate `lr * lr_mult`, and w -= update.

    Groups of parameters may carry `lr_mult` and `decay_mult`, as `CaffeNet.parameter_groups` gives
    them. A parameter without a gradient has the gradient 0 and decays, as in Caffe; one that wants
    none (`requires_grad` False) is left alone, unless it is in a group with `lr_mult` 0, which
    keeps its history and never its value. All numbers but `lr` are rounded to float32, as Caffe's
    fields are.

    Raises FormatError for numbers that Caffe refuses, UnsupportedError for another regularization.
    """

    histories: ClassVar[int] = 1
    """How many tensors a parameter's history has."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        weight_decay: float = 0.0,
        regularization_type: str = "L2",
        clip_gradients: float = -1.0,
        iter_size: int = 1,
        **rule: float,
    ) -> None:
        if regularization_type not in REGULARIZATIONS:
            raise UnsupportedError(
                f"regularization_type {regularization_type!r} is unknown",
                fix=f"one of {', '.join(REGULARIZATIONS)}",
            )
        if iter_size < 1:
            raise FormatError(f"iter_size is {iter_size}, wants 1 or more")
        self.clip_gradients = float32(clip_gradients)
        self.iter_size = iter_size
        self.keeps_updates = False  # Caffe's diffs hold them after an update
        defaults: dict[str, Any] = {
            "lr": lr,
            "lr_mult": 1.0,
            "decay_mult": 1.0,
            "weight_decay": float32(weight_decay),
            "regularization_type": regularization_type,
            "iteration": 0,
        }
        super().__init__(params, defaults | {name: float32(value) for name, value in rule.items()})

    def history(self, parameter: Tensor) -> list[Tensor]:
        """Return a parameter's history, zeros before its first update: `histories` tensors."""
        state = self.state[parameter]
        for index in range(self.histories):
            if f"history{index}" not in state:
                state[f"history{index}"] = torch.zeros_like(
                    parameter, memory_format=torch.preserve_format
                )
        return [state[f"history{index}"] for index in range(self.histories)]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters; `closure`, if given, computes the loss and the gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        gradients = [
            parameter.grad
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        scale = clip_scale(gradients, self.clip_gradients)
        for group in self.param_groups:
            self._update(group, scale)
            group["iteration"] += 1
        return loss

    def _update(self, group: dict[str, Any], scale: Tensor | None) -> None:
        rate = group["lr"] * float32(group["lr_mult"])
        decay = group["weight_decay"] * float32(group["decay_mult"])
        params = [
            parameter
            for parameter in group["params"]
            if parameter.grad is not None or self._moves(parameter, rate, decay)
        ]
        for some in _chunks(params):
            self._apply_update(group, some, rate, decay, scale)

    def _apply_update(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        rate: float,
        decay: float,
        scale: Tensor | None,
    ) -> None:
        gradients = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for parameter in params
        ]
        if scale is not None:
            gradients = list(torch._foreach_mul(gradients, scale))
        if self.iter_size > 1:
            gradients = list(torch._foreach_mul(gradients, 1 / self.iter_size))
        if decay:
            l1 = group["regularization_type"] == "L1"
            grown = torch._foreach_sign(params) if l1 else params
            gradients = list(torch._foreach_add(gradients, grown, alpha=decay))
        histories = list(zip(*map(self.history, params), strict=True))
        updates = self.rule(group, rate, gradients, *map(list, histories))
        if self.keeps_updates:
            for parameter, update in zip(params, updates, strict=True):
                if parameter.grad is not None:
                    parameter.grad.copy_(update)
        if rate:
            torch._foreach_sub_(params, updates)

    def _moves(self, parameter: Tensor, rate: float, decay: float) -> bool:
        """Tell whether a parameter without a gradient has an update or a history to keep."""
        if rate and not parameter.requires_grad:
            return False
        return bool(decay) or bool(self.state.get(parameter))

    def rule(
        self, group: dict[str, Any], rate: float, gradients: list[Tensor], *histories: list[Tensor]
    ) -> Any:
        """Return the updates and change the histories in place; gradients must stay as they are."""
        raise NotImplementedError


def clip_scale(gradients: Sequence[Tensor], clip_gradients: float) -> Tensor | None:
    """Return what to multiply gradients by so that their L2 norm is at most `clip_gradients`.

    The norm is that of all of them together. A negative `clip_gradients` means that they are not
    clipped: None. The result stays on the gradients' device, so that nothing waits for it.
    """
    if clip_gradients < 0 or not gradients:
        return None
    norm = get_total_norm(gradients)
    return torch.where(norm > clip_gradients, clip_gradients / norm, torch.ones_like(norm))


def _chunks(params: list[Tensor]) -> list[list[Tensor]]:
    """Divide parameters on a CPU, so that what lies between gradient and update stays cached."""
    chunks: list[list[Tensor]] = []
    size = 0
    for parameter in params:
        if not chunks or (parameter.is_cpu and size + parameter.numel() > CACHED_VALUES):
            chunks.append([])
            size = 0
        chunks[-1].append(parameter)
        size += parameter.numel()
    return chunks

"""All of torch that is used here and that torch calls private: what a new release may take away.

Each was seen in torch 2.6 to 2.13. Two more stand where they are fenced: the step of SGD in
`converter/training/fused_sgd.py`, oneDNN's convolutions in `caffe_layers/fused/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch._higher_order_ops.while_loop import while_loop as _while_loop
from torch.nn.modules import module as _module

AUTOCAST_KEYS = {
    "cpu": torch._C.DispatchKey.AutocastCPU,
    "cuda": torch._C.DispatchKey.AutocastCUDA,
}
"""What torch looks up an operator by while autocast is on, by the device."""


def without_key(key: Any) -> AbstractContextManager[None]:
    """Let operators be looked up as if this key was not there."""
    guard: AbstractContextManager[None]
    guard = torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(key))
    return guard


def overload_of(operator: Any) -> Any:
    """Return the one form of an operator of `torch.library.custom_op`."""
    return operator._opoverload


def is_traced_by_jit() -> bool:
    """Tell whether `torch.jit.trace` records what is computed."""
    return torch._C._get_tracing_state() is not None


GLOBAL_HOOKS: tuple[Mapping[int, Any], ...] = (
    _module._global_forward_hooks,
    _module._global_forward_pre_hooks,
    _module._global_backward_hooks,
    _module._global_backward_pre_hooks,
)
"""What is called with every module's call."""


def hooks_of(module: nn.Module) -> tuple[Mapping[int, Any], ...]:
    """Return what is called with the module's calls: as long as all are empty, `forward` alone."""
    return (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )


def while_loop(
    goes_on: Callable[..., Tensor], step: Callable[..., tuple[Tensor, ...]], state: Any
) -> tuple[Tensor, ...]:
    """Return the state after the last step, as one node of a traced program."""
    last: tuple[Tensor, ...] = _while_loop(goes_on, step, state)  # type: ignore[no-untyped-call]  # torch's has none
    return last


def trace_error() -> type[Exception]:
    """Return what `torch.export` raises for a network that it cannot trace as it is told to."""
    from torch._dynamo.exc import UserError  # takes a second, and only who exports waits

    return UserError


def is_fixed(size: Any) -> bool:
    """Tell whether a size in an exported program is a number."""
    from torch.fx.experimental.symbolic_shapes import is_concrete_int  # imports sympy

    return is_concrete_int(size)


def argument_shapes(program: torch.export.ExportedProgram) -> Any:
    """Return the shapes of a program's positional arguments, arranged as these were."""
    shapes: list[Size] = [
        node.meta["val"].shape
        for node in program.graph.nodes
        if node.name in program.graph_signature.user_inputs
    ]
    arguments, _ = torch.utils._pytree.tree_unflatten(shapes, program.call_spec.in_spec)
    return arguments

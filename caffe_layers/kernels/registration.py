"""What the operators have in common: their namespace, and how they behave under autocast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import Library

NAMESPACE = "caffeport"
_LIBRARY = Library(NAMESPACE, "FRAGMENT")  # type: ignore[no-untyped-call]  # torch's has none
_AUTOCAST = {
    "cpu": torch._C.DispatchKey.AutocastCPU,
    "cuda": torch._C.DispatchKey.AutocastCUDA,
}


def register_autocast(operator: Any, cast: Callable[..., tuple[Any, ...]]) -> None:
    """Let `cast(dtype, *arguments)` give an operator's arguments where autocast is on.

    Torch's own `register_autocast` casts all arguments to one dtype that is fixed beforehand: not
    to the one that the user chose, and weights, which cost nothing, would lose their float32.
    """
    overload = operator._opoverload

    def register(device: str, key: Any) -> None:
        def run(*arguments: Any) -> Any:
            dtype = torch.get_autocast_dtype(device)
            with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(key)):
                return overload(*cast(dtype, *arguments))

        _LIBRARY.impl(overload, run, key.name)  # type: ignore[no-untyped-call]  # as above

    for device, key in _AUTOCAST.items():
        register(device, key)


def lowered(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Cast as autocast does: float64 and what is no float stay as they are."""
    casts = tensor.is_floating_point() and tensor.dtype != torch.float64
    return tensor.to(dtype) if casts else tensor

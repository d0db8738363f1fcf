"""What the operators have in common: their namespace, and how they behave under autocast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import Library

from caffe_layers.base.private_torch import AUTOCAST_KEYS, overload_of, without_key

NAMESPACE = "caffeport"
_LIBRARY = Library(NAMESPACE, "FRAGMENT")  # type: ignore[no-untyped-call]  # torch's has none


def register_autocast(operator: Any, cast: Callable[..., tuple[Any, ...]]) -> None:
    """Let `cast(dtype, *arguments)` give an operator's arguments where autocast is on.

    Torch's own `register_autocast` casts all arguments to one dtype that is fixed beforehand: not
    to the one that the user chose, and weights, which cost nothing, would lose their float32.
    """
    overload = overload_of(operator)

    def register(device: str, key: Any) -> None:
        def run(*arguments: Any) -> Any:
            dtype = torch.get_autocast_dtype(device)
            with without_key(key):
                return overload(*cast(dtype, *arguments))

        _LIBRARY.impl(overload, run, key.name)  # type: ignore[no-untyped-call]  # as above

    for device, key in AUTOCAST_KEYS.items():
        register(device, key)


def lowered(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Cast as autocast does: float64 and what is no float stay as they are."""
    casts = tensor.is_floating_point() and tensor.dtype != torch.float64
    return tensor.to(dtype) if casts else tensor

"""The device that a caller names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from prototxt.errors import UnsupportedError, headline


@contextmanager
def on_device(name: str | torch.device | None) -> Iterator[None]:
    """Raise UnsupportedError, with the device's name, for what torch says of it in the block."""
    try:
        yield
    except (RuntimeError, AssertionError) as error:  # the latter where torch has no CUDA
        raise UnsupportedError(f"device {str(name)!r}: {headline(error)}") from None

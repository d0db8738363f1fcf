"""Rewritings of a loaded network for inference, one a file; torch and ONNX both run the outcome.

Each takes the wiring, changes it, and returns one sentence of what it did, "" where nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from .add_shortcuts import add_shortcuts
from .average_before_adding import average_before_adding
from .drop_identities import drop_identities
from .fold_normalization import fold_normalization
from .fuse_relu import fuse_relu
from .fuse_selections import fuse_selections
from .pack_convolutions import pack_convolutions
from .wiring import Wiring

__all__ = ["LAYOUT_PASSES", "PASSES", "Wiring"]

PASSES: tuple[Callable[[Wiring], str], ...] = (
    # First: a layer that does nothing would stand between those that belong together.
    drop_identities,
    # Before the ReLU: a convolution that does its ReLU takes in nothing after that any more.
    fold_normalization,
    # Before packing, which keeps what a plain convolution does afterwards.
    fuse_relu,
    fuse_selections,
    average_before_adding,
)

LAYOUT_PASSES: tuple[Callable[[Wiring], str], ...] = (
    # After all that changes a convolution's weights.
    pack_convolutions,
    # Last: only a packed convolution can add.
    add_shortcuts,
)
"""Those after them, for torch alone: a file has no use of the order in which torch's CPU reads."""

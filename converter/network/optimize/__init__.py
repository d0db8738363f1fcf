"""Rewritings of a loaded network for inference, one a file; torch and ONNX both run the outcome."""

from __future__ import annotations

import copy
from collections.abc import Callable

from converter.network.net import CaffeNet
from prototxt.errors import UnsupportedError

from .add_shortcuts import add_shortcuts
from .average_before_adding import average_before_adding
from .drop_identities import drop_identities
from .fold_normalization import fold_normalization
from .fuse_relu import fuse_relu
from .fuse_selections import fuse_selections
from .pack_convolutions import pack_convolutions
from .wiring import Wiring

PASSES: tuple[Callable[[Wiring], str], ...] = (
    drop_identities,
    fold_normalization,
    fuse_relu,
    fuse_selections,
    average_before_adding,
    pack_convolutions,
    add_shortcuts,
)


def optimize(net: CaffeNet, *, channels_last: bool = True, compile: bool = False) -> CaffeNet:
    """Return a network that computes the same outputs faster, for inference alone.

    Layers that do nothing in testing go, convolutions take in the normalisation and the ReLU behind
    them, the selection of SK units becomes one layer, sums are averaged before they are added,
    memory is laid out with the channels last; on a CPU weights are kept packed as well, which takes
    their memory twice, and convolutions add the shortcut beside them. With `compile` torch compiles
    the whole. `net` itself stays as it is. What was done stands in the result's `notes`; values by
    Caffe's names of what was folded away are gone, outputs stay.

    Raises UnsupportedError for a network of the TRAIN phase.
    """
    if net.phase == "TRAIN":
        raise UnsupportedError("a network of the TRAIN phase", fix="load the TEST phase")
    wiring = Wiring(copy.deepcopy(net).eval())
    said = [done for rewrite in PASSES if (done := rewrite(wiring))]
    faster = wiring.network()
    faster.optimized = True
    if channels_last:
        faster.use_channels_last()
        said.append("laid out memory with the channels last")
    if compile:
        faster.compile()
        said.append("compiled by torch at the first call")
    faster.notes = [*net.notes, *(f"optimized: {done}" for done in said)]
    for blob in faster.parameters():
        blob.requires_grad_(False)
    return faster

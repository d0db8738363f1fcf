"""Rewritings of an emitted ONNX graph, one a file.

Each takes the graph and what is asked for, changes the graph, and returns one sentence of what it
did, "" where nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from converter.onnx.graph import Graph

from .embed_preprocessing import embed_preprocessing
from .fold_bn import fold_bn
from .join_groups import join_groups
from .mark_batch import mark_batch
from .pool_strides import pool_strides
from .request import Request
from .spell_identities import spell_identities
from .spell_prelu import spell_prelu
from .split_groups import split_groups
from .to_half import to_half
from .to_int8 import to_int8
from .weigh_each import weigh_each

__all__ = ["PASSES", "Request", "rewrite"]

PASSES: tuple[Callable[[Graph, Request], str], ...] = (
    # First: it wants weights that are as the layers hold them, and a Conv beside its normalisation.
    fold_bn,
    # After folding, which tells the channels apart.
    join_groups,
    # Forms that take less time in eight bits; the groups as they were joined.
    split_groups,
    weigh_each,
    pool_strides,
    spell_prelu,
    # Of the network's own inputs, which images become outside of eight bits.
    to_int8,
    # Before half precision, which leaves resizing in float32.
    embed_preprocessing,
    # What one engine needs, of the operators that are left.
    spell_identities,
    mark_batch,
    # Last: it puts casts between all the nodes that there are.
    to_half,
)


def rewrite(graph: Graph, request: Request) -> None:
    """Run every pass in its turn; the graph's notes say what they did."""
    for one in PASSES:
        if done := one(graph, request):
            graph.notes.append(done)

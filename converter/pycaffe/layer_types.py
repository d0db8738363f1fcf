"""The layer types that a network may have."""

from __future__ import annotations

from caffe_layers import LAYERS

from .engine.vectors import StringVec


def layer_type_list() -> StringVec:
    """Return the types that run here, sorted."""
    return StringVec(sorted(LAYERS))

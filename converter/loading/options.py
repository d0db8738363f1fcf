"""The keyword arguments of `load`, for those that hand them on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypedDict

import torch

from caffe_layers import Shape
from prototxt.schema.protos import Protos

from .user_layers import Layers

Phase = Literal["TRAIN", "TEST"]

Rename = Mapping[str, str | Sequence[str]]
"""Layers of files of weights -> those of the network that are filled from them, `a,b` for two."""


class LoadOptions(TypedDict, total=False):
    """See `load`, whose signature this is."""

    phase: Phase
    level: int
    stages: Iterable[str]
    dtype: torch.dtype
    device: str | torch.device | None
    input_shapes: Mapping[str, Shape] | None
    values: Mapping[str, str] | None
    global_pool: bool
    dialect: str | None
    allow_unknown: bool
    require_weights: bool
    rename: Rename | None
    ignore: Iterable[str]
    allow_missing: bool
    seed: int
    deploy: bool
    skip: Iterable[str]
    end: Iterable[str]
    layers: Layers
    proto: Protos
    weightless: bool

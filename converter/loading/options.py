"""The keyword arguments of `load`, for those that hand them on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import index
from typing import Any, Literal, TypedDict

import numpy as np
import torch

from caffe_layers import Shape
from prototxt.errors import UsageError
from prototxt.schema.protos import Protos

from .user_layers import Layers

Phase = Literal["TRAIN", "TEST"]

Rename = Mapping[str, str | Sequence[str]]
"""Layers of files of weights -> those of the network that are filled from them, `a,b` for two."""


DType = torch.dtype | str | type[np.generic] | np.dtype[Any]
"""torch's, or its name, or NumPy's: `torch.float64`, "float64", `np.float64`."""


def as_phase(phase: str) -> Phase:
    """Return a phase in Caffe's letters; UsageError for what is none."""
    named = str(phase).upper()
    if named == "TRAIN":
        return "TRAIN"
    if named == "TEST":
        return "TEST"
    raise UsageError(f"phase {phase!r} wants TRAIN or TEST")


def is_int8(dtype: DType) -> bool:
    """Tell whether eight bits are meant, in which no network is loaded but an ONNX file written."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    return name.removeprefix("torch.") == "int8"


def as_dtype(dtype: DType) -> torch.dtype:
    """Return a float type of torch's by itself or its name; UsageError for what is none."""
    found: Any = dtype
    if not isinstance(dtype, torch.dtype):
        name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
        found = getattr(torch, name.removeprefix("torch."), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        known = "float32, float64, float16, bfloat16"
        raise UsageError(f"dtype {dtype!r} is no type of a network's numbers", fix=f"of {known}")
    return found


def as_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return names as given, one or several."""
    return (names,) if isinstance(names, str) else tuple(names)


def as_shapes(shapes: Mapping[str, Iterable[int]] | None) -> dict[str, Shape]:
    """Return shapes by name; UsageError for one that is not made of whole numbers."""
    made = {}
    for name, shape in (shapes or {}).items():
        try:
            made[name] = tuple(map(index, shape))
        except TypeError:
            raise UsageError(
                f"the shape of {name!r} is {shape!r}", fix="write (1, 3, 224, 224)"
            ) from None
    return made


class LoadOptions(TypedDict, total=False):
    """See `load`, whose signature this is."""

    phase: Phase | Literal["train", "test"]
    level: int
    stages: str | Iterable[str]
    dtype: DType
    device: str | torch.device | None
    input_shapes: Mapping[str, Shape] | None
    values: Mapping[str, str] | None
    global_pool: bool
    dialect: str | None
    allow_unknown: bool
    require_weights: bool
    rename: Rename | None
    ignore: str | Iterable[str]
    allow_missing: bool
    seed: int
    deploy: bool
    skip: str | Iterable[str]
    end: str | Iterable[str]
    layers: Layers
    proto: Protos
    weightless: bool
    mapped: bool
    merge_bn: bool

"""Eltwise of one bottom, which BVLC refuses and a fork scales."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.message import enum_name


def is_scaling(layer: Any) -> bool:
    """Tell whether an Eltwise sums one bottom."""
    return len(layer.bottom) == 1 and enum_name(layer.eltwise_param, "operation") == "SUM"

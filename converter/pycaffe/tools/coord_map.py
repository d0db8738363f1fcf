"""caffe.coord_map: where a place of one top lies in another, and the Crop that aligns them.

Caffe: python/caffe/coord_map.py
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .net_spec import Top, layers

PASS_THROUGH_LAYERS = sorted(
    {
        *("AbsVal", "BNLL", "BatchNorm", "Bias", "Dropout", "ELU", "Eltwise", "Exp", "LRN", "Log"),
        *("MVN", "PReLU", "Power", "ReLU", "Scale", "Sigmoid", "Split", "TanH", "Threshold"),
    }
)
"""Types whose tops have their bottoms' coordinates; BVLC's name."""

Map = tuple[Any, Any, Any]
"""First spatial axis, scale and shift; None where every axis is meant."""
IDENTITY: Map = (None, 1, 0)


class UndefinedMapException(Exception):  # noqa: N818  # BVLC's name
    """A layer without coordinates."""


class AxisMismatchException(Exception):  # noqa: N818  # BVLC's name
    """Maps of different axes."""


def conv_params(fn: Any) -> tuple[Any, Any, Any, Any]:
    """Return a window's axis, stride, extent and padding."""
    params = fn.params.get("convolution_param", fn.params)
    legacy = {f"{what}_{side}" for what in ("pad", "kernel", "stride") for side in "hw"}
    assert legacy.isdisjoint(fn.params), "cropping does not support legacy _h/_w params"
    kernel = np.array(params["kernel_size"], ndmin=1)
    dilation = np.array(params.get("dilation", 1), ndmin=1)
    return (
        params.get("axis", 1),
        np.array(params.get("stride", 1), ndmin=1),
        (kernel - 1) * dilation + 1,
        np.array(params.get("pad", 0), ndmin=1),
    )


def crop_params(fn: Any) -> tuple[int, Any]:
    """Return a Crop's axis and offset."""
    params = fn.params.get("crop_param", fn.params)
    return params.get("axis", 2), np.array(params.get("offset", 0), ndmin=1)


def coord_map(fn: Any) -> Map:
    """Return a layer's map from its bottom's coordinates to its top's."""
    kind = fn.type_name
    if kind == "Deconvolution":
        axis, stride, extent, pad = conv_params(fn)
        return axis, stride, (extent - 1) / 2 - pad
    if kind in ("Convolution", "Pooling", "Im2col"):
        axis, stride, extent, pad = conv_params(fn)
        return axis, 1 / stride, (pad - (extent - 1) / 2) / stride
    if kind == "Crop":
        axis, offset = crop_params(fn)
        return axis - 1, 1, -offset
    if kind in PASS_THROUGH_LAYERS:
        return IDENTITY
    raise UndefinedMapException


def compose(base_map: Map, next_map: Map) -> Map:
    """Return the map that takes one and then the other."""
    axis, scale, shift = base_map
    next_axis, next_scale, next_shift = next_map
    if None not in (axis, next_axis) and axis != next_axis:
        raise AxisMismatchException
    return (
        next_axis if axis is None else axis,
        scale * next_scale,
        scale * next_shift + shift,
    )


def inverse(coord_map: Map) -> Map:
    """Return the map the other way round."""
    axis, scale, shift = coord_map
    return axis, 1 / scale, -shift / scale


def coord_map_from_to(top_from: Top, top_to: Top) -> Map:
    """Return the map between two tops, by a common ancestor; RuntimeError if there is none."""
    from_maps = _maps_of(top_from)
    for top, found in _maps_of(top_to).items():
        if top in from_maps:
            return compose(found, inverse(from_maps[top]))
    raise RuntimeError("Could not compute map between tops; are they connected by spatial layers?")


def _maps_of(start: Top) -> dict[Top, Map]:
    """Return a top and all that it stems from, the nearest first, with the map to each."""
    maps: dict[Top, Map] = {start: IDENTITY}
    waiting = [start]
    while waiting:
        top = waiting.pop(0)
        bottoms = top.fn.inputs[:1] if top.fn.type_name == "Crop" else top.fn.inputs
        for bottom in bottoms:
            try:
                found = compose(maps[top], coord_map(top.fn))
            except UndefinedMapException:
                continue
            maps[bottom] = found
            waiting.append(bottom)
    return maps


def crop(top_from: Top, top_to: Top) -> Any:
    """Return the Crop of one top that another is aligned with; AssertionError if none is."""
    axis, scale, shift = coord_map_from_to(top_from, top_to)
    assert (scale == 1).all(), f"scale mismatch on crop (a = {scale})"
    assert (shift <= 0).all(), f"cannot crop negative offset (b = {shift})"
    assert (np.round(shift) == shift).all(), f"cannot crop noninteger offset (b = {shift})"
    offset = [int(value) for value in np.atleast_1d(-np.round(shift))]
    return layers.Crop(top_from, top_to, crop_param={"axis": axis + 1, "offset": offset})

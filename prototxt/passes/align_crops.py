"""Crop layers without parameters, which begin where coordinate maps say.

The Crop of Caffe's branch `future` computes its offset, so that the places of its two bottoms
which stem from one place of a common ancestor meet. Along an axis each layer maps the coordinate x
of its top to `scale * x + shift` of its bottom, or the other way round: a convolution or pooling
by `stride * x + (extent - 1) / 2 - pad` from top to bottom, extent being the kernel with its
dilation, a deconvolution so from bottom to top. Element-wise layers change nothing, a Crop shifts
by its offset.

Caffe: zeakey/DeepSkeleton, src/caffe/layers/crop_layer.cpp, include/caffe/util/coords.hpp;
yun-liu/rcf, src/caffe/layers/auto_crop_layer.cpp; BVLC/caffe, python/caffe/coord_map.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor
from typing import Any

from prototxt.errors import ShapeError, UnsupportedError, within
from prototxt.net import Net, describe

SPATIAL = 2
"""Height and width."""
SAME_PLACES = frozenset(
    {
        *(
            "AbsVal",
            "BNLL",
            "BatchNorm",
            "Bias",
            "BN",
            "Concat",
            "Dropout",
            "ELU",
            "Eltwise",
            "Exp",
        ),
        *("LRN", "Log", "MVN", "PReLU", "Power", "ReLU", "Scale", "Sigmoid", "Slice", "Softmax"),
        *("Split", "TanH", "Threshold"),
    }
)
"""Types whose tops have their bottoms' coordinates."""

CROPS = ("Crop", "AutoCrop")
BOTTOMS = 2  # the layer itself refuses another number of them
_LOST = (
    "no Crop has a crop_param: they begin at 0, as BVLC's do; the coordinate maps of older ones "
    "lead nowhere: {}"
)

Offset = tuple[int, ...]


@dataclass(frozen=True)
class Affine:
    """`scale * x + shift`, along one axis."""

    scale: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)

    def after(self, other: Affine) -> Affine:
        """Return the map that takes `other` first."""
        return Affine(self.scale * other.scale, self.scale * other.shift + self.shift)

    def inverse(self) -> Affine:
        """Return the map the other way round."""
        return Affine(1 / self.scale, -self.shift / self.scale)


Maps = tuple[Affine, ...]
"""One for each spatial axis."""


def align_crops(net: Net, dialect: str | None = None) -> tuple[Net, list[str]]:
    """Give Crop layers the offsets that the branch `future` computes, where it is meant.

    So it is where no Crop of the network says a `crop_param`, and that branch would run it; and
    for type AutoCrop always. `dialect` names who is meant: "future", or "bvlc" for offset 0. A
    half is rounded up where "future" is named; the branch itself aborts.

    Raises ShapeError where an offset must be computed and cannot, UnsupportedError where some of
    them can and others not.
    """
    crops = {
        at: layer.type
        for at, layer in enumerate(net.layers)
        if layer.type in CROPS and len(layer.bottom) == BOTTOMS
    }
    bare = [at for at in crops if not net.layers[at].HasField("crop_param")]
    told = any(at not in bare for at, kind in crops.items() if kind == "Crop")
    named = dialect == "future"
    wanted = [at for at in bare if named or crops[at] == "AutoCrop"]
    offsets: dict[int, Offset] = {}
    for at in wanted:
        with within(describe(net.layers[at])):
            offsets[at] = _offset(net.layers, at, offsets, rounds=named)
    notes: list[str] = []
    if not (told or named or dialect == "bvlc"):
        found, notes = _guessed(net, [at for at in bare if at not in wanted], offsets)
        offsets |= found
    return _with_offsets(net, offsets), notes


def _guessed(
    net: Net, crops: Sequence[int], known: Mapping[int, Offset]
) -> tuple[dict[int, Offset], list[str]]:
    """Return the offsets of Crops for which nobody says what they are, and what to tell of it."""
    found: dict[int, Offset] = {}
    lost: list[str] = []
    for at in crops:
        try:
            with within(describe(net.layers[at])):
                found[at] = _offset(net.layers, at, {**known, **found})
        except ShapeError as error:
            lost.append(str(error))
    if not any(map(any, found.values())):
        return {}, [_LOST.format(lost[0])] if lost else []
    said = ", ".join(sorted({"x".join(map(str, offset)) for offset in found.values()}))
    if lost:
        raise UnsupportedError(
            f"no Crop has a crop_param, and coordinate maps give {len(found)} of them the offsets "
            f"{said}, but not all: {lost[0]}",
            fix="--dialect future computes them all, a half rounded up; --dialect bvlc begins at 0",
        )
    return found, [
        f"no Crop has a crop_param: {len(found)} begin where coordinate maps say (offset {said}), "
        "as in Caffe's branch 'future'; --dialect bvlc begins at 0"
    ]


def _with_offsets(net: Net, offsets: dict[int, Offset]) -> Net:
    layers = list(net.layers)
    for at, offset in offsets.items():
        layers[at] = type(layers[at]).FromString(layers[at].SerializePartialToString())
        layers[at].crop_param.offset.extend(offset)
    return replace(net, layers=layers) if offsets else net


def _offset(
    layers: Sequence[Any], at: int, known: Mapping[int, Offset], *, rounds: bool = False
) -> Offset:
    """Return where the first bottom is cropped."""
    makers = _makers(layers[:at])
    cropped, reference = (_way_down(layers, makers, blob) for blob in layers[at].bottom[:2])
    common = next((blob for blob in reference if blob in cropped), None)
    if common is None:
        raise ShapeError("the two bottoms have no common origin, so nothing says where to crop")
    ways = [way[: way.index(common)] for way in (cropped, reference)]
    maps = [
        _composed([(makers[blob], layers[makers[blob]]) for blob in way], known) for way in ways
    ]
    found = [to.after(of.inverse()) for of, to in zip(*maps, strict=True)]
    for one in found:
        if one.scale != 1:
            raise ShapeError(f"the bottoms' places are {one.scale} times as far apart, wants 1")
        if one.shift > 0 or (one.shift.denominator != 1 and not rounds):
            raise ShapeError(f"the offset would be {-one.shift}, wants a whole number from 0 on")
    return tuple(floor(Fraction(1, 2) - one.shift) for one in found)


def _makers(layers: Sequence[Any]) -> dict[str, int]:
    """Return the layer that makes each blob; those that write in place later move nothing."""
    makers: dict[str, int] = {}
    for at, layer in enumerate(layers):
        for top in layer.top:
            makers.setdefault(top, at)
    return makers


def _way_down(layers: Sequence[Any], makers: dict[str, int], blob: str) -> list[str]:
    """Return a blob and those that it stems from, by every layer's first bottom."""
    way = [blob]
    while blob in makers and layers[makers[blob]].bottom:
        blob = layers[makers[blob]].bottom[0]
        if blob in way:
            break
        way.append(blob)
    return way


def _composed(layers: Sequence[tuple[int, Any]], known: Mapping[int, Offset]) -> Maps:
    """Return the map from the places of the last layer's bottom to those of the first's top."""
    whole: Maps = (Affine(),) * SPATIAL
    for at, layer in layers:
        own = _map_of(layer, known.get(at))
        whole = tuple(one.after(further) for one, further in zip(whole, own, strict=True))
    return whole


def _map_of(layer: Any, offset: Offset | None) -> Maps:
    """Return the map from a layer's bottom to its top."""
    if layer.type in SAME_PLACES:
        return (Affine(),) * SPATIAL
    if layer.type in ("Convolution", "Pooling", "Deconvolution", "Im2col"):
        windows = _windows(layer)
        return windows if layer.type == "Deconvolution" else tuple(m.inverse() for m in windows)
    if layer.type in CROPS:
        given = offset or tuple(layer.crop_param.offset) or (0,)
        shifts = given * SPATIAL if len(given) == 1 else given[-SPATIAL:]
        return tuple(Affine(shift=Fraction(-shift)) for shift in shifts)
    raise ShapeError(f"{describe(layer)} has no coordinate map")


def _windows(layer: Any) -> Maps:
    """Return how a window's place gives its centre's, along each axis."""
    pooling = layer.type == "Pooling"
    param = layer.pooling_param if pooling else layer.convolution_param
    if pooling and param.global_pooling:
        raise ShapeError(f"{describe(layer)} pools the whole map, which has no coordinates")
    kernels, strides, pads = (
        _pair(param, *names)
        for names in (
            ("kernel_size", "kernel_h", "kernel_w", 0),
            ("stride", "stride_h", "stride_w", 1),
            ("pad", "pad_h", "pad_w", 0),
        )
    )
    dilations = (1,) * SPATIAL if pooling else _pair(param, "dilation", "", "", 1)
    return tuple(
        Affine(Fraction(stride), Fraction((kernel - 1) * dilation, 2) - pad)
        for kernel, stride, pad, dilation in zip(kernels, strides, pads, dilations, strict=True)
    )


def _pair(param: Any, one: str, high: str, wide: str, default: int) -> tuple[int, ...]:
    """Return a number for each axis, from one field for all, or one for each axis."""
    if high and (param.HasField(high) or param.HasField(wide)):
        return getattr(param, high), getattr(param, wide)
    given = getattr(param, one)
    values = (given,) if isinstance(given, int) else tuple(given) or (default,)
    return values * SPATIAL if len(values) == 1 else values[:SPATIAL]

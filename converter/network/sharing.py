"""Blobs that several layers share by the name of their `param` row."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from caffe_layers import Layer
from prototxt.errors import ShapeError, within

from .layers import Layers
from .steps import Step


def share(steps: Iterable[Step], layers: Layers) -> None:
    """Let every named blob be its first owner's, as Caffe's networks do.

    STRICT sharers must have the owner's shape, PERMISSIVE ones its number of values. Multipliers
    that several sharers state must agree. Raises ShapeError otherwise.
    """
    owners: dict[str, tuple[str, Layer, str]] = {}
    for step in steps:
        layer = layers[step.key]
        for index, spec in enumerate(layer.param_specs):
            if not spec.name:
                continue
            name = layer.blob_names[index]
            with within(step.place):
                if spec.name not in owners:
                    owners[spec.name] = (step.key, layer, name)
                elif not layer.shares_blob(name):
                    _join(layer, index, *owners[spec.name])


def _join(layer: Layer, index: int, owner_key: str, owner: Layer, owned: str) -> None:
    spec = layer.param_specs[index]
    name = layer.blob_names[index]
    have, want = tuple(getattr(layer, name).shape), tuple(getattr(owner, owned).shape)
    at = owner.blob_names.index(owned)
    if spec.share_mode == "STRICT" and have != want:
        raise ShapeError(
            f"blob {name!r} is {have}, but shares {spec.name!r} of layer {owner_key!r}, {want}",
            fix="share_mode: PERMISSIVE shares blobs of one size and different shapes",
        )
    if prod(have) != prod(want):
        raise ShapeError(
            f"blob {name!r} has {prod(have)} values, but shares {spec.name!r} of layer "
            f"{owner_key!r}, which has {prod(want)}"
        )
    for field in ("lr_mult", "decay_mult"):
        mine, theirs = getattr(spec, field), getattr(owner.param_specs[at], field)
        if mine is not None and theirs is not None and mine != theirs:
            raise ShapeError(f"{field} of the shared {spec.name!r} is {mine}, and {theirs} before")
        if theirs is None and mine is not None:
            owner.set_spec(at, **{field: mine})
    layer.share_blob(name, owner, owned)

"""V1, `layers { type: CONVOLUTION ... }`, to V2, `layer { type: "Convolution" ... }`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prototxt.errors import UnsupportedError, within
from prototxt.net import Net
from prototxt.schema import Schema, dialect_of
from prototxt.schema.layer_types import NAMES, written_type

# The rows of V1's parallel lists become V2's `param` messages.
PARAM = {
    "param": "name",
    "blob_share_mode": "share_mode",
    "blobs_lr": "lr_mult",
    "weight_decay": "decay_mult",
}


def to_v2(net: Net) -> Net:
    """Rewrite every layer."""
    layers = []
    for index, layer in enumerate(net.layers):
        with within(net.place(index)):
            layers.append(rewrite(layer, net.schema))
    return replace(net, layers=layers)


def rewrite(old: Any, schema: Schema) -> Any:
    new: Any = schema.dialect(dialect_of(old)).message("LayerParameter")()
    for field, value in old.ListFields():
        if field.name == "type":
            name = written_type(old)
            new.type = NAMES.get(name, name)  # a fork's may be nobody's today
        elif field.name in PARAM:
            for index, item in enumerate(value):
                if index == len(new.param):
                    new.param.add()
                setattr(new.param[index], PARAM[field.name], item)
        elif field.name not in new.DESCRIPTOR.fields_by_name:
            raise UnsupportedError(f"{field.name} has no form of today")
        elif hasattr(value, "MergeFrom"):  # lists and messages
            getattr(new, field.name).MergeFrom(value)
        else:
            setattr(new, field.name, value)
    return new

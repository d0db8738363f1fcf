"""Transform fields inside V1's data layers to `transform_param`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prototxt.net import Net, copied

MESSAGES = {
    "DATA": "data_param",
    "IMAGE_DATA": "image_data_param",
    "WINDOW_DATA": "window_data_param",
}
FIELDS = ("scale", "mean_file", "crop_size", "mirror")


def move(net: Net) -> Net:
    """Move them; they win over what `transform_param` says. V2 layers are not looked at."""
    return replace(net, layers=[move_layer(layer) for layer in net.layers])


def move_layer(layer: Any) -> Any:
    message = MESSAGES.get(layer.LayerType.Name(layer.type))
    if message is None:
        return layer
    new = copied(layer)
    old = getattr(new, message)
    for name in FIELDS:
        if old.HasField(name):
            setattr(new.transform_param, name, getattr(old, name))
            old.ClearField(name)
    return new

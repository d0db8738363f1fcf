"""V0, `layers { layer { type: "conv" ... } ... }`, to V1.

One flat message held every layer's fields. Caffe looks only at whether a field was set.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prototxt.errors import CaffeError, FormatError, ShapeError, within
from prototxt.net import Net, copied

TYPES = {
    "accuracy": "ACCURACY",
    "bnll": "BNLL",
    "concat": "CONCAT",
    "conv": "CONVOLUTION",
    "data": "DATA",
    "dropout": "DROPOUT",
    "euclidean_loss": "EUCLIDEAN_LOSS",
    "flatten": "FLATTEN",
    "hdf5_data": "HDF5_DATA",
    "hdf5_output": "HDF5_OUTPUT",
    "im2col": "IM2COL",
    "images": "IMAGE_DATA",
    "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS",
    "pool": "POOLING",
    "relu": "RELU",
    "sigmoid": "SIGMOID",
    "softmax": "SOFTMAX",
    "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT",
    "tanh": "TANH",
    "window_data": "WINDOW_DATA",
}

# The message that a type's fields moved to, and what those are called there.
FIELDS: dict[str, tuple[str, dict[str, str]]] = {
    "concat": ("concat_param", {"concat_dim": "concat_dim"}),
    "conv": (
        "convolution_param",
        {
            "num_output": "num_output",
            "biasterm": "bias_term",
            "weight_filler": "weight_filler",
            "bias_filler": "bias_filler",
            "pad": "pad",
            "kernelsize": "kernel_size",
            "group": "group",
            "stride": "stride",
        },
    ),
    "data": (
        "data_param",
        {"source": "source", "batchsize": "batch_size", "rand_skip": "rand_skip"},
    ),
    "dropout": ("dropout_param", {"dropout_ratio": "dropout_ratio"}),
    "hdf5_data": ("hdf5_data_param", {"source": "source", "batchsize": "batch_size"}),
    "images": (
        "image_data_param",
        {
            "source": "source",
            "batchsize": "batch_size",
            "rand_skip": "rand_skip",
            "shuffle_images": "shuffle",
            "new_height": "new_height",
            "new_width": "new_width",
        },
    ),
    "infogain_loss": ("infogain_loss_param", {"source": "source"}),
    "innerproduct": (
        "inner_product_param",
        {
            "num_output": "num_output",
            "biasterm": "bias_term",
            "weight_filler": "weight_filler",
            "bias_filler": "bias_filler",
        },
    ),
    "lrn": (
        "lrn_param",
        {"local_size": "local_size", "alpha": "alpha", "beta": "beta", "k": "k"},
    ),
    "pool": (
        "pooling_param",
        {"pool": "pool", "pad": "pad", "kernelsize": "kernel_size", "stride": "stride"},
    ),
    "window_data": (
        "window_data_param",
        {
            "source": "source",
            "batchsize": "batch_size",
            "det_fg_threshold": "fg_threshold",
            "det_bg_threshold": "bg_threshold",
            "det_fg_fraction": "fg_fraction",
            "det_context_pad": "context_pad",
            "det_crop_mode": "crop_mode",
        },
    ),
}
TRANSFORM = {
    "scale": "scale",
    "meanfile": "mean_file",
    "cropsize": "crop_size",
    "mirror": "mirror",
}
KEPT = ("name", "blobs", "blobs_lr", "weight_decay")
HEADER = ("name", "input", "input_dim", "force_backward")  # all that Caffe keeps of the rest
OUTSIDE = ("layer", "bottom", "top")  # all that Caffe keeps beside a V0 layer


def to_v1(net: Net) -> Net:
    """Rewrite V0 layers as V1 ones, if there are any, and fold padding layers into their users."""
    if not any(layer.HasField("layer") for layer in net.layers):
        return net
    net = fold_padding(net)
    dropped = list(net.dropped)
    layers = []
    for index, layer in enumerate(net.layers):
        with within(place(net, index)):
            layers.append(rewrite(layer, dropped))
    header: Any = type(net.header)()
    for field, _ in net.header.ListFields():
        if field.name in HEADER:
            copy(net.header, field.name, header, field.name)
        else:
            dropped.append(f"{field.name}: Caffe keeps no such field of a V0 network")
    return replace(net, header=header, layers=layers, dropped=dropped)


def place(net: Net, index: int) -> str:
    layer: Any = net.layers[index]
    line = f":{net.lines[index]}" if index < len(net.lines) else ""
    name = layer.layer.name or layer.name
    return f"{net.source}{line}: layer {name!r} ({layer.layer.type or 'no V0 layer'})"


def fold_padding(net: Net) -> Net:
    """Move each padding layer's `pad` and bottom to the layers that read it; leave it out."""
    header: Any = net.header
    producer: dict[str, Any] = dict.fromkeys(header.input)
    kept: list[int] = []
    layers: list[Any] = []
    for index, original in enumerate(net.layers):
        with within(place(net, index)):
            layer: Any = copied(original)
            for number, bottom in enumerate(layer.bottom):
                if bottom not in producer:
                    raise ShapeError(f"bottom {bottom!r} is no earlier layer's top")
                padding = producer[bottom]
                if padding is not None and padding.layer.type == "padding":
                    require_foldable(layer, padding)
                    layer.layer.pad = padding.layer.pad
                    layer.bottom[number] = padding.bottom[0]
        producer |= dict.fromkeys(layer.top, layer)
        layers.append(layer)
        if layer.layer.type != "padding":
            kept.append(index)
    return replace(net, layers=layers).keeping(kept)


def require_foldable(layer: Any, padding: Any) -> None:
    name = padding.layer.name
    if layer.layer.type not in ("conv", "pool"):
        raise FormatError(f"reads padding layer {name!r}, which only conv and pool can")
    if len(layer.bottom) != 1:
        raise FormatError(f"{len(layer.bottom)} bottoms, one a padding layer's, wants that alone")
    if len(padding.bottom) != 1 or len(padding.top) != 1:
        counts = f"{len(padding.bottom)} bottoms and {len(padding.top)} tops"
        raise FormatError(f"padding layer {name!r} has {counts}, wants one of each")


def rewrite(old: Any, dropped: list[str]) -> Any:
    """Return the V1 form of one layer; what Caffe drops is appended to `dropped`."""
    fields = old.layer
    if fields.type not in TYPES:
        raise unknown_type(fields.type)
    new: Any = type(old)()
    new.bottom.extend(old.bottom)
    new.top.extend(old.top)
    new.type = new.LayerType.Value(TYPES[fields.type])
    for field, _ in fields.ListFields():
        if field.name == "type":
            continue
        target, name = destination(fields.type, field.name)
        if target is None:
            dropped.append(
                f"layer {fields.name!r} ({fields.type}): {field.name} is no field of this type"
            )
            continue
        message = getattr(new, target) if target else new
        copy(fields, field.name, message, name)
    dropped += [
        f"layer {fields.name!r} ({fields.type}): {field.name} beside a V0 layer"
        for field, _ in old.ListFields()
        if field.name not in OUTSIDE
    ]
    return new


def destination(layer_type: str, field: str) -> tuple[str | None, str]:
    """Return where a field moves to: the message (`""`: the layer, None: nowhere) and the field."""
    if field in KEPT or (field == "hdf5_output_param" and layer_type == "hdf5_output"):
        return "", field
    if field in TRANSFORM:
        return "transform_param", TRANSFORM[field]
    message, names = FIELDS.get(layer_type, (None, {}))
    return (message, names[field]) if field in names else (None, "")


def unknown_type(layer_type: str) -> CaffeError:
    known = ", ".join(TYPES)
    return FormatError(f"{layer_type!r} is no V0 layer type, wants padding, {known}")


def copy(source: Any, name: str, target: Any, new_name: str) -> None:
    """Set one field from another of the same type; a number is appended where a list is wanted."""
    value = getattr(source, name)
    into = getattr(target, new_name)
    if hasattr(value, "extend"):
        into.extend(value)
    elif hasattr(into, "append"):
        into.append(value)
    elif hasattr(value, "CopyFrom"):
        into.CopyFrom(value)
    else:
        setattr(target, new_name, value)

"""A layer built by hand has the defaults of its message."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import pytest

import caffe_layers
from caffe_layers import Filler, Layer
from prototxt import schema

ONE, ZERO = Filler(value=1.0), Filler()

RECURRENT = {
    "static_inputs": 0,
    "weight_filler": ZERO,
    "bias_filler": ZERO,
    "expose_hidden": False,
}

TYPED: dict[str, dict[str, Any]] = {
    "Accuracy": {"top_k": 1, "axis": 1, "ignore_label": None, "tops": 1},
    "ArgMax": {"out_max_val": False, "top_k": 1, "axis": None},
    "Bias": {"axis": 1, "num_axes": 1, "filler": ZERO},
    "Clip": {"in_place": False},
    "Concat": {"axis": 1},
    "ContrastiveLoss": {"margin": 1.0, "legacy_version": False},
    "Dropout": {
        "dropout_ratio": 0.5,
        "sample_weights_test": False,
        "scale_train": True,
        "sqrt_scale": False,
    },
    "DummyData": {"data_filler": ()},
    "ELU": {"alpha": 1.0},
    "Eltwise": {"operation": "SUM", "coeff": (), "stable_prod_grad": True, "in_place": False},
    "Embed": {"bias_term": True, "weight_filler": ZERO, "bias_filler": ZERO},
    "Exp": {"base": -1.0, "scale": 1.0, "shift": 0.0},
    "Flatten": {"axis": 1, "end_axis": -1},
    "HDF5Data": {"shuffle": False},
    "HingeLoss": {"norm": "L1"},
    "InfogainLoss": {
        "infogain": None,
        "axis": 1,
        "ignore_label": None,
        "normalization": "VALID",
        "tops": 1,
    },
    "InnerProduct": {
        "bias_term": True,
        "weight_filler": ZERO,
        "bias_filler": ZERO,
        "axis": 1,
        "transpose": False,
    },
    "LSTM": RECURRENT,
    "Log": {"base": -1.0, "scale": 1.0, "shift": 0.0},
    "PReLU": {"filler": Filler(value=0.25), "channel_shared": False},
    "Parameter": {"shape": (), "blob_filler": ZERO},
    "Power": {"power": 1.0, "scale": 1.0, "shift": 0.0},
    "RNN": RECURRENT,
    "ReLU": {"negative_slope": 0.0},
    "Reduction": {"operation": "SUM", "axis": 0, "coeff": 1.0},
    "Reshape": {"shape": (), "axis": 0, "num_axes": -1},
    "Scale": {"axis": 1, "num_axes": 1, "filler": ONE, "bias_term": False, "bias_filler": ZERO},
    "SigmoidCrossEntropyLoss": {"ignore_label": None, "normalization": "BATCH_SIZE"},
    "Slice": {"slice_point": (), "axis": 1},
    "Softmax": {"axis": 1},
    "SoftmaxWithLoss": {"axis": 1, "ignore_label": None, "normalization": "VALID"},
    "Swish": {"beta": 1.0},
    "Threshold": {"threshold": 0.0},
    "Tile": {"axis": 1},
}

PARAMS = {
    "Deconvolution": "convolution_param",
    "Im2col": "convolution_param",
    "RNN": "recurrent_param",
    "LSTM": "recurrent_param",
    "CuDNNBatchNorm": "batch_norm_param",
    "Correlation1D": "correlation_param",
    "DataAugmentation": "augmentation_param",
    "NegReLU": "relu_param",
}
"""The message of a type where it is not called after it."""

FILLED = {
    ("Scale", "filler"): ONE,
    ("BatchNorm", "scale_filler"): ONE,
    ("PReLU", "filler"): Filler(value=0.25),
    ("EltwiseAffine", "slope_filler"): Filler(value=1.0001),
    ("EltwiseAffine", "bias_filler"): Filler(value=0.0001),
}
"""Fillers that stand for an absent message, whose own value would be 0."""

CLASSES = [cls for readings in caffe_layers.LAYERS.values() for cls in readings.values()]


def defaults_of(cls: type[Layer]) -> dict[str, Any]:
    parameters = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def message_of(cls: type[Layer]) -> Any:
    """Return the empty message of a type's parameters, None where it has none."""
    known = schema.SHIPPED.names
    layer = schema.dialect(cls.fork if cls.fork in known else "bvlc").message("LayerParameter")()
    for field in layer.DESCRIPTOR.fields:
        plain = field.name.replace("_", "") == f"{cls.caffe_type.lower()}param"
        if field.name == PARAMS.get(cls.caffe_type) or plain:
            return getattr(layer, field.name)
    return None


def default_in(message: Any, name: str) -> Any:
    """Return a field's default as a layer's argument says it; None where the schema has none."""
    field = message.DESCRIPTOR.fields_by_name[name]
    value = getattr(message, name)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return ()
    if field.type == field.TYPE_MESSAGE:
        return Filler.from_caffe(value) if field.message_type.name == "FillerParameter" else None
    if not field.has_default_value:
        return None
    return field.enum_type.values_by_number[value].name if field.enum_type else value


@pytest.mark.parametrize("name", TYPED)
def test_defaults_are_those_typed_here(name: str) -> None:
    cls = caffe_layers.LAYERS[name]["bvlc"]
    assert defaults_of(cls) == TYPED[name]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_defaults_are_the_schemas(cls: type[Layer]) -> None:
    message = message_of(cls)
    for name, default in defaults_of(cls).items():
        if message is None or name not in message.DESCRIPTOR.fields_by_name:
            continue
        if cls.is_source and name == "batch_size":
            continue  # built by hand it is fed, and reads no batch
        if default is None:
            continue  # an absent field means something else than its default
        want = FILLED.get((cls.caffe_type, name), default_in(message, name))
        if want is None or (want == () and isinstance(default, (int, type(None)))):
            continue  # the message has no default, or an empty list stands for one number
        assert default == pytest.approx(want) if isinstance(want, float) else default == want, name


def test_something_was_compared() -> None:
    scale = caffe_layers.LAYERS["Scale"]["bvlc"]
    assert default_in(message_of(scale), "num_axes") == 1
    assert default_in(message_of(scale), "bias_filler") == ZERO
    eltwise = caffe_layers.LAYERS["Eltwise"]["bvlc"]
    assert default_in(message_of(eltwise), "operation") == "SUM"
    assert sum(message_of(cls) is not None for cls in CLASSES) > 20

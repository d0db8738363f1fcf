"""V1, `layers { type: CONVOLUTION ... }`, to V2, `layer { type: "Convolution" ... }`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prototxt import schema
from prototxt.errors import UnsupportedError, within
from prototxt.net import Net

TYPES = {
    "NONE": "",
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "ELTWISE": "Eltwise",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "TANH": "TanH",
    "THRESHOLD": "Threshold",
    "WINDOW_DATA": "WindowData",
}
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
            layers.append(rewrite(layer))
    return replace(net, layers=layers)


def rewrite(old: Any) -> Any:
    new: Any = schema.dialect(schema.dialect_of(old)).message("LayerParameter")()
    for field, value in old.ListFields():
        if field.name == "type":
            name = field.enum_type.values_by_number[value].name
            if name not in TYPES:
                raise UnsupportedError(f"type {name} has no form of today")
            new.type = TYPES[name]
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

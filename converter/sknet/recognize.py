"""The native SKNet of a loaded Caffe network, where that is one."""

from __future__ import annotations

import re
from typing import Any

import torch

import prototxt
from converter.network.net import CaffeNet
from prototxt.errors import UnsupportedError
from prototxt.nets.sknet import sknet

from .caffe import caffe_names
from .networks import SKNet
from .same_layers import require_same


def from_net(net: CaffeNet) -> SKNet:
    """Return the native SKNet that computes a loaded Caffe network's scores, with its weights.

    Raises UnsupportedError, naming the first layer that differs, for a network that is no SKNet.
    """
    model = SKNet(**arguments(net)).to(net.device, net.dtype)
    state = model.state_dict()
    with torch.no_grad():
        for key, (layer, index) in caffe_names(model).items():
            state[key].copy_(net.params[layer][index].view(state[key].shape))
    return model.train(net.training)


def arguments(net: CaffeNet) -> dict[str, Any]:
    """Return what `SKNet` is to be called with to be this network.

    Raises UnsupportedError, naming the first layer that differs, for a network that is no SKNet.
    """
    assert net.definition is not None
    layers = {layer.name: layer for layer in net.definition.layers}
    depths: dict[int, int] = {}
    for name in layers:
        if unit := re.fullmatch(r"conv(\d+)_(\d+)/1x1_reduce", name):
            depths[int(unit[1])] = depths.get(int(unit[1]), 0) + 1
    stages = range(2, 2 + len(depths))
    branches = [name for name in layers if re.fullmatch(r"conv2_1/3x3g\d+(d\d+)?", name)]
    if not branches or list(depths) != list(stages) or "classifier" not in layers:
        raise UnsupportedError(
            f"no SKNet: {net.name or 'the network'} lacks layers that every SKNet has",
            fix="wants units as conv2_1/1x1_reduce and conv2_1/3x3g32, and a classifier",
        )
    found: dict[str, Any] = {
        "layers": tuple(depths[stage] for stage in stages),
        "branches": len(branches),
        "groups": layers[branches[0]].convolution_param.group,
        "attention": None,
        "width": layers["conv2_1/1x1_reduce"].convolution_param.num_output,
        "num_classes": layers["classifier"].inner_product_param.num_output,
    }
    if len(branches) > 1:
        squeezes = [layers.get(f"conv{stage}_1/B_fc1") for stage in stages]
        found["attention"] = tuple(
            layer.convolution_param.num_output if layer else 0 for layer in squeezes
        )
    require_same(net, prototxt.parse_text(str(sknet("sknet", **found))).layers, "SKNet")
    return found

"""The native SKNet of a loaded Caffe network, where that is one."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import Any

import torch

import prototxt
from prototxt.errors import UnsupportedError
from prototxt.nets.sknet import sknet

from ..module import CaffeNet
from .caffe import caffe_names
from .model import EPS, SKNet

APART = ("Input", "SoftmaxWithLoss", "Accuracy", "Split")
"""Layers that compute nothing of the scores, which is all that the native network gives."""

INDIFFERENT = {
    *("param", "phase", "include", "exclude", "blobs", "propagate_down", "loss_weight"),
    *("engine", "momentum", "frozen", "weight_filler", "bias_filler", "scale_filler"),
}
"""Fields that change no score; a layer's own and its message's."""

AVE = 1  # PoolingParameter.PoolMethod


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
    _require_same(net, prototxt.parse_text(str(sknet("sknet", **found))).layers)
    return found


def _require_same(net: CaffeNet, wanted: list[Any]) -> None:
    pools = [layer.name for layer in wanted if _averages(layer)]
    ours = list(_essence(wanted, pools))
    assert net.definition is not None
    theirs = list(_essence(net.definition.layers, _whole_pools(net)))
    for our, their in zip(ours, theirs, strict=False):
        if our != their:
            raise UnsupportedError(
                f"no SKNet: layer {their.name!r} ({their.type}) is not as SKNet's "
                f"{our.name!r} ({our.type})"
            )
    if len(ours) != len(theirs):
        longer = max(ours, theirs, key=len)[min(len(ours), len(theirs))]
        what = "is not SKNet's" if len(theirs) > len(ours) else "is missing"
        raise UnsupportedError(f"no SKNet: layer {longer.name!r} ({longer.type}) {what}")


def _essence(layers: list[Any], whole_pools: Container[str]) -> Iterator[Any]:
    """Yield the layers that make the scores, with only those fields that matter to them."""
    source: dict[str, str] = {}
    for layer in layers:
        if layer.type == "Split":
            source |= dict.fromkeys(layer.top, source.get(layer.bottom[0], layer.bottom[0]))
        if layer.type in APART:
            continue
        kept = type(layer)()
        kept.CopyFrom(layer)
        kept.bottom[:] = [source.get(bottom, bottom) for bottom in layer.bottom]
        for name in INDIFFERENT.intersection(kept.DESCRIPTOR.fields_by_name):
            kept.ClearField(name)
        for field, message in kept.ListFields():
            if field.message_type is not None:
                for name in INDIFFERENT.intersection(field.message_type.fields_by_name):
                    message.ClearField(name)
        if layer.type == "CuDNNBatchNorm" and layer.batch_norm_param.eps <= EPS:
            kept.batch_norm_param.ClearField("eps")  # cuDNN lifts it to EPS
        if layer.name in whole_pools:
            kept.pooling_param.Clear()
        yield kept


def _whole_pools(net: CaffeNet) -> set[str]:
    """Return the average poolings over the whole map, as the native network's is."""
    shapes = net.shapes()
    names = set()
    for step in net.steps:
        if _averages(step.layer):
            bottom = shapes[step.bottoms[0]]
            window: Any = net.layers[step.key].window
            if window is None or (window.kernel, window.pad) == (bottom[2:], (0, 0)):
                names.add(step.layer.name)
    return names


def _averages(layer: Any) -> bool:
    return bool(layer.type == "Pooling" and layer.pooling_param.pool == AVE)

"""Weights of released networks by the names that timm's models give them."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

import prototxt
from caffe_layers.normalization.base import KeepsSums
from prototxt.errors import UnsupportedError
from prototxt.nets import networks

from .network.net import CaffeNet
from .sknet import arguments, from_net
from .sknet.same_layers import require_same

SKRESNEXT50 = "skresnext50_32x4d"
SENETS = {
    "se_resnet50": "legacy_seresnet50",
    "se_resnet101": "legacy_seresnet101",
    "se_resnet152": "legacy_seresnet152",
    "se_resnext50": "legacy_seresnext50_32x4d",
    "se_resnext101": "legacy_seresnext101_32x4d",
    "senet154": "legacy_senet154",
}
"""SENet's released networks, by their builders' names, and timm's models of them."""

STATISTICS = ("weight", "bias", "running_mean", "running_var")

SK_PARTS = (
    (r"^stem\.conv\.", "conv1."),
    (r"^stem\.bn\.", "bn1."),
    (r"^stages\.(\d+)\.", lambda found: f"layer{int(found[1]) + 1}."),
    (r"\.reduce\.", ".conv1."),
    (r"\.kernels\.branches\.", ".conv2.paths."),
    (r"\.kernels\.fuse\.conv\.", ".conv2.attn.fc_reduce."),
    (r"\.kernels\.fuse\.bn\.", ".conv2.attn.bn."),
    (r"\.kernels\.select\.", ".conv2.attn.fc_select."),
    (r"\.increase\.", ".conv3."),
    (r"\.shortcut\.conv\.", ".downsample.0."),
    (r"\.shortcut\.bn\.", ".downsample.1."),
)
"""What our SKNet's names are in timm's, part by part."""

SE_PARTS = {
    "1x1_reduce": ("conv1", "bn1"),
    "3x3": ("conv2", "bn2"),
    "1x1_increase": ("conv3", "bn3"),
    "1x1_down": ("se_module.fc1", ""),
    "1x1_up": ("se_module.fc2", ""),
    "1x1_proj": ("downsample.0", "downsample.1"),
}
"""The layers of a unit of SENet's, and timm's modules for them and for their normalisation."""


def caffe_stem(model: nn.Module) -> nn.Module:
    """Return a timm model, changed to pool after its first convolution as Caffe does.

    Caffe's pooling has no padding, and rounds the size of the map up: every later value depends on
    it. timm's `legacy_se*` models do so anyway.
    """
    names = [name for name in ("maxpool", "pool0") if hasattr(model, name)]
    if not names:
        raise UnsupportedError(
            f"{type(model).__name__} has no stem as timm's ResNets have",
            fix="wants a module called maxpool or pool0",
        )
    setattr(model, names[0], nn.MaxPool2d(3, stride=2, ceil_mode=True))
    return model


def timm_state_dict(net: CaffeNet) -> tuple[str, dict[str, Tensor]]:
    """Return the name of timm's model of a loaded network, and its state_dict.

    The model takes what the Caffe network takes (BGR images, less their mean) and gives its
    scores, if its stem is `caffe_stem`'s. Raises UnsupportedError, saying why, where timm has no
    such model.
    """
    layers = {layer.name for layer in net.definition.layers} if net.definition else set()
    if "conv2_1/1x1_reduce" in layers:
        return SKRESNEXT50, _sknet_state(net)
    if "conv2_1_1x1_reduce" in layers:
        return _senet_state(net)
    raise UnsupportedError(
        f"timm has no model of {net.name or 'this network'} that we know",
        fix="wants SKNet-50 or one of SENet's released networks",
    )


def _sknet_state(net: CaffeNet) -> dict[str, Tensor]:
    found, wanted = arguments(net), _skresnext50()
    for name, value in wanted.items():
        if found[name] != value:
            raise UnsupportedError(
                f"timm's {SKRESNEXT50} has {name} {value}, the network has {found[name]}",
                fix="timm has no other SKNet of these units; --format sknet has any",
            )
    return {_sk_name(key): value for key, value in from_net(net).state_dict().items()}


def _skresnext50() -> dict[str, Any]:
    return {
        "layers": (3, 4, 6, 3),
        "branches": 2,
        "groups": 32,
        "attention": (32, 32, 32, 64),
        "width": 128,
    }


def _sk_name(key: str) -> str:
    for ours, timms in SK_PARTS:
        key = re.sub(ours, timms, key)
    return key


def _senet_state(net: CaffeNet) -> tuple[str, dict[str, Tensor]]:
    assert net.definition is not None
    wanted = _likely_senet(net)
    definition = networks.build(wanted, num_classes=_classes(net))
    require_same(net, prototxt.parse_text(str(definition)).layers, wanted)
    state: dict[str, Tensor] = {}
    for layer in net.definition.layers:
        if layer.type in ("Convolution", "InnerProduct"):
            module, norm = _se_modules(layer.name)
            for name, blob in zip(("weight", "bias"), net.params[layer.name], strict=False):
                state[f"{module}.{name}"] = blob.detach()
            if norm:
                state |= {f"{norm}.{key}": value for key, value in _norm(net, layer.name).items()}
    return SENETS[wanted], state


def _likely_senet(net: CaffeNet) -> str:
    """Return the builder's name of the released network with these units and groups."""
    assert net.definition is not None
    layers = {layer.name: layer for layer in net.definition.layers}
    depth = sum(name.endswith("_1x1_reduce") for name in layers)
    middle = layers.get("conv2_1_3x3")
    groups = middle.convolution_param.group if middle else 0
    depths = {16: "50", 33: "101", 50: "152"}
    name = {
        (1, depth): f"se_resnet{depths.get(depth)}",
        (32, depth): f"se_resnext{depths.get(depth)}",
        (64, 50): "senet154",
    }.get((groups, depth), "")
    if name not in SENETS:
        raise UnsupportedError(
            f"timm has no SENet of {depth} units whose first 3x3 convolution has {groups} groups",
            fix=f"it has {', '.join(SENETS.values())}",
        )
    return name


def _classes(net: CaffeNet) -> int:
    blobs = net.params.get("classifier")
    return blobs[0].shape[0] if blobs else 1000


def _se_modules(layer: str) -> tuple[str, str]:
    """Return timm's names of a layer and of the normalisation after it."""
    if unit := re.fullmatch(r"conv(\d+)_(\d+)_(\w+)", layer):
        place = f"layer{int(unit[1]) - 1}.{int(unit[2]) - 1}"
        module, norm = SE_PARTS[unit[3]]
        return f"{place}.{module}", f"{place}.{norm}" if norm else ""
    if layer == "classifier":
        return "last_linear", ""
    index = re.match(r"conv1_(\d)/", layer)
    number = index[1] if index else "1"
    return f"layer0.conv{number}", f"layer0.bn{number}"


def _norm(net: CaffeNet, layer: str) -> dict[str, Tensor]:
    """Return torch's BatchNorm2d of a Caffe BatchNorm and the Scale after it."""
    norm = net.layers[f"{layer}/bn"]
    assert isinstance(norm, KeepsSums)  # `require_same` has seen to it
    weight, bias = (blob.detach() for blob in net.params[f"{layer}/bn/scale"])
    values = (weight, bias, *norm.statistics())
    return {
        **dict(zip(STATISTICS, values, strict=True)),
        "num_batches_tracked": torch.zeros((), dtype=torch.int64),
    }

"""The native SKNet's weights from and to Caffe's files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

import prototxt
from converter.network.arrays import blob_array
from prototxt import Blob, LayerWeights, Net, WeightError, within
from prototxt.nets.sknet import sknet
from prototxt.passes.filter import PHASES, filter_net
from prototxt.passes.insert_splits import insert_splits

from .model import PlainSKNet

BATCH_NORM = ("weight", "bias", "running_mean", "running_var")  # CuDNNBatchNorm's blobs in order

ADVICE = "build SKNet with the depth and the options that the file was trained with"

Place: TypeAlias = tuple[str, int]  # a layer, and the number of its blob


def caffe_names(model: PlainSKNet) -> dict[str, Place]:
    """Return Caffe's place of every weight: `{state_dict key: (layer, blob index)}`, in file order.

    Torch's `num_batches_tracked`, which nothing reads, is the only key that Caffe lacks.
    """
    names = dict(conv_bn("stem", "conv1/7x7_s2"))
    stages: Any = model.stages
    for stage, units in enumerate(stages):
        for index, unit in enumerate(units):
            names |= bottleneck(unit, f"stages.{stage}.{index}", f"conv{stage + 2}_{index + 1}")
    return names | {"fc.weight": ("classifier", 0), "fc.bias": ("classifier", 1)}


def bottleneck(unit: Any, key: str, layer: str) -> Iterator[tuple[str, Place]]:
    branches = unit.kernels.branches
    yield from conv_bn(f"{key}.reduce", f"{layer}/1x1_reduce")
    for index, branch in enumerate(branches):
        dilated = f"d{branch.conv.dilation[0]}" if index else ""
        name = f"{layer}/3x3g{branch.conv.groups}{dilated}"
        yield from conv_bn(f"{key}.kernels.branches.{index}", name)
    if len(branches) > 1:
        yield from conv_bn(f"{key}.kernels.fuse", f"{layer}/B_fc1")
        yield f"{key}.kernels.select.weight", (f"{layer}/B_fc2", 0)
    yield from conv_bn(f"{key}.increase", f"{layer}/1x1_increase")
    if list(unit.shortcut.parameters()):
        yield from conv_bn(f"{key}.shortcut", f"{layer}/1x1_proj")


def conv_bn(key: str, layer: str) -> Iterator[tuple[str, Place]]:
    yield f"{key}.conv.weight", (layer, 0)
    for index, name in enumerate(BATCH_NORM):
        yield f"{key}.bn.{name}", (f"{layer}/bn", index)


def caffe_blobs(model: PlainSKNet) -> dict[str, list[Tensor]]:
    """Return each layer's blobs as Caffe shapes them; they share the model's memory."""
    state = model.state_dict()
    blobs: dict[str, list[Tensor]] = {}
    for key, (layer, index) in caffe_names(model).items():
        blob = state[key]
        if layer.endswith("/bn"):
            blob = blob.view(1, -1, 1, 1)
        blobs.setdefault(layer, []).append(blob)
        assert len(blobs[layer]) == index + 1
    return blobs


def load_caffemodel(model: PlainSKNet, path: str | Path) -> None:
    """Fill `model` from a .caffemodel, whole or not at all.

    A layer that is missing or one too many, and a wrong number or shape of blobs, is a WeightError
    that names the layer. Values are rounded to the model's own precision.
    """
    targets = caffe_blobs(model)
    weights = prototxt.read_weights(path)
    with within(str(path)):
        found = {layer.name: own_blobs(layer) for layer in weights.layers if layer.blobs}
        if missing := [name for name in targets if name not in found]:
            raise WeightError(f"{describe(missing)} missing", fix=ADVICE)
        if surplus := [name for name in found if name not in targets]:
            raise WeightError(f"{describe(surplus)} not the model's", fix=ADVICE)
        for name, blobs in found.items():
            with within(f"layer {name!r}"):
                require_fit(blobs, targets[name])
    with torch.no_grad():
        for name, blobs in found.items():
            for target, blob in zip(targets[name], blobs, strict=True):
                values = torch.from_numpy(np.array(blob.values))
                target.copy_(values.view(target.shape))


def describe(layers: list[str]) -> str:
    first, others = layers[0], len(layers) - 1
    return f"layer {first!r} and {others} others are" if others else f"layer {first!r} is"


def own_blobs(layer: LayerWeights) -> list[Blob]:
    blobs = [blob for blob in layer.blobs if blob is not None]
    if len(blobs) != len(layer.blobs):
        raise WeightError(f"layer {layer.name!r} shares a blob with another layer")
    return blobs


def require_fit(blobs: Sequence[Blob], targets: list[Tensor]) -> None:
    if len(blobs) != len(targets):
        raise WeightError(f"{len(blobs)} blobs, wants {len(targets)}")
    for index, (blob, target) in enumerate(zip(blobs, targets, strict=True)):
        if not blob.fits(target.shape):
            raise WeightError(f"blob {index} is {blob.shape}, wants {tuple(target.shape)}")


def save_caffemodel(model: PlainSKNet, path: str | Path, name: str = "sknet") -> None:
    """Write `model` as a .caffemodel, byte for byte as Caffe's own training would.

    A float64 model is written in doubles, any other in floats. `name` is the network's.
    """
    arrays: dict[int | str, list[np.ndarray]] = {
        layer: [blob_array(blob) for blob in blobs] for layer, blobs in caffe_blobs(model).items()
    }
    prototxt.write_caffemodel(path, definition(model, name), arrays)


def definition(model: PlainSKNet, name: str) -> Net:
    """Return the Caffe definition of the same network, as Caffe saves it from training."""
    stages: Any = model.stages
    units = [stage[0] for stage in stages]
    kernels = [unit.kernels for unit in units]
    branches = len(kernels[0].branches)
    built = sknet(
        name,
        [len(stage) for stage in stages],
        branches=branches,
        groups=kernels[0].branches[0].conv.groups,
        attention=[each.select.in_channels for each in kernels] if branches > 1 else None,
        width=units[0].reduce.conv.out_channels,
        num_classes=model.fc.out_features,
    )
    net = insert_splits(filter_net(prototxt.parse_text(str(built)), "TRAIN"))
    for layer in net.layers:
        layer.phase = PHASES["TRAIN"]
        if layer.type == "SoftmaxWithLoss":
            layer.loss_weight.append(1)
    return net

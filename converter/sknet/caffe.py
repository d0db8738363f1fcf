"""The native SKNet's weights from and to Caffe's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TypeAlias

import torch
from torch import Tensor, nn

import prototxt
from converter.sknet.model import Bottleneck, ConvBN, SKNet
from prototxt import Blob, WeightError, within
from prototxt.nets.sknet import sknet

BATCH_NORM = ("weight", "bias", "running_mean", "running_var")  # CuDNNBatchNorm's blobs in order

Place: TypeAlias = tuple[str, int]  # a layer and the number of its blob


def caffe_names(model: SKNet) -> dict[str, Place]:
    """Give Caffe's place of every weight: `{state_dict key: (layer, blob index)}`, in file order.

    Torch's `num_batches_tracked`, which nothing reads, is the only key that Caffe lacks.
    """
    return dict(
        [
            *conv_bn("stem", "conv1/7x7_s2"),
            *(
                name
                for stage, units in enumerate(model.stages)
                for index, unit in enumerate(units)
                for name in bottleneck(
                    unit, f"stages.{stage}.{index}", f"conv{stage + 2}_{index + 1}"
                )
            ),
            ("fc.weight", ("classifier", 0)),
            ("fc.bias", ("classifier", 1)),
        ]
    )


def bottleneck(unit: Bottleneck, key: str, layer: str) -> Iterator[tuple[str, Place]]:
    yield from conv_bn(f"{key}.reduce", f"{layer}/1x1_reduce")
    for index, branch in enumerate(unit.kernels.branches):
        conv = branch.conv
        dilated = f"d{conv.dilation[0]}" if index else ""
        yield from conv_bn(f"{key}.kernels.branches.{index}", f"{layer}/3x3g{conv.groups}{dilated}")
    if len(unit.kernels.branches) > 1:
        yield from conv_bn(f"{key}.kernels.fuse", f"{layer}/B_fc1")
        yield f"{key}.kernels.select.weight", (f"{layer}/B_fc2", 0)
    yield from conv_bn(f"{key}.increase", f"{layer}/1x1_increase")
    if isinstance(unit.shortcut, ConvBN):
        yield from conv_bn(f"{key}.shortcut", f"{layer}/1x1_proj")


def conv_bn(key: str, layer: str) -> Iterator[tuple[str, Place]]:
    yield f"{key}.conv.weight", (layer, 0)
    for index, name in enumerate(BATCH_NORM):
        yield f"{key}.bn.{name}", (f"{layer}/bn", index)

"""Networks of SKNet's and SENet's own layers in BVLC's layers, for engines that know no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import converter
from caffe_layers.forks.sknet.axpy import Axpy
from caffe_layers.forks.sknet.cudnn_batch_norm import CuDNNBatchNorm
from prototxt.text.parse import format_message

NORM = """layer {{ name: "{name}" type: "BatchNorm" bottom: "{bottom}" top: "{top}"
  batch_norm_param {{ eps: {eps} }} }}
layer {{ name: "{name}/scale" type: "Scale" bottom: "{top}" top: "{top}"
  scale_param {{ bias_term: true }} }}
"""
AXPY = """layer {{ name: "{name}/factor" type: "Flatten" bottom: "{a}" top: "{name}/factor" }}
layer {{ name: "{name}/product" type: "Scale" bottom: "{x}" bottom: "{name}/factor"
  top: "{name}/product" scale_param {{ axis: 0 }} }}
layer {{ name: "{name}" type: "Eltwise" bottom: "{name}/product" bottom: "{y}" top: "{top}" }}
"""


def in_bvlc_layers(net: Path, weights: Path, folder: Path) -> tuple[Path, Path]:
    """Return files that need no CuDNNBatchNorm and no Axpy: written in `folder` where they did.

    CuDNNBatchNorm is BatchNorm and Scale then, Axpy is Flatten, Scale and Eltwise; labels go.
    """
    loaded = converter.load(net, weights, deploy=True)
    assert loaded.definition is not None
    if not any(isinstance(layer, CuDNNBatchNorm | Axpy) for layer in loaded.layers.values()):
        return net, weights
    path = folder / "bvlc.prototxt"
    layers = [_text(step.layer, loaded.layers[step.key]) for step in loaded.steps]
    path.write_text(format_message(loaded.definition.header) + "".join(layers))
    made = converter.load(path)
    with torch.no_grad():
        for name, layer in loaded.layers.items():
            if isinstance(layer, CuDNNBatchNorm):
                scale, bias, mean, variance = layer.blobs
                _copy([mean, variance, torch.ones(1)], made.params[name])
                _copy([scale, bias], made.params[f"{name}/scale"])
            elif layer.blob_names:
                _copy(layer.blobs, made.params[name])
    converter.save_caffemodel(made, folder / "bvlc.caffemodel")
    return path, folder / "bvlc.caffemodel"


def _text(message: Any, layer: object) -> str:
    names = {"name": message.name, "top": message.top[0]}
    if isinstance(layer, CuDNNBatchNorm):
        return NORM.format(**names, bottom=message.bottom[0], eps=layer.eps)
    if isinstance(layer, Axpy):
        return AXPY.format(**names, **dict(zip("axy", message.bottom, strict=True)))
    return f"layer {{\n{format_message(message)}}}\n"


def _copy(values: list[torch.Tensor], blobs: list[torch.Tensor]) -> None:
    for value, blob in zip(values, blobs, strict=True):
        blob.copy_(value.reshape(blob.shape))

"""The same inputs through the network in torch and through an ONNX model of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from converter.network.arrays import array_of
from converter.network.net import CaffeNet
from converter.network.steps import Step
from converter.onnx.export import export_onnx
from converter.onnx.model import OnnxModel
from converter.onnx.runtime import Arrays, run_onnx

from .feed import Feed


@dataclass(frozen=True)
class TorchRun:
    """What the network computed in torch: every value, the blobs, and the outputs among them."""

    steps: tuple[Step, ...]
    values: dict[str, np.ndarray]
    blobs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


def run_torch(net: CaffeNet, fed: Mapping[str, Tensor]) -> TorchRun:
    """Run the network once and anew, since one in training or with a state changes with a pass."""
    net.reset_state()
    fed = net.feed(fed)
    plan = net.plan(fed)
    values = {name: array_of(value) for name, value in net.run(fed, plan).items()}
    inputs = {name: values[name] for name in net.inputs if name in values}
    exported = net.exported().plan.outputs.values()
    outputs = {name: values[name] for name in exported if name in values}
    return TorchRun(plan.steps, values, inputs | blobs_of(plan.steps, values), outputs)


def made_model(net: CaffeNet, fed: Feed, folder: str, *, half: bool) -> OnnxModel:
    """Write an ONNX file of the network, for these inputs alone."""
    path = Path(folder, "net.onnx")
    export_onnx(
        net,
        path,
        dynamic=(),
        input_shapes=fed.shapes,
        preprocessing=fed.preprocessing,
        half=half,
    )
    return OnnxModel(path)


@dataclass(frozen=True)
class ModelRun:
    """What a model computed: its outputs as it ships, and every value, each made an output."""

    model: OnnxModel
    what: str
    """How the comparison of its outputs names it."""
    shipped: Arrays
    exposed: Arrays


def run_model(model: OnnxModel, what: str, fed: Feed, steps: tuple[Step, ...]) -> ModelRun:
    """Run a model in ONNX Runtime, as it is and with the tops of these steps exposed."""
    arrays = fed.arrays(model.inputs.image)
    shipped = run_onnx(model.path, arrays)
    exposed = model.run_exposed(arrays, [top for step in steps for top in step.tops])
    return ModelRun(model, what, shipped, exposed)


@dataclass(frozen=True)
class Runs:
    """The two runs beside each other."""

    net: CaffeNet
    fed: Mapping[str, Tensor]
    torch: TorchRun
    onnx: ModelRun

    @cached_property
    def double(self) -> TorchRun:
        """The network in double, from the same inputs."""
        fed = {name: value.double() for name, value in self.fed.items()}
        return run_torch(copy.deepcopy(self.net).double(), fed)

    @property
    def onnx_blobs(self) -> dict[str, np.ndarray]:
        """The model's values by Caffe's names."""
        return blobs_of(self.torch.steps, self.onnx.exposed)


def blobs_of(steps: tuple[Step, ...], values: Arrays) -> dict[str, np.ndarray]:
    """Return the blobs among values; one written in place as it was last."""
    return {
        blob: values[top]
        for step in steps
        for blob, top in zip(step.blobs, step.tops, strict=True)
        if top in values
    }

"""The same inputs through the network in torch and through an ONNX model of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from converter.network.arrays import arrays_of
from converter.network.net import CaffeNet
from converter.network.steps import Step
from converter.onnx.export import export_onnx
from converter.onnx.model import OnnxModel
from converter.onnx.quantization.calibration import Calibration
from converter.onnx.runtime import Arrays

from .compare import softmax_of
from .feed import Feed
from .stretches import Stretch, stretches_of
from .torch_pass import NO_CHANGE, Change, torch_pass, twin


def made_model(
    net: CaffeNet, fed: Feed, folder: str, *, half: bool = False, int8: bool = False
) -> OnnxModel:
    """Write an ONNX file of the network for these inputs alone; eight bits are measured on them."""
    path = Path(folder, "net.onnx")
    export_onnx(
        net,
        path,
        dynamic=(),
        input_shapes=fed.shapes,
        preprocessing=fed.preprocessing,
        half=half,
        calibration=Calibration([arrays_of(fed.tensors)]) if int8 else None,
    )
    return OnnxModel(path)


@dataclass(frozen=True)
class Model:
    """A model beside its inputs, and its outputs of them as it ships."""

    onnx: OnnxModel
    what: str
    """How the comparison of its outputs names it."""
    inputs: Arrays
    shipped: Arrays

    @classmethod
    def run(cls, model: OnnxModel, what: str, fed: Feed) -> Model:
        """Run a model in ONNX Runtime, as it is."""
        inputs = fed.arrays(model.inputs.image)
        return cls(model, what, inputs, model.run(inputs))


@dataclass(frozen=True)
class Runs:
    """A network and a model of it, which run beside each other as often as a judge wants.

    A pass yields values by name, a stretch of the network at a time, so that no engine holds more
    than what the next stretches read.
    """

    net: CaffeNet
    fed: Mapping[str, Tensor]
    model: Model

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """The steps of the network that run."""
        return stretches_for(self.net, self.fed)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps, without their stretches."""
        return tuple(step for one in self.stretches for step in one.steps)

    @property
    def outputs(self) -> list[str]:
        """The values that come out of an exported model."""
        return list(self.net.exported().plan.outputs.values())

    def in_torch(self, change: Change = NO_CHANGE) -> Iterator[dict[str, np.ndarray]]:
        """Yield torch's values, with the first stretch the inputs; of one change once at a time."""
        alone = change is NO_CHANGE and not self.net.training
        return torch_pass(self.net if alone else twin(self.net), self.stretches, self.fed, change)

    def in_onnx(self) -> Iterator[Arrays]:
        """Yield the model's values, every one exposed."""
        tops = [one.tops for one in self.stretches]
        return self.model.onnx.walk(self.model.inputs, tops)


def wanted(runs: Runs, change: Change = NO_CHANGE) -> Iterator[dict[str, np.ndarray]]:
    """Yield what the model's values should be; at the end the probabilities that it appends."""
    tops = {top for step in runs.steps for top in step.tops}
    appended = {name: one for name, one in runs.model.shipped.items() if name not in tops}
    names = set(runs.outputs)
    outputs: dict[str, np.ndarray] = {}
    for index, values in enumerate(runs.in_torch(change), 1):
        outputs |= {name: value for name, value in values.items() if name in names}
        at_end = index == len(runs.stretches)
        yield values | softmax_of(appended, outputs) if at_end else values


def stretches_for(net: CaffeNet, fed: Mapping[str, Tensor]) -> tuple[Stretch, ...]:
    """Return the steps that run of these inputs, in stretches."""
    shapes = net.shapes({name: tuple(value.shape) for name, value in fed.items()})
    return stretches_of(net.plan(fed), shapes, net.layers)


def blob_names(inputs: Iterable[str], stretches: Sequence[Stretch]) -> dict[str, str]:
    """Return the blob that each value is at the end; one written in place is its last value."""
    tops = {
        blob: top
        for stretch in stretches
        for step in stretch.steps
        for blob, top in zip(step.blobs, step.tops, strict=True)
    }
    return {top: blob for blob, top in ({name: name for name in inputs} | tops).items()}


def blobs_among(
    values: Iterable[Mapping[str, np.ndarray]], names: Mapping[str, str]
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the blobs among values by Caffe's names."""
    for some in values:
        yield {names[name]: value for name, value in some.items() if name in names}

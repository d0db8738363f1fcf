"""caffe.Net.

Caffe: src/caffe/net.cpp, python/caffe/_caffe.cpp
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any

import numpy as np
import torch

from caffe_layers.data.memory_data import MemoryData
from prototxt import Net as Definition
from prototxt import Weights, read_net, read_weights
from prototxt.errors import CaffeError

from . import weights as files
from .engine.blob import BlobVec
from .engine.build import Draft, Phase, draft_of
from .engine.layer import PHASES
from .engine.module_node import ModuleNode
from .engine.node import Node
from .engine.source_node import SourceNode
from .engine.vectors import DtypeVec, IntVec, LayerVec, StringVec
from .errors import ArgumentError, CaffeAbortError, aborting, lacking, readable
from .finder import installed_dialect
from .modes import NCCL
from .passes import Passes

Path = str | PathLike[str]
Callback = Callable[[int], object]


class Net(Passes):
    """A network that runs: `Net(definition, phase, level=0, stages=None, weights=None)`.

    The older `Net(definition, weights, phase)` is understood as well. Errors are RuntimeErrors with
    the layer's place; what a layer of the user's raises passes through.
    """

    def __init__(self, *args: Any, **others: object) -> None:
        if len(args) == len(_LEGACY) and not others and isinstance(args[1], (str, PathLike)):
            given: dict[str, Any] = dict(zip(_LEGACY, args, strict=True))
        else:
            given = dict(zip(_NAMED, args, strict=False)) | others
            if len(args) > len(_NAMED) or given.keys() - set(_NAMED):
                raise ArgumentError.of("Net", args, others)
        phase = given.get("phase")
        if "network_file" not in given or not isinstance(phase, (int, np.integer)):
            raise ArgumentError.of("Net", args, others)
        path, weights = readable(given["network_file"]), given.get("weights")
        with aborting():
            read = [read_weights(readable(weights))] if weights else []
            self._set_up(
                read_net(path, dialect=installed_dialect()),
                PHASES[int(phase)],
                level=given.get("level", 0),
                stages=given.get("stages") or (),
                read=read,
            )

    @classmethod
    def of(
        cls, definition: Definition, phase: Phase, level: int = 0, stages: Iterable[str] = ()
    ) -> Net:
        """Return the network of a definition that was read already."""
        net = cls.__new__(cls)
        with aborting():
            net._set_up(definition, phase, level=level, stages=stages)
        return net

    def _set_up(
        self,
        definition: Definition,
        phase: Phase,
        *,
        level: int,
        stages: Iterable[str],
        read: list[Weights] | None = None,
    ) -> None:
        self._cached: dict[str, Any] = {}
        self._callbacks: dict[str, list[Callback]] = {name: [] for name in _CALLBACKS}
        self._draft = draft_of(
            definition,
            phase,
            level=level,
            stages=stages,
            files=read or (),
            dialect=installed_dialect(),
        )
        for weights in read or ():
            files.copy_weights(self._draft, weights)
        self._nodes: list[Node] = self._draft.nodes
        self.layers = LayerVec(node.layer for node in self._nodes)
        self._blobs = BlobVec(self._draft.blobs)
        self._blob_names = StringVec(self._draft.names)
        self._layer_names = StringVec(node.step.layer.name for node in self._nodes)
        self._inputs = IntVec(self._draft.inputs)
        self._outputs = IntVec(self._draft.outputs)
        self._blob_loss_weights = DtypeVec(self._draft.weights)

    @property
    def draft(self) -> Draft:
        """The layers as they run."""
        return self._draft

    def _bottom_ids(self, layer: int) -> IntVec:
        return IntVec(self._draft.bottom_ids[layer])

    def _top_ids(self, layer: int) -> IntVec:
        return IntVec(self._draft.top_ids[layer])

    def _forward(self, first: int, last: int) -> float:
        """Run some layers forward; return their weighted losses' sum."""
        self._check(first, last)
        before, after = self._callbacks["before_forward"], self._callbacks["after_forward"]
        alone = not (before or after)
        previous: Node | None = None
        loss = 0.0
        with torch.no_grad():
            for index in range(first, last + 1):
                for call in before:
                    call(index)
                node = self._nodes[index]
                if isinstance(node, ModuleNode):
                    single = alone and isinstance(previous, ModuleNode) and len(node.bottoms) == 1
                    node.before = previous if single else None  # type: ignore[assignment]
                try:
                    node.forward()
                except (CaffeError, RuntimeError) as error:
                    raise _placed(node, error) from error
                if node.losses:
                    loss += node.loss()
                previous = node
                for call in after:
                    call(index)
        return loss

    def _backward(self, first: int, last: int) -> None:
        """Run some layers backward, from `first` down to `last`."""
        self._check(last, first)
        before, after = self._callbacks["before_backward"], self._callbacks["after_backward"]
        alone = not (before or after)
        index = first
        with torch.no_grad():
            while index >= last:
                for call in before:
                    call(index)
                node = self._nodes[index]
                if node.needs_backward:
                    try:
                        if alone and isinstance(node, ModuleNode):
                            chain = self._chain(index, last)
                            node.backward(chain)
                            index -= len(chain)
                        else:
                            node.backward()
                    except (CaffeError, RuntimeError) as error:
                        raise _placed(node, error) from error
                for call in after:
                    call(index)
                index -= 1

    def _chain(self, index: int, last: int) -> list[ModuleNode]:
        """Return the layers before one that can be run backward together with it, downwards."""
        chain: list[ModuleNode] = []
        node = self._nodes[index]
        if not (isinstance(node, ModuleNode) and node.is_current()):
            return chain
        while index > last:
            index -= 1
            below = self._nodes[index]
            if not (isinstance(below, ModuleNode) and node.goes_on_from(below)):
                break
            chain.append(below)
            node = below
        return chain

    def _check(self, first: int, last: int) -> None:
        if first < 0 or last >= len(self._nodes):
            raise CaffeAbortError(
                f"layers {first} to {last}, the network has 0 to {len(self._nodes) - 1}"
            )

    def reshape(self) -> None:
        """Let every blob have the shape that follows from the inputs' shapes."""
        with torch.no_grad():
            for node in self._nodes:
                try:
                    node.reshape()
                except CaffeError as error:
                    raise _placed(node, error) from error

    def clear_param_diffs(self) -> None:
        """Set the gradients of all layers' own blobs to 0."""
        for node in self._nodes:
            for blob in node.blobs:
                blob.take_diff(None, ())

    def copy_from(self, path: Path) -> None:
        """Copy the blobs of a file, binary or HDF5, into the layers of the same names."""
        with aborting():
            files.copy_weights(self._draft, read_weights(readable(path)))

    load_hdf5 = copy_from

    def share_with(self, other: Net) -> None:
        """Hold another network's values in the layers of the same names, from now on."""
        with aborting():
            files.share_weights(self._draft, other._draft)

    def save(self, path: Path) -> None:
        """Write the network and its blobs to a .caffemodel."""
        with aborting():
            files.save(self._draft, path)

    def save_hdf5(self, path: Path, write_diff: bool = False) -> None:
        """Write the blobs to an HDF5 file, and their gradients with `write_diff`."""
        with aborting():
            files.save_hdf5(self._draft, path, write_diff=write_diff)

    def before_forward(self, call: Callback) -> None:
        """Call a function with each layer's number before it runs forward."""
        self._callbacks["before_forward"].append(call)

    def after_forward(self, call: Callback) -> None:
        """Call a function with each layer's number after it ran forward."""
        self._callbacks["after_forward"].append(call)

    def before_backward(self, call: Callback) -> None:
        """Call a function with each layer's number before it runs backward."""
        self._callbacks["before_backward"].append(call)

    def after_backward(self, call: Callback | NCCL) -> None:
        """Call a function with each layer's number after it ran backward; an NCCL does nothing."""
        if not isinstance(call, NCCL):
            self._callbacks["after_backward"].append(call)

    def _set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        for node in self._nodes[:1]:
            if isinstance(node, SourceNode) and isinstance(node.module, MemoryData):
                with aborting():
                    node.module.reset(data, labels)
                return
        raise RuntimeError("set_input_arrays wants a network whose first layer is MemoryData")

    def set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """Give the network's MemoryData layer samples and their labels, whole batches."""
        self._set_input_arrays(data, labels)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(lacking("'Net' object", name, INSTEAD))


_NAMED = ("network_file", "phase", "level", "stages", "weights")
_LEGACY = ("network_file", "weights", "phase")
_CALLBACKS = ("before_forward", "after_forward", "before_backward", "after_backward")

INSTEAD = {
    "set_phase_test": "give the phase to the constructor, Net(definition, weights, caffe.TEST)",
    "set_phase_train": "give the phase to the constructor, Net(definition, caffe.TRAIN)",
    "set_mode_cpu": "call caffe.set_mode_cpu()",
    "set_mode_gpu": "call caffe.set_mode_gpu()",
    "set_device": "call caffe.set_device(number)",
    "preprocess": "use caffe.io.Transformer(...).preprocess",
    "deprocess": "use caffe.io.Transformer(...).deprocess",
    "set_mean": "use caffe.io.Transformer(...).set_mean",
    "set_input_scale": "use caffe.io.Transformer(...).set_input_scale",
    "set_raw_scale": "use caffe.io.Transformer(...).set_raw_scale",
    "set_channel_swap": "use caffe.io.Transformer(...).set_channel_swap",
}
"""What Caffe's networks had before 2015, and who has it since."""


def _placed(node: Node, error: Exception) -> Exception:
    """Return an error with its layer's place; one of the user's code as it is."""
    if isinstance(error, CaffeError):
        return CaffeAbortError(f"{node.place}: {error}")
    if isinstance(node, (ModuleNode, SourceNode)):
        return CaffeAbortError(f"{node.place}: {error}")
    return error

"""The single-layer cases that were recorded from real Caffe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

import converter
from tests.support import recorded

from .fillers import with_caffes_statistics

CASES = recorded.index("layers", "index.json")
RUN = [case for case, meta in CASES.items() if not meta.get("refused")]
REFUSED = [case for case, meta in CASES.items() if meta.get("refused")]
ONNX_TOLERANCE = 1e-5
"""Of a blob's largest value, in float32: a few roundings."""


class Case:
    """One recorded case: its files, and its arrays by the kind of key."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder / name
        self.net = self.folder / "net.prototxt"
        weights = self.folder / "weights.caffemodel"
        self.weights = weights if weights.exists() else None
        self.note = CASES[name].get("note", "")
        io = self.folder / "io.npz"
        self.arrays: dict[str, np.ndarray] = {}
        if io.exists():
            with np.load(io) as file:
                self.arrays = dict(file)

    def kind(self, kind: str) -> dict[str, np.ndarray]:
        """Return `{rest of the key: array}` of one kind of key."""
        return {
            key.split("|", 1)[1]: array
            for key, array in self.arrays.items()
            if key.split("|", 1)[0] == kind
        }

    def load(self, phase: str = "TEST", dtype: torch.dtype = torch.float64) -> converter.CaffeNet:
        """Load the case's network, with every gradient that Caffe computed for it."""
        given = self.kind("in") if "shapes are set by the caller" in self.note else {}
        shapes = {name: array.shape for name, array in given.items()}
        net = converter.load(self.net, self.weights, phase=phase, dtype=dtype, input_shapes=shapes)
        with_caffes_statistics(net)
        net.force_backward = True
        for parameter in net.parameters():
            parameter.requires_grad_()
        return net

    def inputs(self, net: converter.CaffeNet, kind: str = "in") -> dict[str, torch.Tensor]:
        """Return the arrays of the network's inputs."""
        return {name: torch.from_numpy(array) for name, array in self.kind(kind).items()}

    @contextmanager
    def place(self) -> Iterator[None]:
        """Work in the case's folder: its data files have relative names."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            yield
        finally:
            os.chdir(before)


NO_ONNX = {
    **dict.fromkeys(
        (case for case in RUN if CASES[case]["type"] in {"DummyData", "HDF5Data"}),
        "nothing is left to export",
    ),
    "HDF5Output/basic": "nothing is left to export",
    "Input/no_shape": "nothing is left to export",
    "Input/one": "nothing is left to export",
    "Input/one_shape_two_tops": "nothing is left to export",
    "Input/scalar": "nothing is left to export",
    "Input/two_shapes": "nothing is left to export",
    "Silence/one": "nothing is left to export",
    "Silence/two": "nothing is left to export",
}
"""Cases that ONNX cannot say, with what the error must say about them."""

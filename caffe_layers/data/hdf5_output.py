"""HDF5Output."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError
from prototxt.hdf5.datasets import write_datasets


class HDF5Output(Layer, type="HDF5Output", param="hdf5_output_param", bottoms=2, tops=0):
    """Writes its bottoms, N x C x H x W each, as datasets `data` and `label` of a file.

    Absent axes are 1; the numbers are float32, or float64 where the data are. The file holds one
    batch: a second forward fails, as in Caffe, until `reset_state`. An exported model leaves the
    layer out.

    Errors: ShapeError where the bottoms differ in N or have more than 4 axes.
    Caffe: BVLC/caffe, src/caffe/layers/hdf5_output_layer.cpp
    """

    is_sink = True
    is_metric = True  # it only looks at what an exported model gives

    def __init__(self, file_name: str) -> None:
        super().__init__()
        require(bool(file_name), "it has no file_name to write to")
        self.file_name = file_name
        self.reset_state()

    def shapes(self, data: Shape, label: Shape) -> list[Shape]:
        n, m = (legacy_shape(x, name)[0] for x, name in ((data, "data"), (label, "label")))
        require(n == m, f"data {data} and label {label} differ in N")
        return []

    def reset_state(self) -> None:
        self._written = False

    def forward(self, data: Tensor, label: Tensor) -> tuple[Tensor, ...]:
        if self._written:
            raise UnsupportedError(
                f"{self.file_name} holds an earlier forward's batch, and has room for one",
                fix="net.layers[...].reset_state() lets the next one replace it",
            )
        dtype = torch.float64 if data.dtype == torch.float64 else torch.float32
        blobs = {"data": data, "label": label}
        write_datasets(
            self.file_name, {name: _stored(blob.to(dtype)) for name, blob in blobs.items()}
        )
        self._written = True
        return ()

    def onnx(self, op: Op, data: str, label: str) -> Values:
        return ()


def _stored(x: Tensor) -> np.ndarray:
    """Return the values in four axes."""
    return x.detach().cpu().numpy().reshape(legacy_shape(x.shape, "bottom"))

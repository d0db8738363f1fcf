"""What the tests of training share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support import recorded


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that copies a recorded training into the working folder of the test."""

    def enter(name: str) -> Path:
        for path in (recorded.unpack("solvers") / name).iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return enter


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder with a small definition that reads its own data, and a solver.

    TRAIN reads 40 rows in batches of 8, TEST 12 rows in batches of 4.
    """
    h5py = pytest.importorskip("h5py")
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1701)
    for name, rows in (("train", 40), ("test", 12)):
        data = random.standard_normal((rows, 1, 4, 5)).astype("f")
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["data"] = data
            file["label"] = (data.sum((1, 2, 3)) > 0).astype("f")
        (tmp_path / f"{name}.txt").write_text(f"{name}.h5\n")
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return tmp_path


NET = """name: "small"
layer { name: "data" type: "HDF5Data" top: "data" top: "label" include { phase: TRAIN }
  hdf5_data_param { source: "train.txt" batch_size: 8 } }
layer { name: "data" type: "HDF5Data" top: "data" top: "label" include { phase: TEST }
  hdf5_data_param { source: "test.txt" batch_size: 4 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 1 }
  param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 3 kernel_size: 2 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""

SOLVER = """net: "net.prototxt"
test_iter: 3
test_interval: 10
base_lr: 0.1
lr_policy: "inv"
gamma: 0.01
power: 0.75
momentum: 0.9
weight_decay: 0.001
display: 5
max_iter: 20
snapshot: 15
snapshot_prefix: "small"
random_seed: 7
solver_mode: CPU
"""

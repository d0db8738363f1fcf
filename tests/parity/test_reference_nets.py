"""Whole networks against what real Caffe computed with them in double, every blob.

Trained ones of `models/` and seeded ones; `reference/README.md` there says how inputs are made.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch

import converter
from converter.onnx.model import run_exposed
from converter.verification.golden import golden_error
from tests.support.recorded import assert_close

NETS = [
    "SE-ResNet-50",
    "bvlc_reference_caffenet",
    "caffeonnx_test",
    "cifar10_quick_2014",
    "cifar10_quick_h5",
    "derived__arm_cifar10_m4",
    "derived__cifar10_quick_h5",
    "derived__cifar10_quick_v0bin",
    "derived__cifar10_quick_v0txt",
    "derived__lenet_v0bin",
    "derived__lenet_v0txt",
    "derived__mbnet_yolov3_tusimple",
    "derived__waifu2x_anime_style_art",
    "derived__waifu2x_upconv_7_anime_style_art_rgb",
    "fcn8s_small",
    "fcn_alex_small",
    "hyperlpr_charrec",
    "hyperlpr_hfinemap",
    "lenet_2014",
    "lenet_cafftf",
    "lstm_small",
    "mtcnn_det1",
    "mtcnn_det2",
    "mtcnn_det3",
    "pnet_pkl",
    "squeezenet_v1.0_dc",
    "vdsr",
    "waifu2x_anime_style_art",
    "waifu2x_upconv_7_anime_style_art_rgb",
]
FLOAT64 = 1e-9
FLOAT32 = 1e-4
"""Of each blob's largest value."""
PARTS = ("shape", "stats", "sample")


@pytest.fixture(scope="module")
def seeded(shared: Path) -> Iterator[Path]:
    """Return a folder with the seeded caffemodels, rebuilt."""
    with TemporaryDirectory(prefix="caffe-nets-") as folder:
        script = shared / "reference" / "nets" / "build_weights.py"
        subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
        yield Path(folder)


class Recorded:
    """One recorded network: its files, its input and Caffe's blobs."""

    def __init__(self, name: str, shared: Path, seeded: Path) -> None:
        folder = shared / "reference" / "nets" / name
        self.meta = json.loads((folder / "meta.json").read_text())
        self.light = dict(np.load(folder / "light.npz"))
        model = shared / "models" / name.removeprefix("derived__")
        rooms = [folder, model]
        if name.startswith("derived__"):  # the V0 models are themselves what was derived
            rooms.insert(0, model / "derived")
        weights = ("weights.caffemodel", "weights.caffemodel.h5")
        self.net = _first(room / "deploy.prototxt" for room in rooms)
        self.weights = _first(
            [*(room / file for room in rooms for file in weights), seeded / f"{name}.caffemodel"]
        )
        self.inputs = {blob: self._input(blob, shape) for blob, shape in self._shapes.items()}

    @property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {blob: tuple(shape) for blob, shape in self.meta["inputs"].items()}

    def _input(self, blob: str, shape: tuple[int, ...]) -> np.ndarray:
        rng = np.random.default_rng([self.meta["seed"], zlib.crc32(f"input|{blob}".encode())])
        kind = self.meta["kinds"].get(blob, "")
        if kind.startswith("int"):
            values: Any = rng.integers(0, int(kind[3:]), shape)
        elif kind == "cont":
            values = rng.random(shape) < 0.8
            values[0] = 0
        elif kind == "neg":
            values = rng.uniform(-3, -0.7, shape)
        else:
            values = rng.standard_normal(shape) * self.meta["scale"]
        return np.asarray(values, np.float32)

    def load(self, dtype: torch.dtype) -> converter.CaffeNet:
        return converter.load(self.net, self.weights, dtype=dtype, input_shapes=self._shapes)

    def blobs(self) -> set[str]:
        return {key.rpartition("|")[0] for key in self.light if key.endswith("|shape")}

    def assert_caffes(self, blobs: Mapping[str, np.ndarray], tolerance: float) -> None:
        """Compare every given blob with Caffe's shape, statistics, samples or whole values."""
        for blob, got in blobs.items():
            parts = {part: self.light[f"{blob}|{part}"] for part in PARTS}
            error = golden_error(got, parts)
            assert error <= tolerance, f"{blob}: off by {error:.3g} of its largest value"
            if f"full|{blob}" in self.light:
                assert_close(got, self.light[f"full|{blob}"], blob, tolerance)


def _first(paths: Any) -> Path:
    return next(path for path in paths if path.exists())


@pytest.fixture
def recorded(request: pytest.FixtureRequest, shared: Path, seeded: Path) -> Recorded:
    return Recorded(request.param, shared, seeded)


def test_every_recorded_network_has_its_row(shared: Path) -> None:
    folders = (shared / "reference" / "nets").iterdir()
    assert sorted(path.name for path in folders if path.is_dir()) == NETS


@pytest.mark.parametrize("recorded", NETS, indirect=True)
def test_every_blob_is_caffes_in_double(recorded: Recorded) -> None:
    net = recorded.load(torch.float64)
    with torch.no_grad():
        got = net.blobs({k: torch.from_numpy(v).double() for k, v in recorded.inputs.items()})
    assert recorded.blobs() == got.keys()
    recorded.assert_caffes({blob: value.numpy() for blob, value in got.items()}, FLOAT64)


@pytest.mark.parametrize("recorded", NETS, indirect=True)
def test_every_blob_of_the_onnx_model_is_caffes(recorded: Recorded, tmp_path: Path) -> None:
    net = recorded.load(torch.float32)
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path)
    plan = net.exported().plan
    got = run_exposed(path, recorded.inputs, [top for step in plan.steps for top in step.tops])
    blobs = {
        blob: got[top]
        for step in plan.steps
        for blob, top in zip(step.blobs, step.tops, strict=True)
    }
    assert recorded.blobs() == blobs.keys() | recorded.inputs.keys()
    recorded.assert_caffes(blobs, FLOAT32)

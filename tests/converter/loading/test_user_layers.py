"""The user's own layers: the example of docs/own_layers.md, run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from caffe_layers import LAYERS
from caffe_layers.base.registry import OWN_FORKS
from converter.__main__ import main
from converter.loading import user_layers as own_layers
from prototxt import schema, write_caffemodel
from prototxt.errors import CaffeError, FormatError, UnsupportedError
from prototxt.read import read_net
from tests.support.paths import ROOT

pytestmark = pytest.mark.usefixtures("_forgotten")
DOCS = ROOT / "docs" / "own_layers.md"
FILES = {"prototxt": "net.prototxt", "proto": "my_layers.proto", "python": "my_layers.py"}


@pytest.fixture(scope="module")
def _forgotten():
    """Forget the layers again: other tests count what there is."""
    modules, layers = set(sys.modules), {kind: dict(forks) for kind, forks in LAYERS.items()}
    yield
    LAYERS.clear()
    LAYERS.update(layers)
    OWN_FORKS.clear()
    own_layers._loaded.clear()
    for name in set(sys.modules) - modules:
        if name.endswith("_layers"):
            del sys.modules[name]
    schema._added.clear()
    for cached in (schema._paths, schema.dialect, schema._foreign):
        cached.cache_clear()
    schema._known_readers.clear()


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """Write the files of the page's example, and weights for them."""
    folder = tmp_path_factory.mktemp("own")
    blocks = re.findall(r"```(\w+)\n(.*?)```", DOCS.read_text(), re.DOTALL)
    for kind, text in blocks:
        if kind in FILES:
            (folder / FILES[kind]).write_text(text)
    assert {path.name for path in folder.iterdir()} == set(FILES.values())
    return folder


def commanded(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own, as a user does."""
    command = [sys.executable, "-m", "converter", *words]
    root = str(DOCS.parents[1])
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": root, "PATH": "", "OMP_NUM_THREADS": "1"},
    )


def softgate(x: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    for at in np.ndindex(x.shape):
        gate = 1 / (1 + np.exp(-2.5 * (x[at] - threshold[at[1]])))
        out[at] = x[at] * gate
    return out


def test_the_pages_example_is_converted_and_verified(example):
    done = commanded(example, "convert", "net.prototxt", "-o", "out", "--layers", "my_layers.py")
    assert done.returncode == 0, done.stderr
    assert "gate" in (example / "out" / "report.md").read_text()
    path = example / "out" / "net.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    net = converter.load(example / "net.prototxt", layers=example / "my_layers.py")
    x = np.random.default_rng(1701).normal(size=(2, 3, 8, 8)).astype("f4")
    (theirs,) = session.run(None, {"data": x})
    np.testing.assert_allclose(theirs, net(torch.from_numpy(x))["prob"].detach(), rtol=1e-5)


def test_its_numbers_and_its_weights(example):
    layers = example / "my_layers.py"
    own_layers.load_layers(layers)
    definition = read_net(example / "net.prototxt")
    rng = np.random.default_rng(1701)
    threshold = rng.normal(size=4).astype("f4")
    weights = {"conv": [rng.normal(size=(4, 3, 3, 3)).astype("f4"), np.zeros(4, "f4")]}
    path = example / "net.caffemodel"
    write_caffemodel(path, definition, weights | {"gate": [threshold]})
    for net in (example / "net.prototxt", path):  # the embedded network alike
        loaded = converter.load(net, path, layers=[layers], dtype=torch.float64)
        assert loaded.layers["gate"].sharpness == 2.5
        x = torch.from_numpy(rng.normal(size=(2, 3, 8, 8)))
        blobs = loaded.blobs({"data": x})
        want = softgate(blobs["conv"].detach().numpy(), threshold)
        np.testing.assert_allclose(blobs["gate"].detach(), want, rtol=1e-12)
        assert torch.autograd.gradcheck(
            loaded.layers["gate"], x[:, :, :4, :3].repeat(1, 2, 1, 1)[:, :4].requires_grad_()
        )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "net.prototxt"), "dialect: my_layers (SoftGate)"),
        (("check", "net.prototxt"), "SoftGate"),
        (("upgrade", "net.prototxt", "new.prototxt"), "wrote new.prototxt"),
        (("draw", "net.prototxt", "-o", "net.svg"), "wrote net.svg"),
        (("verify", "net.prototxt"), "gate"),
    ],
)
def test_every_command_takes_layers(example, words, said, monkeypatch, capsys):
    monkeypatch.chdir(example)
    assert main([*words, "--layers", "my_layers.py"]) == 0
    assert said in capsys.readouterr().out


def test_without_the_file_the_type_is_unknown(example):
    done = commanded(example, "show", "net.prototxt")
    assert done.returncode == 1
    assert "LayerParameter has no field 'soft_gate_param'" in done.stderr
    assert "did you mean" not in done.stderr


def test_its_field_is_its_types_alone(example, tmp_path):
    converter.load(example / "net.prototxt", layers=example / "my_layers.py")
    text = (example / "net.prototxt").read_text()
    path = tmp_path / "net.prototxt"
    path.write_text(text.replace('type: "Softmax"', 'type: "Softmax" soft_gate_param {}'))
    with pytest.raises(FormatError, match="LayerParameter has no field 'soft_gate_param'"):
        converter.load(path)


@pytest.mark.parametrize(
    ("name", "text", "error", "said"),
    [
        ("gone_layers.py", None, FormatError, "no such file of layers"),
        ("bad_layers.py", "class Broken(:\n", FormatError, "bad_layers.py:1: invalid syntax"),
        ("lost_layers.py", "import not_there\n", UnsupportedError, "No module named 'not_there'"),
        (
            "taken_layers.py",
            "import caffe_layers\nclass A(caffe_layers.Layer, type='ReLU'): ...\n",
            UnsupportedError,
            "bvlc's 'ReLU' is taken by",
        ),
        ("json.py", "", UnsupportedError, "a module named 'json' is there already"),
        ("own_layers.txt", "", FormatError, "no Python file"),
    ],
)
def test_files_that_are_no_layers(example, tmp_path, name, text, error, said):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(CaffeError, match=re.escape(said)) as caught:
        converter.load(example / "net.prototxt", layers=tmp_path / name)
    assert caught.type is error


def test_a_reading_of_ones_own_comes_first(tmp_path):
    (tmp_path / "own_l1.py").write_text(
        "from caffe_layers import Layer\n"
        "class Mine(Layer, type='L1Loss', fork='own_l1', bottoms=2):\n"
        "    def shapes(self, a, b): return [()]\n"
        "    def forward(self, a, b): return (a - b).abs().max()\n"
    )
    text = "input: 'a' input: 'b' input_shape { dim: 2 } input_shape { dim: 2 } "
    path = tmp_path / "net.prototxt"
    path.write_text(text + "layer { type: 'L1Loss' bottom: 'a' bottom: 'b' top: 'l' }")
    net = converter.load(path, layers=tmp_path / "own_l1.py")
    assert net({"a": torch.tensor([1.0, 5]), "b": torch.tensor([0.0, 2])})["l"] == 3

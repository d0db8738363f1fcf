"""What docs/golden.md tells a user with Caffe to do."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

import converter
from converter.__main__ import main
from tests.support.paths import ROOT

TEXT = (ROOT / "docs" / "golden.md").read_text()
NET = """name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 4 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "fc" top: "fc" }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


class Pycaffe:
    """As much of pycaffe's Net as the snippet uses."""

    def __init__(self, net: str, weights: str, phase: str) -> None:
        self.net = converter.load(net, weights, phase=phase)
        self.inputs = list(self.net.input_shapes)
        self.blobs = {
            name: SimpleNamespace(data=np.zeros(shape, np.float32))
            for name, shape in self.net.shapes().items()
        }

    def forward(self) -> None:
        fed = {name: torch.from_numpy(self.blobs[name].data) for name in self.inputs}
        for name, value in self.net.blobs(fed).items():
            self.blobs[name] = SimpleNamespace(data=value.detach().numpy())


@pytest.fixture
def recorded_blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return what the snippet writes, in the working folder of the test."""
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)
    converter.save_caffemodel(converter.load("net.prototxt"), "net.caffemodel")
    caffe = ModuleType("caffe")
    caffe.Net, caffe.TEST = Pycaffe, "TEST"
    monkeypatch.setitem(sys.modules, "caffe", caffe)
    (snippet,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(snippet, {})
    return Path("caffes_blobs.npz")


COMMANDS = re.findall(r"^caffeport (.*)$", TEXT, re.MULTILINE)


def test_both_commands_are_there() -> None:
    assert [command.split()[0] for command in COMMANDS] == ["verify", "convert"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("recorded_blobs")
def test_the_commands_pass(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command)) == 0
    assert "torch against caffes_blobs.npz: passed; 3 blobs" in capsys.readouterr().out


def test_another_weight_fails(recorded_blobs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blobs = dict(np.load(recorded_blobs))
    blobs["prob"] = blobs["prob"][:, ::-1]
    np.savez(recorded_blobs, **blobs)
    assert main(shlex.split(COMMANDS[0])) == 1
    assert "FAILED at 'prob', the first blob that differs" in capsys.readouterr().out

"""The benchmark of eight bits: how it runs and judges Caffe, by what stands in for it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import converter
from tests.support.definitions import convolution, layer
from tests.support.paths import ROOT

NET = (
    layer("data", "Input", "", "data", "input_param { shape { dim: [1, 3, 4, 4] } }")
    + convolution("conv", "data", 2, 3)
)  # fmt: skip
SLEEP = 0.2
STANDS_IN = """
import time

from converter import pycaffe

pycaffe.install()
import caffe

right = caffe.Net.forward


def forward(net):
    time.sleep({sleep})
    return {{name: {factor} * top for name, top in right(net).items()}}


caffe.Net.forward = forward
"""


@pytest.fixture
def int8(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import the script, and those beside it, for this test alone."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    before = set(sys.modules)
    yield importlib.import_module("int8")
    for name in sys.modules.keys() - before:
        if str(ROOT / "benchmarks") in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def caffe(folder: Path, monkeypatch: pytest.MonkeyPatch, factor: float) -> Path:
    """Return a Python whose `import caffe` gives what Caffe does, so many times."""
    (folder / "caffe.py").write_text(STANDS_IN.format(factor=factor, sleep=SLEEP))
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{ROOT}")
    return Path(sys.executable)


def network(int8: ModuleType, folder: Path) -> object:
    net, weights = folder / "net.prototxt", folder / "net.caffemodel"
    net.write_text(NET)
    converter.save_caffemodel(converter.load(net), weights)
    return int8.Network("tiny", net, weights, (3, 4, 4))


def test_caffe_is_timed_once_its_numbers_are_ours(
    int8: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, python = network(int8, tmp_path), caffe(tmp_path, monkeypatch, 1)
    with int8.in_caffe(given, python, tmp_path, 1) as run:
        for batch in (1, 2):
            took = int8.measure(given, {int8.CAFFE: run}, batch, 3)[int8.CAFFE]
            assert len(took) == 3
            assert all(0 < seconds < SLEEP for seconds in took)  # the processor's


def test_wrong_numbers_are_not_timed(
    int8: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, python = network(int8, tmp_path), caffe(tmp_path, monkeypatch, 1.01)
    with (
        int8.in_caffe(given, python, tmp_path, 1) as run,
        pytest.raises(SystemExit, match="tiny in Caffe itself: wrong numbers"),
    ):
        run(np.ones((1, 3, 4, 4), np.float32))


def test_ratios_are_the_rounds_own(int8: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    took = {int8.FLOAT: [4.0, 8.0, 12.0], "eight bits": [2.0, 2.0, 4.0], int8.CAFFE: [8.0, 40.0, 8]}
    int8.show("tiny", {1: took})
    assert capsys.readouterr().out == (
        "\n| tiny | batch 1, ms | x float32 | x Caffe itself |\n|---|---|---|---|\n"
        "| float32 | 8000.0 | 1.00 | 2.00 |\n"
        "| eight bits | 2000.0 | 3.00 | 4.00 |\n"
        "| Caffe itself | 8000.0 | 0.50 | 1.00 |\n"
    )


def test_without_caffe_there_is_an_error(
    int8: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["int8.py", "a", "b", "--peers", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        int8.main()
    assert f"there is no {tmp_path}/caffe/bin/python" in capsys.readouterr().err

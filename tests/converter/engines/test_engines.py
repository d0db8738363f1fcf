"""Engines that run ONNX files: found by their names, and told when they are not there."""

from __future__ import annotations

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import onnx
import pytest

from converter.engines import ENGINES, get_engine, installed, onnxruntime
from converter.engines.__main__ import REFUSED, main
from converter.errors import UsageError
from converter.npz import write_npz
from tests.support.paths import ROOT

RNG = np.random.default_rng(1701)
NODES = [
    onnx.helper.make_node("Sub", ["first", "second"], ["a/difference"]),
    onnx.helper.make_node("Mul", ["a/difference", "weight"], ["product@1"]),
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two inputs, whose order matters, and two outputs; the weight is named as an input too."""
    value = onnx.helper.make_tensor_value_info
    sizes = ["batch", 3]
    graph = onnx.helper.make_graph(
        NODES,
        "two",
        [value(name, 1, sizes) for name in ("first", "second")] + [value("weight", 1, [3])],
        [value(name, 1, sizes) for name in ("product@1", "a/difference")],
        [onnx.numpy_helper.from_array(np.float32([1, 10, 100]), "weight")],
    )
    path = tmp_path / "two.onnx"
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def feeds() -> dict[str, np.ndarray]:
    drawn = RNG.standard_normal((2, 4, 3)).astype(np.float32)
    return dict(zip(["second", "first"], drawn, strict=True))


@pytest.mark.parametrize("name", [name for name in ENGINES if not get_engine(name).lacks()])
def test_an_engine_gives_outputs_by_their_names(name: str, model: Path) -> None:
    engine, fed = installed(name), feeds()
    outputs = engine.run(model, fed)
    assert set(outputs) == {"product@1", "a/difference"}
    difference = fed["first"] - fed["second"]
    np.testing.assert_allclose(outputs["a/difference"], difference, rtol=1e-6)
    np.testing.assert_allclose(outputs["product@1"], difference * [1, 10, 100], rtol=1e-6)
    assert any(digit.isdigit() for digit in engine.version())


def test_onnx_runtime_is_there() -> None:
    """The one that is never left out of the test above."""
    assert "onnxruntime" in ENGINES
    assert onnxruntime.lacks() == []


def test_an_unknown_engine_names_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'tensorflow' is unknown\n.*onnxruntime, "):
        get_engine("tensorflow")


@pytest.mark.parametrize("name", ["openvino", "tensorrt"])
def test_an_engine_that_is_not_installed_says_how(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("converter.engines._modules.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=rf"not installed.*{name}.*\n.*caffeport\[{name}\]"):
        installed(name)


def test_every_pip_line_is_an_extra() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = config["options.extras_require"]
    lines = {name: get_engine(name).INSTALL for name in ENGINES}
    wanted = {name for name, line in lines.items() if "caffeport[" in line}
    assert len(wanted) > 5
    assert all(lines[name] == f"pip install caffeport[{name}]" for name in wanted)
    assert not {name for name in wanted if name not in extras}


def test_one_run_in_an_environment_of_its_own(model: Path, tmp_path: Path) -> None:
    fed = feeds()
    with (tmp_path / "in.npz").open("wb") as file:
        write_npz(file, fed)
    words = ["onnxruntime", str(model), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    assert main(words) == 0
    with np.load(tmp_path / "out.npz") as archive:
        np.testing.assert_array_equal(archive["a/difference"], fed["first"] - fed["second"])


def test_a_refusal_is_the_engines_own_words(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "in.npz").open("wb") as file:
        write_npz(file, {"first": feeds()["first"]})
    words = ["onnxruntime", str(model), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    assert main(words) == REFUSED
    assert "second" in capfd.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out.npz").exists()
    assert main(["nothing"]) == 1
    assert "known: " in capfd.readouterr().err


def test_a_runner_needs_no_torch() -> None:
    code = (
        "import sys, converter.engines.__main__\n"
        "from converter.engines import ENGINES, get_engine\n"
        "for name in ENGINES: get_engine(name)\n"
        "print(*sorted({'torch', 'onnx', 'google.protobuf', *ENGINES} & sys.modules.keys()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == []

"""What the report says of using an ONNX file: the program that it prints runs, and is right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import converter
from converter.__main__ import main
from converter.onnx.model import OnnxModel
from converter.verification.usage import Usage

NET = """name: "probe"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [%s] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "xavier" } } }
"""
SETTINGS = {
    "in order": ({"mean": "104,117,123"}, 3),
    "shorter side and crop": ({"mean": "1,2,3", "scale": 0.5, "resize": "10", "crop": "8"}, 3),
    "red first": ({"mean": "5", "channels": "RGB", "resize": "9x12"}, 3),
    "gray": ({"mean": "30", "resize": "9"}, 1),
    "a mean image": ({"mean": "mean.npy"}, 3),
    "raw": ({"raw": True}, 3),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    photo = np.random.default_rng(5).integers(256, size=(16, 24, 3), dtype=np.uint8)
    Image.fromarray(photo).save("photo.png")
    Image.fromarray(photo).save("photo.jpg", format="PNG")  # lossless, by the program's name
    np.save("mean.npy", np.random.default_rng(6).uniform(0, 200, (3, 10, 12)))
    return tmp_path


def run(program: str, folder: Path) -> dict[str, np.ndarray]:
    """Run a report's program in a process of its own; return the outputs."""
    text = (
        program
        + "np.savez('got.npz', **dict(zip([o.name for o in session.get_outputs()], outputs)))\n"
    )
    subprocess.run([sys.executable, "-c", text], cwd=folder, check=True, capture_output=True)
    with np.load(folder / "got.npz") as got:
        return dict(got)


@pytest.mark.parametrize("embedded", [False, True])
@pytest.mark.parametrize("what", SETTINGS)
def test_the_program_feeds_a_photo_as_the_network_wants_it(
    what: str, embedded: bool, folder: Path
) -> None:
    settings, channels = SETTINGS[what]
    if embedded and what == "raw":
        pytest.skip("what is raw has nothing to build in")
    size = "16, 24" if what == "raw" else "8, 8"
    Path("net.prototxt").write_text(NET % f"1, {channels}, {size}")
    report = converter.convert(
        "net.prototxt", None, "out", preprocessing=settings, embed_preprocessing=embedded
    )
    assert report.usage is not None
    Path("out/photo.jpg").write_bytes(Path("photo.jpg").read_bytes())
    got = run(report.usage.program, folder / "out")["conv"]
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    words = ["--raw"] if what == "raw" else words
    args = ["run", "net.prototxt", "--input", "data=photo.png", *words]
    assert main([*args, "--output", "want.npz"]) == 0
    with np.load("want.npz") as want:
        scale = np.abs(want["data"]).max()
        assert np.abs(got - want["conv"]).max() < 1e-2 * scale, "a level of 255, at most"
        assert np.abs(got - want["conv"]).mean() < 2e-3 * scale
    assert report.usage.program in Path("out/report.md").read_text()
    said = json.loads(Path("out/report.json").read_text())["usage"]
    assert said["program"] == report.usage.program
    assert said["images"]["embedded"] is embedded


@pytest.mark.parametrize("what", ["in order", "a mean image", "shorter side and crop"])
def test_a_model_is_run_on_a_photo_by_its_metadata(what: str, folder: Path) -> None:
    settings, channels = SETTINGS[what]
    Path("net.prototxt").write_text(NET % f"1, {channels}, 8, 8")
    converter.convert("net.prototxt", None, "out", preprocessing=settings)
    assert Path("out/net.mean.npy").exists() is (what == "a mean image")
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    for net, more in (("net.prototxt", words), ("out/net.onnx", [])):
        args = ["run", net, "--input", "data=photo.png", *more, "--output"]
        assert main([*args, f"{Path(net).suffix}.npz"]) == 0
    with np.load(".prototxt.npz") as want, np.load(".onnx.npz") as got:
        assert np.allclose(got["conv"], want["conv"], atol=1e-4)


def test_what_nothing_is_known_of_is_fed_zeros(folder: Path) -> None:
    text = (
        NET % "2, 3, 8, 8"
        + """
    layer { name: "at" type: "Input" top: "at" input_param { shape { dim: [2, 5] } } }
    layer { name: "fc" type: "InnerProduct" bottom: "at" top: "fc"
      inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }"""
    )
    Path("net.prototxt").write_text(text)
    report = converter.convert("net.prototxt", None, "out")
    usage = report.usage
    assert usage is not None
    assert usage.images is None
    assert [(one.name, one.shape) for one in usage.inputs] == [
        ("data", ("batch", 3, 8, 8)),
        ("at", ("batch", 5)),
    ]
    assert {one.name: one.dtype for one in usage.outputs} == {"conv": "float32", "fc": "float32"}
    got = run(usage.program, folder / "out")
    assert got["conv"].shape == (1, 2, 6, 6)
    assert not got["fc"].any()
    assert "| input | `at` | float32 | batch x 5 |  |" in Path("out/report.md").read_text()


def test_a_fixed_batch_is_filled_with_the_photo(folder: Path) -> None:
    Path("net.prototxt").write_text(NET % "2, 3, 8, 8")
    settings = {"mean": "1"}
    net = converter.load("net.prototxt")
    wanted = converter.preprocess(net, **settings).preprocessing
    converter.export_onnx(net, "net.onnx", dynamic=(), images=wanted)
    usage = Usage.of(OnnxModel("net.onnx"))
    got = run(usage.program, folder)["conv"]
    assert got.shape == (2, 2, 6, 6)
    assert np.array_equal(got[0], got[1])

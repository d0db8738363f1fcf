"""The commands as a user runs them: what they print, write and return."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors import safe_open
from safetensors.torch import load_file

import converter
from converter.__main__ import main
from converter.commands import COMMANDS
from converter.version import VERSION
from prototxt.nets.sknet import sknet
from tests.support.paths import ROOT
from tests.support.recorded import assert_close

NETS = ROOT / "prototxt" / "nets"
Printed = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def tiny(tiny_sk: Path) -> tuple[str, str]:
    """Return the tiny SK network's definition and weights, trained."""
    return str(tiny_sk / "tiny_sk.prototxt"), str(tiny_sk / "tiny_final_iter_12.caffemodel")


@pytest.fixture(scope="module")
def out(tiny: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of one conversion into every format that is quick."""
    folder = tmp_path_factory.mktemp("convert") / "made" / "out"
    formats = "onnx,safetensors,caffemodel"
    assert main(["convert", *tiny, "-o", str(folder), "--format", formats, "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return three seeded images for the tiny SK network."""
    path = tmp_path_factory.mktemp("data") / "data.npy"
    np.save(path, np.random.default_rng(1701).standard_normal((3, 3, 20, 20), np.float32))
    return path


def test_convert_writes_what_was_asked(out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == [
        "report.json",
        "report.md",
        "tiny_sk.caffemodel",
        "tiny_sk.onnx",
        "tiny_sk.safetensors",
    ]


def test_files_have_the_usual_mode(out: Path, tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    modes = {path.name: path.stat().st_mode for path in out.iterdir()}
    assert set(modes.values()) == {usual.stat().st_mode}, modes


def test_safetensors_are_the_weights(out: Path, tiny: tuple[str, str]) -> None:
    net, held = converter.load(*tiny), load_file(out / "tiny_sk.safetensors")
    count = 0
    for name, layer in net.layers.items():
        for blob, value in zip(layer.blob_names, layer.blobs, strict=True):
            assert torch.equal(held[f"{name}.{blob}"], value), (name, blob)
            count += 1
    assert len(held) == count == 38


def test_the_caffemodel_is_the_network(out: Path, tiny: tuple[str, str], data: Path) -> None:
    fed = {"data": torch.from_numpy(np.load(data))}
    with torch.no_grad():
        want = converter.load(*tiny)(fed)["classifier"]
        got = converter.load(tiny[0], out / "tiny_sk.caffemodel")(fed)["classifier"]
    assert torch.equal(got, want)


def test_convert_to_an_exported_program(tiny: tuple[str, str], data: Path, tmp_path: Path) -> None:
    assert main(["convert", *tiny, "-o", str(tmp_path), "--format", "pt2", "--quiet"]) == 0
    program = torch.export.load(tmp_path / "tiny_sk.pt2").module()
    fed = {"data": torch.from_numpy(np.load(data))}
    with torch.no_grad():
        want = converter.load(*tiny)(fed)["classifier"]
        assert_close(program(fed)["classifier"], want, "pt2", 1e-6)


FIXED = """
input: "data" input_shape { dim: 2 dim: 3 }
layer { name: "r" type: "Reshape" bottom: "data" top: "y"
  reshape_param { shape { dim: 3 dim: 2 } } }
"""


def test_a_network_of_one_batch_only(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(FIXED)
    args = ["convert", str(tmp_path / "net.prototxt"), "-o", str(tmp_path / "out")]
    assert main([*args, "--format", "onnx,pt2", "--quiet"]) == 0
    notes = json.loads((tmp_path / "out" / "report.json").read_text())["notes"]
    assert any(note.startswith("the batch of net.onnx is fixed, since a free") for note in notes)
    assert "net.pt2 takes only data of 2x3" in notes
    shape = onnx.load(str(tmp_path / "out" / "net.onnx")).graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [2, 3]
    assert main([*args, "--dynamic", "batch", "--format", "onnx,pt2", "--quiet"]) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["notes"] == notes


def test_the_reports(out: Path, tiny: tuple[str, str]) -> None:
    report = json.loads((out / "report.json").read_text())
    assert report["passed"] is True
    assert report["network"] == "tiny_sk"
    assert report["dtype"] == "float32"
    assert report["inputs"] == {"data": [8, 3, 20, 20], "label": [8]}
    assert report["versions"]["caffeport"] == VERSION
    assert {"torch", "onnx", "onnxruntime", "numpy", "protobuf"} <= report["versions"].keys()
    for files, paths in (
        (report["sources"], [Path(path) for path in tiny]),
        (report["written"], sorted(set(out.iterdir()) - set(out.glob("report.*")))),
    ):
        assert [file["path"] for file in files] == [str(path) for path in paths]
        for file, path in zip(files, paths, strict=True):
            held = path.read_bytes()
            assert file["size"] == len(held)
            assert file["sha256"] == hashlib.sha256(held).hexdigest()
    net = converter.load(*tiny)
    blobs = [blob for row in net.params.values() for blob in row]
    learnable = [blob for layer in net.layers.values() for blob in layer.parameters()]
    assert report["blob_values"] == sum(blob.numel() for blob in blobs)
    assert report["learnable_parameters"] == sum(blob.numel() for blob in learnable)
    assert report["multiply_adds_per_sample"] > 400_000
    shipped, exposed = report["comparisons"]
    assert [row["blob"] for row in shipped["blobs"]] == ["classifier"]
    assert len(exposed["blobs"]) > 30
    assert any("loss" in note and "label" in note for note in report["notes"])
    text = (out / "report.md").read_text()
    assert text.startswith("# tiny_sk\n")
    for part in ("## Read", "## Written", "## Notes", f"caffeport {VERSION}", "| classifier |"):
        assert part in text, part
    for file in report["sources"] + report["written"]:
        assert file["sha256"] in text


def test_convert_prints_what_it_did(tiny: tuple[str, str], tmp_path: Path, capsys: Printed) -> None:
    assert main(["convert", *tiny, "-o", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "against torch: passed; " in printed.out
    for name in ("tiny_sk.onnx", "tiny_sk.safetensors"):
        assert (
            f"wrote {tmp_path / name} ({(tmp_path / name).stat().st_size:,} bytes)" in printed.out
        )
    assert printed.err == ""
    assert main(["convert", *tiny, "-o", str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_was_run_is_said(
    dtype: str, tiny: tuple[str, str], tmp_path: Path, capsys: Printed
) -> None:
    args = ["convert", *tiny, "-o", str(tmp_path), "--dtype", dtype, "--format"]
    shipped, made = "ONNX Runtime, the file as it ships", "ONNX Runtime, a file made for this check"
    for formats in ("onnx,safetensors", "safetensors", "pt2,python"):
        assert main([*args, formats]) == 0
        printed = capsys.readouterr().out
        assert (f"{shipped}, against torch" in printed) == ("onnx" in formats)
        assert (f"{made}, against torch" in printed) == ("onnx" not in formats)
        programs = "pt2" in formats
        assert ("note: written but not run: tiny_sk.pt2, tiny_sk.py\n" in printed) == programs
        assert ("not run" in printed) == programs


def test_not_verified_is_said(tiny: tuple[str, str], tmp_path: Path, capsys: Printed) -> None:
    assert main(["convert", *tiny, "-o", str(tmp_path), "--no-verify"]) == 0
    assert "note: not verified, as asked" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["comparisons"] == []


def test_convert_to_the_native_network(tmp_path: Path) -> None:
    net, out = tmp_path / "small.prototxt", tmp_path / "out"
    built = sknet("small", (1, 1), width=32, groups=4, num_classes=5, data=(2, 3, 56, 56))
    net.write_text(str(built), "utf-8")
    assert main(["convert", str(net), "-o", str(out), "--format", "onnx,sknet", "--quiet"]) == 0
    native = out / "small.sknet.safetensors"
    with safe_open(native, "pt") as file:
        assert file.metadata()["model"].startswith("SKNet(")
    assert native.stat().st_mode == (out / "report.md").stat().st_mode
    written = json.loads((out / "report.json").read_text())["written"]
    assert [Path(file["path"]).name for file in written] == ["small.onnx", native.name]


def test_a_format_that_the_network_lacks_leaves_nothing(
    tiny: tuple[str, str], tmp_path: Path, capsys: Printed
) -> None:
    out = tmp_path / "out"
    assert main(["convert", *tiny, "-o", str(out), "--format", "onnx,sknet"]) == 1
    assert capsys.readouterr().err.startswith("caffeport: no SKNet: ")
    assert not out.exists()


def test_run_writes_every_blob(
    tiny: tuple[str, str], data: Path, tmp_path: Path, capsys: Printed
) -> None:
    target = tmp_path / "blobs.npz"
    assert main(["run", *tiny, "--input", f"data={data}", "--output", str(target)]) == 0
    with torch.no_grad():
        want = converter.load(*tiny).blobs({"data": torch.from_numpy(np.load(data))})
    with np.load(target) as got:
        assert set(got.files) == want.keys()
        for name, blob in want.items():
            assert np.array_equal(got[name], blob.numpy()), name
    printed = f"classifier 3x10\nwrote {target} ({len(want)} arrays)\n"
    assert capsys.readouterr().out == printed


def test_run_backward_writes_caffes_diffs(
    tiny: tuple[str, str], data: Path, tmp_path: Path
) -> None:
    labels, target = tmp_path / "label.npy", tmp_path / "blobs.npz"
    np.save(labels, np.array([1, 0, 7]))
    args = ["--input", f"data={data}", "--input", f"label={labels}", "--phase", "TRAIN"]
    args += ["--dtype", "float64", "--backward", "--output", str(target)]
    assert main(["run", *tiny, *args]) == 0
    net = converter.load(*tiny, phase="TRAIN", dtype=torch.float64)
    fed = {"data": np.load(data).astype(float), "label": np.load(labels).astype(float)}
    want = converter.backward(net, {name: torch.from_numpy(value) for name, value in fed.items()})
    with np.load(target) as got:
        for name, diff in want.diffs.items():
            assert_close(got[f"diff|{name}"], diff, name)
        for layer, diffs in want.params.items():
            for index, diff in enumerate(diffs):
                assert_close(got[f"pdiff|{layer}[{index}]"], diff, layer)
        assert np.abs(got["pdiff|conv1[0]"]).max() > 0
        assert "loss" in got


@pytest.mark.parametrize(
    ("depth", "parameters", "values", "work"),
    [(50, "27.48 M", "27.56 M", "4.46 G"), (101, "48.69 M", "48.86 M", "8.45 G")],
)
def test_show_counts_sknet(
    depth: int, parameters: str, values: str, work: str, capsys: Printed
) -> None:
    assert main(["show", str(NETS / f"sknet{depth}.prototxt")]) == 0
    totals = capsys.readouterr().out.splitlines()[-2]
    assert "data 32x3x224x224" in totals
    assert f"{parameters} learnable parameters ({values} blob values)" in totals
    assert f"{work} multiply-adds a sample" in totals


def test_show_lists_the_layers(tiny: tuple[str, str], capsys: Printed) -> None:
    assert main(["show", *tiny, "--input-shape", "data=8,3,24,16", "--global-pool"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["conv1", "Convolution", "conv1", "8x16x24x16", "432", "165,888"] in rows
    assert ["classifier", "InnerProduct", "classifier", "8x10", "330", "320"] in rows
    lone = converter.load(*tiny)
    assert len([row for row in rows if len(row) > 2 and row[0] in lone.layers]) == len(lone.steps)


def test_show_a_lone_caffemodel(out: Path, capsys: Printed) -> None:
    assert main(["show", str(out / "tiny_sk.caffemodel")]) == 0
    assert "3.85 k learnable parameters (4.12 k blob values)" in capsys.readouterr().out


def test_verify(tiny: tuple[str, str], out: Path, data: Path, capsys: Printed) -> None:
    for more in ([], [str(out / "tiny_sk.onnx")], ["--input", f"data={data}"]):
        assert main(["verify", *tiny, *more]) == 0
        assert capsys.readouterr().out.count("against torch: passed; ") == 2
    assert main(["verify", *tiny, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_verify_without_weights(tiny: tuple[str, str], out: Path, capsys: Printed) -> None:
    model = out / "tiny_sk.onnx"
    assert main(["verify", tiny[0], str(model)]) == 1
    said = f"caffeport: {model}: an ONNX model, wants a network or weights of Caffe's\n  fix: "
    assert capsys.readouterr().err.startswith(said)


def test_verify_names_the_first_bad_blob(
    tiny: tuple[str, str], out: Path, tmp_path: Path, capsys: Printed
) -> None:
    model = onnx.load(out / "tiny_sk.onnx")
    (weight,) = [held for held in model.graph.initializer if held.name == "u/B_fc1.weight"]
    changed = numpy_helper.to_array(weight).copy()
    changed.flat[5] += 0.5
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    bad = tmp_path / "bad.onnx"
    onnx.save(model, bad)
    assert main(["verify", *tiny, str(bad)]) == 1
    printed = capsys.readouterr().out
    assert "FAILED at 'classifier', the first blob that differs" in printed
    assert "every value exposed" in printed
    assert "FAILED at 'u/B_fc1', the first blob that differs" in printed


def test_verify_against_a_golden_file(
    tiny: tuple[str, str], data: Path, tmp_path: Path, capsys: Printed
) -> None:
    golden, same = tmp_path / "golden.npz", [*tiny, "--input", f"data={data}"]
    exact = ["--dtype", "float64"]
    assert main(["run", *same, *exact, "--output", str(golden), "--quiet"]) == 0
    assert main(["verify", *same, *exact, "--golden", str(golden)]) == 0
    assert "torch against golden.npz: passed; 31 blobs" in capsys.readouterr().out
    with np.load(golden) as held:
        blobs = dict(held)
    blobs["u/B_fc1"][0, 0] += 1e-6
    np.savez(golden, **blobs)
    assert main(["verify", *same, *exact, "--golden", str(golden)]) == 1
    assert "FAILED at 'u/B_fc1', the first blob that differs" in capsys.readouterr().out
    assert main(["convert", *same, *exact, "--golden", str(golden), "-o", str(tmp_path)]) == 1
    assert json.loads((tmp_path / "report.json").read_text())["passed"] is False


def test_version(capsys: Printed) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"caffeport {VERSION}\n"


def test_every_command_has_help(capsys: Printed) -> None:
    assert {"check", "convert", "run", "show", "upgrade", "verify"} <= set(COMMANDS)
    for name in COMMANDS:
        with pytest.raises(SystemExit) as caught:
            main([name, "--help"])
        assert caught.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: caffeport {name} ")


def test_as_a_module(tiny: tuple[str, str], tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for args, status in (([*tiny], 0), ([tiny[0], str(tmp_path / "gone")], 1), ([], 2)):
        done = subprocess.run(
            [sys.executable, "-m", "converter", "show", *args],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr


TEMPLATE = """
name: "net_${EXP}" input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "fc8_${EXP}" type: "InnerProduct" bottom: "data" top: "y"
  inner_product_param { num_output: cls3x } }
"""


def test_a_templates_values(tmp_path: Path, capsys: Printed) -> None:
    net, out = str(tmp_path / "net.prototxt"), tmp_path / "out"
    Path(net).write_text(TEMPLATE)
    values = ["--set", "EXP=voc", "--set", "cls3x=63"]
    assert main(["show", net]) == 1
    assert "--set cls3x=..." in capsys.readouterr().err
    assert main(["check", net, *values]) == 0
    assert main(["convert", net, "-o", str(out), *values, "--format", "onnx", "--quiet"]) == 0
    shape = onnx.load(str(out / "net.onnx")).graph.output[0].type.tensor_type.shape
    assert shape.dim[1].dim_value == 63
    notes = json.loads((out / "report.json").read_text())["notes"]
    assert "the definition is a template, filled in with EXP=voc, cls3x=63" in notes
    filled = str(tmp_path / "filled.prototxt")
    assert main(["upgrade", net, filled, *values]) == 0
    assert converter.load(filled).steps[-1].layer.name == "fc8_voc"
    with pytest.raises(ValueError, match="was read already"):
        converter.load(converter.load(filled).definition, values={"EXP": "voc"})


@pytest.mark.parametrize("option", ["--input", "--input-shape", "--map", "--set"])
def test_a_name_is_given_once(option: str, capsys: Printed) -> None:
    with pytest.raises(SystemExit):
        main(["run", "net.prototxt", option, "a=1", option, "b=1", option, "a=2"])
    assert f"argument {option}: 'a' is given twice" in capsys.readouterr().err

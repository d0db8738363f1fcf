"""Bad input, asked for on the command line: one message, exit 1, nothing written."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from converter.__main__ import main

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 3] } } }\n'
FC = """layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
    inner_product_param { num_output: 4 } }\n"""
RELU = 'layer { name: "relu" type: "ReLU" bottom: "fc" top: "relu" }\n'

Fails = Callable[..., str]


@pytest.fixture
def fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Fails:
    """Return a function that converts what must be refused and returns the message."""

    def run(net: object, weights: object = None, *more: object, out: object = None) -> str:
        out = out or tmp_path / "out"
        args = [net, *([weights] if weights else []), "-o", out, *more]
        assert main(["convert", *map(str, args)]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("caffeport: ") == 1
        assert "Traceback" not in printed.err
        assert not (tmp_path / "out").exists()
        return printed.err.removeprefix("caffeport: ").rstrip("\n")

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a definition of these layers."""

    def to(*layers: str, name: str = "net.prototxt") -> Path:
        path = tmp_path / name
        path.write_text("".join(layers))
        return path

    return to


@pytest.fixture
def good(tmp_path: Path, write: Callable[..., Path]) -> tuple[Path, Path]:
    """Return a definition with its weights."""
    net, weights = write(INPUT, FC, RELU), tmp_path / "net.caffemodel"
    converter.save_caffemodel(converter.load(net), weights)
    return net, weights


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes: writers see an error of the system, as on a full disk.

    Native writers see it too, which no patched `write` would show.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


NETS = {
    "unknown layer": (
        INPUT + 'layer { name: "x" type: "Frobnicate" bottom: "data" top: "x" }',
        "net.prototxt: layer 'x' (Frobnicate): layer type 'Frobnicate' is unknown",
    ),
    "missing bottom": (INPUT + RELU, "layer 'relu' (ReLU): bottom 'fc' is no layer's top\n  fix: "),
    "cycle": (
        INPUT
        + 'layer { name: "a" type: "ReLU" bottom: "b" top: "a" }\n'
        + 'layer { name: "b" type: "ReLU" bottom: "a" top: "b" }',
        "layer 'a' (ReLU): bottom 'b' is a later layer's top\n  fix: ",
    ),
    "duplicate top": (
        INPUT + FC + FC.replace('name: "fc"', 'name: "fc2"'),
        "layer 'fc2' (InnerProduct): top 'fc' is already the top of an earlier layer",
    ),
    "empty": ("", "net.prototxt: the network has no layers"),
    "only a name": ('name: "nothing"', "net.prototxt: the network has no layers"),
    "unknown field": (INPUT + FC.replace("num_output", "num_outputs"), "net.prototxt:3:"),
    "unbalanced": (INPUT + FC.rstrip()[:-1], "net.prototxt:"),
    "wrong value": (INPUT + FC.replace("4", '"four"'), "net.prototxt:3:"),
    "no shape": ('layer { name: "data" type: "Input" top: "data" }', "--input-shape data="),
}


@pytest.mark.parametrize("case", NETS)
def test_a_bad_definition(case: str, fails: Fails, write: Callable[..., Path]) -> None:
    text, want = NETS[case]
    assert want in fails(write(text))


def test_weights_cut_short(good: tuple[Path, Path], fails: Fails, tmp_path: Path) -> None:
    net, weights = good
    data = weights.read_bytes()
    short = tmp_path / "short.caffemodel"
    for size in (0, 1, 20, len(data) // 2, len(data) - 1):
        short.write_bytes(data[:size])
        assert fails(net, short).startswith(f"{short}: "), size


def test_a_damaged_byte_is_a_result_or_a_message(
    good: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, weights = good
    data = weights.read_bytes()
    bad, refused = tmp_path / "bad.caffemodel", 0
    for at in range(len(data)):
        bad.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        status = main(["show", str(net), str(bad)])
        refused += status
        assert capsys.readouterr().err.count("caffeport: ") == status
    assert refused > 20


def test_files_in_each_others_place(good: tuple[Path, Path], fails: Fails) -> None:
    net, weights = good
    swapped = "text, wants weights\n  fix: give the .prototxt first and the .caffemodel after it"
    assert fails(weights, net) == f"{net}: {swapped}"
    assert fails(net, net) == f"{net}: {swapped}"


def test_a_binary_definition_that_is_none(fails: Fails, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_bytes(bytes(range(256)))
    assert fails(path).startswith(f"{path}")


def test_files_that_are_not_there(good: tuple[Path, Path], fails: Fails, tmp_path: Path) -> None:
    net, weights = good
    gone = tmp_path / "gone"
    missing = f"{gone}: No such file or directory"
    assert fails(gone, weights) == missing
    assert fails(net, gone) == missing
    assert fails(net, weights, "--golden", gone) == missing
    assert fails(net, weights, "--input", f"data={gone}.npy") == f"{gone}.npy: no such file"
    assert fails(net, tmp_path) == f"{tmp_path}: Is a directory"


def test_weights_of_another_network(
    good: tuple[Path, Path], fails: Fails, write: Callable[..., Path]
) -> None:
    _, weights = good
    more = write(INPUT, FC.replace("4", "5"), RELU, name="more.prototxt")
    assert "layer 'fc' (InnerProduct): blob 'weight' is (4, 3), wants (5, 3)\n  fix: " in fails(
        more, weights
    )
    no_bias = FC.replace("num_output: 4", "num_output: 4 bias_term: false")
    count = write(INPUT, no_bias, RELU, name="count.prototxt")
    assert "layer 'fc' (InnerProduct): 2 blobs, wants weight\n  fix: " in fails(count, weights)
    other = write(INPUT, FC.replace('"fc"', '"fc9"'), name="other.prototxt")
    assert "no weights for layer 'fc9'" in fails(other, weights)


def test_bad_options(good: tuple[Path, Path], fails: Fails, tmp_path: Path) -> None:
    text = tmp_path / "data.npy"
    text.write_text("no array")
    five = tmp_path / "five.npy"
    np.save(five, np.zeros((2, 5), "f"))
    for options, want in (
        (["--format", "frob"], "format 'frob' is unknown\n  fix: known: caffemodel, onnx,"),
        (["--format", ","], "no format is named\n  fix: known: caffemodel, onnx,"),
        (["--opset", "3"], "opset 3 is not in 13.."),
        (["--opset", "99"], "opset 99 is not in 13.."),
        (["--dynamic", "depth"], "dynamic axis 'depth' is none of batch, height, width"),
        (["--device", "frob"], "device 'frob': "),
        (["--input", f"data={text}"], f"{text}: no .npy file, or a damaged one"),
        (["--input", f"data={five}"], "layer 'fc' (InnerProduct): bottom (2, 5) has 5 values"),
        (["--input", f"date={five}"], "'date' is no input\n  fix: the inputs are data"),
        (["--input-shape", "date=1,3"], "'date' is no input\n  fix: the inputs are data"),
        (["--dialect", "frob"], "dialect 'frob' is not known"),
        (["--map", "frob=fc"], "no layer 'frob' to map to 'fc'"),
        (["--ignore", "frob"], "no layer 'frob' to ignore"),
        (["--golden", text], "data.npy: no .npz file of arrays, or a damaged one"),
    ):
        assert want in fails(*good, *options), options


@pytest.mark.parametrize(
    "options",
    [["--input", "data"], ["--input-shape", "data=many"], ["--dtype", "int4"], ["--frob"]],
)
def test_wrong_usage_is_2(options: list[str], good: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["convert", *map(str, good), "-o", str(tmp_path / "out"), *options])
    assert caught.value.code == 2
    assert not (tmp_path / "out").exists()


def test_no_weights_where_they_are_required(good: tuple[Path, Path], fails: Fails) -> None:
    net, _ = good
    assert fails(net, None, "--require-weights") == (
        f"{net}: no weights are given\n  fix: name the caffemodel"
    )


def test_a_model_that_is_none(
    good: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, weights = good
    cut = tmp_path / "cut.onnx"
    converter.export_onnx(converter.load(net, weights), cut)
    cut.write_bytes(cut.read_bytes()[:-7])
    for model in (net, weights, cut, tmp_path / "gone.onnx"):
        assert main(["verify", str(net), str(weights), str(model)]) == 1
        assert capsys.readouterr().err.startswith(f"caffeport: {model}: ")


def test_nan_in_the_weights_is_reported(
    good: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, weights = good
    loaded = converter.load(net, weights)
    with torch.no_grad():
        loaded.params["fc"][1][2] = float("nan")
    converter.save_caffemodel(loaded, weights)
    note = "NaN or infinity in the weights of: fc[1]"
    main(["convert", str(net), str(weights), "-o", str(tmp_path / "out")])
    assert note in capsys.readouterr().out
    assert note in (tmp_path / "out" / "report.md").read_text()
    assert note in (tmp_path / "out" / "report.json").read_text()
    assert main(["show", str(net), str(weights)]) == 0
    assert note in capsys.readouterr().out


def test_an_output_folder_that_is_a_file(
    good: tuple[Path, Path], fails: Fails, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    assert fails(*good, out=file) == f"{file}: Not a directory"
    assert fails(*good, out=file / "out") == f"{file / 'out'}: Not a directory"
    assert file.read_text() == "mine"


def test_an_output_file_that_is_a_folder(
    good: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "here" / "net.safetensors"
    folder.mkdir(parents=True)
    assert main(["convert", *map(str, good), "-o", str(tmp_path / "here")]) == 1
    assert capsys.readouterr().err == f"caffeport: {folder}: Is a directory\n"
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("name", ["onnx", "safetensors", "caffemodel", "pt2"])
def test_a_full_disk(name: str, tiny_sk: Path, fails: Fails, tmp_path: Path) -> None:
    net, weights = tiny_sk / "tiny_sk.prototxt", tiny_sk / "tiny_init.caffemodel"
    with full_disk(4000):
        message = fails(net, weights, "--format", name)
    assert message == f"{tmp_path / 'out' / f'tiny_sk.{name}'}: File too large"


def test_a_full_disk_leaves_what_was_there(
    tiny_sk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "there"
    args = ["convert", str(tiny_sk / "tiny_sk.prototxt"), "-o", str(out), "--no-verify"]
    assert main(args) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert len(before) == 4
    size = len(before["tiny_sk.onnx"])
    assert size > len(before["tiny_sk.safetensors"])
    with full_disk(size - 1):  # the second format fits; the first must not stand beside it
        assert main([*args, "--seed", "7", "--format", "safetensors,onnx"]) == 1
    assert capsys.readouterr().err == f"caffeport: {out / 'tiny_sk.onnx'}: File too large\n"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_an_output_that_cannot_be_written(
    good: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["run", *map(str, good), "--output"]
    assert main([*args, "/dev/full"]) == 1
    assert capsys.readouterr().err == "caffeport: /dev/full: No space left on device\n"
    before = sorted(tmp_path.iterdir())
    with full_disk(100):
        assert main([*args, str(tmp_path / "blobs.npz")]) == 1
    assert capsys.readouterr().err == f"caffeport: {tmp_path / 'blobs.npz'}: File too large\n"
    assert main([*args, str(good[0] / "blobs.npz")]) == 1
    assert sorted(tmp_path.iterdir()) == before


SIZE = ("--input-shape", "data=1,3,320,320", "--input-shape", "label=1")
FIXED = "average pool 'avepool/7x7' has a fixed kernel of 7x7; --global-pool lets it follow"


def test_sknet_at_320(sknet: Path, checkpoints: Path, fails: Fails, tmp_path: Path) -> None:
    net, weights = sknet / "sknet50.prototxt", checkpoints / "sknet50.caffemodel"
    message = fails(net, weights, *SIZE)
    assert "layer 'classifier' (InnerProduct): blob 'weight' is (1000, 2048), wants" in message
    assert FIXED in message
    assert "'label' is still (32,)" in fails(net, weights, *SIZE[:2])
    data = tmp_path / "data.npy"
    np.save(data, np.zeros((1, 3, 320, 320), "f"))
    message = fails(net, weights, "--input", f"data={data}")
    assert "layer 'classifier' (InnerProduct): bottom (1, 2048, 4, 4) has 32768 val" in message
    assert FIXED in message
    data = tmp_path / "wide.npy"  # a channel too many: the pool is not to blame
    np.save(data, np.zeros((1, 4, 320, 320), "f"))
    assert "--global-pool" not in fails(net, weights, "--input", f"data={data}")


def test_sknet_at_320_with_a_global_pool(sknet: Path, checkpoints: Path, tmp_path: Path) -> None:
    net, weights = sknet / "sknet50.prototxt", checkpoints / "sknet50.caffemodel"
    out = tmp_path / "out"
    args = [str(net), str(weights), "-o", str(out), *SIZE, "--global-pool", "--format", "onnx"]
    assert main(["convert", *args, "--quiet"]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "report.json",
        "report.md",
        "sknet50.onnx",
    ]
    shutil.rmtree(out)

"""The demo that is shipped: its files, what it prints, and when it fails."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
import prototxt
from converter.__main__ import main
from converter.demo import run
from converter.demo.files import DIGITS, FOLDER, NET, WEIGHTS
from prototxt.nets.digits import digits_sk


def test_demo_converts_verifies_and_classifies(tmp_path, capsys):
    assert main(["demo", "-o", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "14.84 k learnable parameters" in printed
    assert "ONNX Runtime, the file as it ships, against torch: passed; 1 blobs" in printed
    assert "ONNX Runtime, every value exposed, against torch: passed; 65 blobs" in printed
    right = [line for line in printed.splitlines() if " of 360 right, " in line]
    assert [line[:12].strip() for line in right] == ["PyTorch", "ONNX Runtime"]
    assert all(float(line.rsplit(" ", 1)[1].rstrip("%")) >= 97 for line in right)
    assert "360 of 360 digits are classified alike by both" in printed
    assert printed.endswith("The demo passed.\n")
    assert {path.name for path in tmp_path.iterdir()} == {
        *("digits_sk.onnx", "digits_sk.safetensors", "report.md", "report.json")
    }


def test_demo_fails_where_too_few_digits_are_right(tmp_path, capsys, monkeypatch):
    with np.load(DIGITS) as held:
        wrong = {"images": held["images"], "labels": (held["labels"] + (held["labels"] > 8)) % 10}
    np.savez(tmp_path / "digits.npz", **wrong)
    monkeypatch.setattr(run, "DIGITS", tmp_path / "digits.npz")
    assert main(["demo", "-o", str(tmp_path / "out")]) == 1
    assert "The demo FAILED: it wants 97%" in capsys.readouterr().out


def test_definition_is_what_the_builder_writes():
    assert NET.read_text("utf-8") == str(digits_sk())


def test_weights_are_small_and_written_by_our_own_writer(tmp_path):
    assert sum(path.stat().st_size for path in (NET, WEIGHTS, DIGITS)) < 1_000_000
    net = converter.load(NET, WEIGHTS, phase="TRAIN", require_weights=True)
    converter.save_caffemodel(net, tmp_path / "again.caffemodel")
    assert (tmp_path / "again.caffemodel").read_bytes() == WEIGHTS.read_bytes()
    types = {layer.type for layer in prototxt.read_net(WEIGHTS).layers}
    assert {"CuDNNBatchNorm", "Axpy", "Scale", "Softmax", "Slice"} <= types


def test_held_out_digits_are_scikit_learns():
    digits = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not there")
    everything = digits.load_digits()
    known = {
        (image.tobytes(), label)
        for image, label in zip(
            everything.images.astype(np.uint8), everything.target.tolist(), strict=True
        )
    }
    with np.load(DIGITS) as held:
        found = {
            (image.tobytes(), label)
            for image, label in zip(held["images"], held["labels"].tolist(), strict=True)
        }
    assert len(found) == 360
    assert found <= known


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Work in a folder with what the demo's network learns from; give the module that made it."""
    pytest.importorskip("lmdb", reason="databases need lmdb")
    data = pytest.importorskip("converter.demo.data", reason="scikit-learn is not there")
    data.main(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return data


def test_the_held_out_digits_are_those_that_come_along(made, tmp_path):
    with np.load(DIGITS) as shipped, np.load(tmp_path / DIGITS.name) as again:
        for name in ("images", "labels"):
            assert (shipped[name] == again[name]).all()


def test_databases_hold_the_digits_with_a_border(made):
    test, train = (
        converter.load("digits_sk_train.prototxt", phase=phase) for phase in ("TEST", "TRAIN")
    )
    with np.load(DIGITS) as held:
        batch = test.blobs()
        assert (batch["data"][:, 0].numpy() == held["images"][:90] / 16).all()
        assert (batch["label"].numpy() == held["labels"][:90]).all()
    (images, labels), _ = made.split_digits()
    train.seed_data(1)
    batch = train.blobs()
    assert (batch["label"].numpy() == labels[:64]).all()
    places = set()
    for crop, image in zip(batch["data"][:, 0].numpy(), images, strict=False):
        around = np.pad(image, 1) / 16
        places |= {
            (y, x)
            for y in range(3)
            for x in range(3)
            if (crop == around[y : y + 8, x : x + 8]).all()
        }
    assert len(places) == 9, "one pixel to any side"
    assert len(made.split_digits()[0][0]) == 1437


def test_digits_are_enlarged_to_bytes(tmp_path):
    pytest.importorskip("lmdb", reason="databases need lmdb")
    data = pytest.importorskip("converter.demo.data", reason="scikit-learn is not there")
    data.write_digits(tmp_path, size=28, brightest=255)
    from prototxt.data.datum import read_datum
    from prototxt.data.lmdb import Database

    database = Database(tmp_path / "digits_test")
    assert len(database) == 360
    image, label = read_datum(database[7][1])
    with np.load(DIGITS) as held:
        digit, want = held["images"][7], held["labels"][7]
    assert (image.shape, image.dtype, label) == ((1, 28, 28), np.uint8, want)
    assert image.max() > 200
    middles = (np.arange(8) * 3.5 + 1.75).astype(int)
    spread = image[0][np.ix_(middles, middles)]
    assert np.corrcoef(spread.ravel(), digit.ravel())[0, 1] > 0.9


def shorten(name: str, iterations: int) -> str:
    """Write the solver with fewer iterations, and give its file and its last snapshot."""
    text = Path("digits_sk_solver.prototxt").read_text()
    for old, share in (("880", 1), ("220", 1), ("550", 2 / 3), ("770", 7 / 8)):
        text = text.replace(f": {old}", f": {int(iterations * share)}")
    Path(f"{name}.prototxt").write_text(text.replace('"digits_sk"', f'"{name}"'))
    assert main(["train", f"{name}.prototxt", "--quiet"]) == 0
    return f"{name}_iter_{iterations}.caffemodel"


@pytest.mark.usefixtures("made")
def test_the_documented_command_learns_what_can_be_deployed(capsys):
    weights = shorten("short", 96)
    assert main(["test", "digits_sk_train.prototxt", weights, "--iterations", "4"]) == 0
    accuracy = float(re.findall(r"accuracy = (\S+)", capsys.readouterr().out)[-1])
    assert accuracy > 0.4
    deployed = converter.load(NET, weights, require_weights=True)
    with np.load(DIGITS) as held, torch.no_grad():
        scores = deployed({"data": run.tensor_of(held["images"])})["classifier"]
        right = (scores.argmax(1).numpy() == held["labels"]).mean()
    assert right == pytest.approx(accuracy, abs=1e-5)


@pytest.mark.usefixtures("made")
def test_the_documented_command_gives_the_same_again():
    first, second = (shorten(name, 9) for name in ("one", "two"))
    assert Path(first).read_bytes() == Path(second).read_bytes()


def test_digits_are_drawn_as_text():
    images = np.zeros((2, 8, 8), np.uint8)
    images[1, 0, 0], images[0, 7, 7] = 16, 8
    lines = run.draw(images).split("\n")
    assert lines == [" " * 18 + "@@", *[""] * 6, " " * 14 + "=="]
    assert run.captions(np.array([3, 4]), np.array([3, 9])) == ("       3              4, is 9\n")


def test_folder_holds_nothing_else():
    assert {path.suffix for path in FOLDER.iterdir() if path.is_file()} == {
        *(".py", ".prototxt", ".caffemodel", ".npz")
    }
    with torch.no_grad():
        scores = converter.load(NET, WEIGHTS)(torch.zeros(3, 1, 8, 8))
    assert scores["classifier"].shape == (3, 10)

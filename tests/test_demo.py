"""The demo that is shipped: its files, what it prints, and when it fails."""

from __future__ import annotations

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


def test_training_learns_and_is_the_same_again(tmp_path, monkeypatch, capsys):
    train = pytest.importorskip("converter.demo.train", reason="scikit-learn is not there")
    monkeypatch.setattr(train, "EPOCHS", 4)
    files = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        train.main(tmp_path / name)
        files.append((tmp_path / name / WEIGHTS.name).read_bytes())
    assert files[0] == files[1]
    assert (tmp_path / "first" / DIGITS.name).exists()
    last = capsys.readouterr().out.splitlines()[-1]
    assert float(last.rsplit(" ", 1)[1].rstrip("%")) > 80


def test_training_takes_the_definitions_multipliers():
    train = pytest.importorskip("converter.demo.train", reason="scikit-learn is not there")
    net = converter.load(NET, phase="TRAIN")
    groups = {id(group["params"][0]): group for group in train.parameters(net)}
    assert len(groups) == len(list(net.parameters()))

    def rate_and_decay(layer: str, blob: int) -> tuple[float, float]:
        group = groups[id(net.params[layer][blob])]
        return group["lr"] / train.RATE, group["weight_decay"] / train.DECAY

    assert rate_and_decay("conv1/3x3", 0) == (1, 1)
    assert rate_and_decay("conv1/3x3/bn", 0) == (1, 0)
    assert rate_and_decay("classifier", 0) == (1, 1)
    assert rate_and_decay("classifier", 1) == (2, 0)


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

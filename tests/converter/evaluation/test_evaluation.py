"""Evaluation of the demo's network on the digits that its training never saw."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import converter
from converter.__main__ import main
from converter.demo.files import BRIGHTEST, DIGITS, NET, WEIGHTS
from converter.evaluation import evaluate, open_samples
from converter.evaluation.evaluate import rank_of
from converter.preprocessing import preprocessing_of
from prototxt import CaffeError, FormatError, ShapeError, WeightError
from prototxt.data.datum import write_datum
from prototxt.data.lmdb import write_database
from tests.reference.record_leveldb import IMAGES
from tests.support.recorded import unpack

LEVELS = 15  # of the pictures' bytes for one of the digits' 0 to 16
SETTINGS = {"mean": "0", "scale": 1 / (LEVELS * BRIGHTEST), "resize": "8x8"}
OPTIONS = ["--mean", "0", "--scale", str(SETTINGS["scale"]), "--resize", "8x8", "--workers", "0"]


def keyed(records: list[bytes]) -> list[tuple[bytes, bytes]]:
    return [(f"{index:08}".encode(), record) for index, record in enumerate(records)]


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    with np.load(DIGITS) as held:
        return (held["images"] * LEVELS).astype(np.uint8), held["labels"].astype(int)


@pytest.fixture(scope="module")
def tree(digits: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    for index, (image, label) in enumerate(zip(*digits, strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / str(label) / f"{index:03}.png")
    return folder


@pytest.fixture(scope="module")
def wrong(digits: tuple[np.ndarray, np.ndarray]) -> int:
    """How many the network has wrong, by hand."""
    images, labels = digits
    data = torch.from_numpy(images).float()[:, None] / (LEVELS * BRIGHTEST)
    with torch.no_grad():
        scores = converter.load(NET, WEIGHTS)(data)["classifier"]
    return int((scores.argmax(1).numpy() != labels).sum())


@pytest.fixture
def network() -> converter.CaffeNet:
    return converter.load(NET, WEIGHTS)


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_a_tree_of_folders(network, tree, wrong, engine):
    got = evaluate(
        network, open_samples(tree), preprocessing_of(network, **SETTINGS), engine=engine, batch=50
    )
    assert (got.images, got.classes, got.top1_wrong) == (360, 10, wrong)
    assert 0 < wrong < 12
    assert got.top5_wrong is not None
    assert got.top5_wrong < wrong
    assert got.top1_error == 100 * wrong / 360


def test_a_list_and_databases_are_the_same_images(network, tree, digits, wrong, tmp_path):
    lines = [f"{file.relative_to(tree)} {file.parent.name}" for file in tree.rglob("*.png")]
    (tree / "list.txt").write_text("\n".join(lines))
    images, labels = digits
    records = [write_datum(image[None], label) for image, label in zip(images, labels, strict=True)]
    write_database(tmp_path / "raw", keyed(records))
    files = [(tree / str(label) / f"{i:03}.png").read_bytes() for i, label in enumerate(labels)]
    encoded = [write_datum(file, label) for file, label in zip(files, labels, strict=True)]
    write_database(tmp_path / "encoded", keyed(encoded))
    wanted = preprocessing_of(network, **SETTINGS)
    for data in (tree / "list.txt", tmp_path / "raw", tmp_path / "encoded"):
        assert evaluate(network, open_samples(data), wanted).top1_wrong == wrong, data
    (tree / "list.txt").unlink()


def test_top5_counts_classes_beyond_the_fifth(network, tree, digits, tmp_path):
    turned = [(file, (int(file.parent.name) + 3) % 10) for file in sorted(tree.rglob("*.png"))]
    (tmp_path / "list.txt").write_text("\n".join(f"{file} {label}" for file, label in turned))
    wanted = preprocessing_of(network, **SETTINGS)
    got = evaluate(network, open_samples(tmp_path / "list.txt"), wanted)
    data = torch.from_numpy(digits[0]).float()[:, None] / (LEVELS * BRIGHTEST)
    with torch.no_grad():
        best = network(data)["classifier"].topk(5).indices.tolist()
    shown = {int(file.stem): label for file, label in turned}
    assert got.top5_wrong == sum(shown[index] not in best[index] for index in range(360))
    assert 50 < got.top5_wrong < got.top1_wrong


def test_colours_are_red_green_blue(tmp_path):
    pixels = np.array([[[250, 100, 5], [1, 2, 3]]], np.uint8)
    (tmp_path / "tree" / "0").mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "tree" / "0" / "x.png")
    datum = write_datum(np.ascontiguousarray(pixels[:, :, ::-1].transpose(2, 0, 1)), 0)
    write_database(tmp_path / "db", keyed([datum]))
    for data in ("tree", "db"):
        image, label = open_samples(tmp_path / data)[0]
        assert np.array_equal(image, pixels)
        assert label == 0


def test_a_leveldb_is_read_as_an_lmdb_is():
    samples = open_samples(unpack("leveldb") / "images")
    want = dict(IMAGES)
    assert [samples[i][1] for i in range(len(samples))] == list(want)
    for label, image in want.items():
        assert np.array_equal(samples[label][0], image[::-1].transpose(1, 2, 0))
    assert samples.name(3) == "00000003"


def test_folders_are_named_by_the_labels(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "tree" / name / "x.png")
    (tmp_path / "labels.txt").write_text("dog, a dog\nbird\ncat sits\n".replace("dog,", "dog"))
    samples = open_samples(tmp_path / "tree", labels=tmp_path / "labels.txt")
    assert [samples[i][1] for i in range(2)] == [2, 0]
    samples = open_samples(tmp_path / "tree")
    assert [samples[i][1] for i in range(2)] == [0, 1]
    (tmp_path / "labels.txt").write_text("dog\n")
    with pytest.raises(FormatError, match="folder 'cat' is no first word of a line"):
        open_samples(tmp_path / "tree", labels=tmp_path / "labels.txt")


def test_ranks_are_caffes():
    scores = torch.tensor([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
    assert rank_of(scores, torch.tensor([1, 0])).tolist() == [1, 3]
    assert rank_of(scores, torch.tensor([2, 3])).tolist() == [0, 0]
    with pytest.raises(WeightError, match="the scores are NaN"):
        rank_of(torch.full((1, 2), float("nan")), torch.tensor([0]))


class Stops:
    """Samples of which one cannot be read, at first."""

    def __init__(self, samples, at):
        self.samples, self.at = samples, at
        self.read = []

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        if index == self.at:
            raise FormatError("cut off here")
        self.read.append(index)
        return self.samples[index]

    def name(self, index):
        return self.samples.name(index)


def test_a_cut_off_evaluation_goes_on(network, tree, wrong, tmp_path):
    wanted = preprocessing_of(network, **SETTINGS)
    samples = Stops(open_samples(tree), 215)
    state = tmp_path / "result.state"
    with pytest.raises(FormatError, match="cut off here"):
        evaluate(network, samples, wanted, state=state, batch=50)
    assert json.loads(state.read_text())["done"] == 200
    other = preprocessing_of(network, **{**SETTINGS, "scale": 1.0})
    with pytest.raises(CaffeError, match="another evaluation, which differs in its preprocessing"):
        evaluate(network, samples, other, state=state)
    samples.at, samples.read = -1, []
    got = evaluate(network, samples, wanted, state=state, batch=50)
    whole = evaluate(network, open_samples(tree), wanted)
    assert samples.read == list(range(200, 360))
    assert (got.images, got.top1_wrong, got.top5_wrong) == (360, wrong, whole.top5_wrong)
    assert not state.exists()
    state.write_text("{")
    with pytest.raises(FormatError, match="no state of an evaluation"):
        evaluate(network, samples, wanted, state=state)


def test_the_command(tree, wrong, tmp_path, capsys):
    out = tmp_path / "result.json"
    args = ["eval", str(NET), str(WEIGHTS), "--data", str(tree), *OPTIONS]
    assert main([*args, "--output", str(out)]) == 0
    printed = capsys.readouterr().out
    assert f"top-1 error {100 * wrong / 360:.2f} %, top-5 error" in printed
    assert "preprocessing: resize to 8x8, crop the middle 8x8, GRAY, minus 0" in printed
    result = json.loads(out.read_text())
    assert (result["images"], result["top1_wrong"]) == (360, wrong)
    assert not Path(f"{out}.state").exists()


def test_two_processes_are_as_one(tree, wrong, tmp_path):
    out = tmp_path / "result.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", "0", "--standalone", "-m", "converter", "eval", str(NET)]
    command += [str(WEIGHTS), "--data", str(tree), *OPTIONS, "--output", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("top-1 error") == 1
    result = json.loads(out.read_text())
    whole = evaluate(
        converter.load(NET, WEIGHTS),
        open_samples(tree),
        preprocessing_of(converter.load(NET, WEIGHTS), **SETTINGS),
    )
    for name in ("images", "top1_wrong", "top5_wrong"):
        assert result[name] == getattr(whole, name)
    assert list(tmp_path.iterdir()) == [out]


def test_what_cannot_be_evaluated(network, tree, tmp_path, capsys):
    wanted = preprocessing_of(network, **SETTINGS)
    with pytest.raises(ShapeError, match="'frob' is no output, the outputs are classifier"):
        evaluate(network, open_samples(tree), wanted, output="frob")
    (tmp_path / "tree" / "10").mkdir(parents=True)
    with pytest.raises(FormatError, match="no images in its folders"):
        open_samples(tmp_path / "tree")
    Image.new("L", (8, 8)).save(tmp_path / "tree" / "10" / "x.png")
    with pytest.raises(FormatError, match=r"x.png: label 10, the network has 10 classes"):
        evaluate(network, open_samples(tmp_path / "tree"), wanted)
    (tmp_path / "tree" / "10" / "x.png").write_bytes(b"no image")
    args = ["eval", str(NET), str(WEIGHTS), "--data", str(tmp_path / "tree"), *OPTIONS]
    for workers in ("0", "1"):
        assert main([*args, "--workers", workers]) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"caffeport: {tmp_path / 'tree' / '10' / 'x.png'}: no image")
        assert "Traceback" not in said
    assert main(["eval", str(NET), str(WEIGHTS), "--data", str(tmp_path / "gone")]) == 1
    with pytest.raises(FormatError, match="no folders in it"):
        open_samples(tmp_path / "tree" / "10")


def test_another_size_pools_the_whole_map(tmp_path, capsys):
    (tmp_path / "net.prototxt").write_text("""
    input: "data" input_shape { dim: 4 dim: 3 dim: 8 dim: 8 }
    input: "label" input_shape { dim: 4 }
    layer { name: "p" type: "Pooling" bottom: "data" top: "p"
      pooling_param { pool: AVE kernel_size: 8 } }
    layer { name: "l" type: "SoftmaxWithLoss" bottom: "p" bottom: "label" top: "l" }
    """)
    (tmp_path / "tree" / "1").mkdir(parents=True)
    Image.new("RGB", (30, 20), (9, 50, 100)).save(tmp_path / "tree" / "1" / "x.png")
    args = ["eval", str(tmp_path / "net.prototxt"), "--data", str(tmp_path / "tree"), "--mean", "0"]
    assert main([*args, "--workers", "0", "--resize", "10", "--size", "16"]) == 1
    assert "shorter side 10 is less than the crop 16x16" in capsys.readouterr().err
    assert main([*args, "--workers", "0", "--family", "sknet", "--size", "16"]) == 0
    said = capsys.readouterr().out
    assert "resize to shorter side 512, crop the middle 16x16, BGR, minus 0" in said
    assert "top-1 error 100.00 % (1 images" in said


def test_a_size_that_the_networks_own_global_pool_follows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text("""
    layer { name: "in" type: "Input" top: "data" input_param { shape { dim: [1, 3, 8, 8] } } }
    layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"
            pooling_param { pool: AVE global_pooling: true } }""")
    Path("images/0").mkdir(parents=True)
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save("images/0/a.png")
    args = ["net.prototxt", "--data", "images", "--mean", "0", "--size", "12", "--workers", "0"]
    assert main(["eval", *args]) == 0
    assert "resize to 12x12, crop the middle 12x12" in capsys.readouterr().out
    Path("net.prototxt").write_text(
        Path("net.prototxt")
        .read_text()
        .replace('"Pooling"', '"InnerProduct"')
        .replace(
            "pooling_param { pool: AVE global_pooling: true }",
            "inner_product_param { num_output: 3 }",
        )
    )
    assert main(["eval", *args]) == 0

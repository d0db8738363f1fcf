"""The attention of SK units, converted and native, against the softmax by hand."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import converter
from converter.__main__ import main
from converter.demo.files import NET, WEIGHTS
from converter.evaluation import open_samples
from converter.preprocessing import Preprocessing, preprocessing_of
from converter.sknet import SKNet, load_caffemodel
from converter.sknet.attention import attention_of, measure_attention, units_of
from converter.sknet.attention.measure import enlarged
from prototxt import CaffeError, ShapeError, UnsupportedError, nets

SCALES = (1.0, 2.0)
SETTINGS = {"mean": "128", "scale": 0.02, "resize": "60"}
SMALL = {"layers": (1, 2), "width": 32, "groups": 4, "num_classes": 5}


@pytest.fixture(scope="module", params=[2, 3], ids=["M=2", "M=3"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Write a small SKNet with seeded weights whose attention is far from even."""
    folder = tmp_path_factory.mktemp("sk")
    text = str(nets.sknet.sknet("small", branches=request.param, **SMALL))
    (folder / "net.prototxt").write_text(text)
    shapes = {"data": (2, 3, 56, 56), "label": (2,)}
    net = converter.load(folder / "net.prototxt", input_shapes=shapes)
    generator = torch.Generator().manual_seed(1701)
    with torch.no_grad():
        for name, layer in net.layers.items():
            for blob in layer.blobs:
                blob.copy_(torch.randn(blob.shape, generator=generator) * 0.1)
            if name.endswith("/bn"):
                layer.running_var.fill_(0.01)
    converter.save_caffemodel(net, folder / "net.caffemodel")
    return folder, request.param


@pytest.fixture
def network(files):
    folder, _ = files
    shapes = {"data": (2, 3, 56, 56), "label": (2,)}
    options = {"input_shapes": shapes, "dtype": torch.float64}
    return converter.load(folder / "net.prototxt", folder / "net.caffemodel", **options)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(1701)
    for label in (0, 3):
        (folder / str(label)).mkdir()
        for index in range(3):
            pixels = generator.integers(256, size=(50, 60, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / str(label) / f"{index}.png")
    return folder


def data() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 3, 56, 56, generator=generator, dtype=torch.float64)


def test_the_units_and_their_kernels(network, files):
    _, branches = files
    want = [("SK_2_1", 32), ("SK_3_1", 64), ("SK_3_2", 64)]
    assert [(unit.name, unit.channels) for unit in units_of(network)] == want
    assert {unit.kernels for unit in units_of(network)} == {(3, 5, 7)[:branches]}
    native = SKNet(branches=branches, **SMALL)
    assert units_of(native) == units_of(network)


def test_the_attention_is_the_softmax_of_the_branches_scores(network, files):
    _, branches = files
    images = data()
    got = attention_of(network, images)
    with torch.no_grad():
        blobs = network.blobs({"data": images})
    for name, unit in (("SK_2_1", "conv2_1"), ("SK_3_2", "conv3_2")):
        scores = blobs[f"{unit}/B_fc2"].reshape(4, branches, -1)
        want = torch.exp(scores) / torch.exp(scores).sum(1, keepdim=True)
        assert torch.allclose(got[name], want, rtol=0, atol=1e-12)
        assert got[name].std() > 0.02


def test_native_and_converted_agree(network, files):
    folder, branches = files
    native = SKNet(branches=branches, **SMALL).double().eval()
    load_caffemodel(native, folder / "net.caffemodel")
    want = attention_of(network, data())
    got = attention_of(native, data())
    assert list(got) == list(want)
    for name, value in want.items():
        assert torch.allclose(got[name], value, rtol=0, atol=1e-12)
    assert not any(module._forward_hooks for module in native.modules())


def test_an_optimised_network_has_the_same_attention(network):
    faster = network.optimize()
    assert "Selection" in {step.cls.__name__ for step in faster.steps}
    assert units_of(faster) == units_of(network)
    want = attention_of(network, data())
    for name, value in attention_of(faster, data()).items():
        assert torch.allclose(value, want[name], rtol=0, atol=1e-12)


def test_another_reader_of_the_weights_hides_no_unit(tmp_path):
    text = str(nets.sknet.sknet("small", **SMALL))
    text += 'layer { name: "x" type: "AbsVal" bottom: "conv2_1/B_softmax" top: "x" }'
    (tmp_path / "net.prototxt").write_text(text)
    shapes = {"data": (2, 3, 56, 56), "label": (2,)}
    net = converter.load(tmp_path / "net.prototxt", input_shapes=shapes)
    assert [unit.name for unit in units_of(net)] == ["SK_2_1", "SK_3_1", "SK_3_2"]
    assert units_of(net.optimize()) == units_of(net)


def test_means_differences_and_scales(network, files, tree):
    _, branches = files
    samples = open_samples(tree)
    wanted = preprocessing_of(network, **SETTINGS)
    found = measure_attention(network, samples, wanted, scales=SCALES, batch=4)
    assert found.classes.tolist() == [0, 0, 0, 3, 3, 3]
    for index, resize in enumerate((60, 120)):
        larger = Preprocessing("BGR", (128.0,), 0.02, resize, (56, 56))
        images = [converter.preprocessing.Transform(larger)(samples[i][0]) for i in range(6)]
        by_hand = attention_of(network, torch.cat(images).double())
        for unit in found.units:
            want = by_hand[unit.name].numpy()
            assert np.allclose(found.mean[index][unit.name], want.mean(2), rtol=0, atol=1e-12)
            assert np.allclose(found.channels[index][unit.name], want[0], rtol=0, atol=1e-12)
            difference = (want[:, branches - 1] - want[:, 0]).mean(1)
            assert np.allclose(found.difference(index, unit), difference, rtol=0, atol=1e-12)
    assert not np.allclose(found.mean[0]["SK_2_1"], found.mean[1]["SK_2_1"], rtol=0, atol=1e-4)


def test_the_difference_is_the_kernels_not_the_order(tmp_path):
    """Let the first weights multiply the dilated branch: still 5x5 minus 3x3."""
    text = str(nets.sknet.sknet("small", **SMALL))
    for unit in ("conv2_1", "conv3_1", "conv3_2"):
        scale, axpy = text.index(f'"{unit}/scale"'), text.index(f'"{unit}/B_axpy"')
        middle, last = text[scale:axpy], text[axpy:]
        assert f"{unit}/3x3g4/bn" in middle
        middle = middle.replace(f"{unit}/3x3g4/bn", f"{unit}/3x3g4d2/bn", 1)
        text = text[:scale] + middle + last.replace(f"{unit}/3x3g4d2/bn", f"{unit}/3x3g4/bn", 1)
    (tmp_path / "net.prototxt").write_text(text)
    shapes = {"data": (2, 3, 56, 56), "label": (2,)}
    for unit in units_of(converter.load(tmp_path / "net.prototxt", input_shapes=shapes)):
        assert unit.kernels == (5, 3)
        assert (unit.smallest, unit.largest) == (1, 0)


def test_the_command(files, tree, tmp_path, capsys):
    folder, branches = files
    (tmp_path / "labels.txt").write_text("zero\none\ntwo\nthree\n")
    args = ["attention", str(folder / "net.prototxt"), str(folder / "net.caffemodel")]
    args += ["--data", str(tree), "--mean", "128", "--resize", "60", "--scales", "1", "2"]
    args += ["--input-shape", "data=1,3,56,56", "--input-shape", "label=1"]
    assert main([*args, "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    said, _, units = printed.partition("\n")
    assert said.startswith("preprocessing: resize to shorter side 60, crop the middle 56x56, BGR")
    assert units.startswith("SK_2_1      1x ")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    tables = {"units.csv", "classes.csv", "images.csv", "channels.csv"}
    assert names == tables | {"units.png", "classes.png", "channels.png"}
    with (tmp_path / "out" / "units.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["scale"], row["unit"]) for row in rows[:4]] == [
        ("1.0", "SK_2_1"),
        ("1.0", "SK_3_1"),
        ("1.0", "SK_3_2"),
        ("2.0", "SK_2_1"),
    ]
    for row in rows:
        means = [float(row[f"branch{index}"]) for index in range(branches)]
        assert abs(sum(means) - 1) < 1e-5
        assert abs(float(row["difference"]) - (means[-1] - means[0])) < 1e-5
    with Image.open(tmp_path / "out" / "units.png") as picture:
        assert picture.width > 500


class Readers:
    """Samples whose labels are the processes that read them."""

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index][0], os.getpid()

    def name(self, index):
        return self.samples.name(index)


def test_processes_read_the_images(network, tree):
    wanted = preprocessing_of(network, **SETTINGS)
    options = {"scales": SCALES, "batch": 2}
    alone = measure_attention(network, Readers(open_samples(tree)), wanted, **options)
    assert set(alone.classes) == {os.getpid()}
    found = measure_attention(network, Readers(open_samples(tree)), wanted, workers=2, **options)
    assert len(set(found.classes)) == 2
    assert os.getpid() not in found.classes
    for name, value in alone.mean[1].items():
        assert np.array_equal(found.mean[1][name], value)


def test_the_command_says_how_many_processes_read(files, tree, tmp_path, monkeypatch):
    folder, _ = files
    asked = []
    monkeypatch.setattr(
        "converter.sknet.attention.measure_attention",
        lambda net, samples, preprocessing, workers, **options: (
            asked.append(workers) or measure_attention(net, samples, preprocessing, **options)
        ),
    )
    args = ["attention", str(folder / "net.prototxt"), str(folder / "net.caffemodel")]
    args += ["--data", str(tree), "--mean", "128", "--resize", "60", "--scales", "1"]
    args += ["--input-shape", "data=1,3,56,56", "--input-shape", "label=1", "--workers", "3"]
    assert main([*args, "-o", str(tmp_path / "out")]) == 0
    assert asked == [3]


def test_what_has_no_attention(tree, tmp_path, network):
    wanted = preprocessing_of(network, **SETTINGS)
    with pytest.raises(CaffeError, match="wants numbers of 1 and more"):
        measure_attention(network, open_samples(tree), wanted, scales=[0.5])
    with pytest.raises(ShapeError, match="the preprocessing must resize them"):
        enlarged(Preprocessing(), 2.0)
    (tmp_path / "net.prototxt").write_text("""
    input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
    layer { name: "s" type: "Softmax" bottom: "data" top: "s" }
    """)
    with pytest.raises(UnsupportedError, match="the network has no selective kernels"):
        units_of(converter.load(tmp_path / "net.prototxt"))
    assert len(units_of(converter.load(NET, WEIGHTS))) == 2

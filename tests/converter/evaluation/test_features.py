"""Blobs of many images: those of each image by itself, in every form, also after a break."""

from __future__ import annotations

import csv

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

import converter
from converter.__main__ import main
from converter.evaluation import features
from prototxt import CaffeError

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "all" type: "Reduction" bottom: "fc" top: "all" }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
COUNT = 7


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "images").mkdir()
    generator = np.random.default_rng(1)
    for index in range(COUNT):
        pixels = generator.integers(256, size=(9, 11, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{index}.png")
    return tmp_path


ARGS = ["features", "net.prototxt", "--data", "images", "--mean", "100", "--workers", "0"]


def wanted(folder):
    """Return the blobs of each image by itself."""
    net = converter.load("net.prototxt")
    prepare = converter.preprocess(net, mean="100")
    rows = {"conv": [], "fc": []}
    for path in sorted((folder / "images").iterdir()):
        blobs = net.blobs({"data": prepare(np.asarray(Image.open(path)))})
        for name, values in rows.items():
            values.append(blobs[name][0].detach().numpy())
    return {name: np.stack(values) for name, values in rows.items()}


def read(path):
    if path.endswith(".npz"):
        with np.load(path) as file:
            return dict(file)
    if path.endswith(".h5"):
        with h5py.File(path) as file:
            return {
                name: value.asstr()[()] if name == "names" else value[()]
                for name, value in file.items()
            }
    with open(path, newline="") as file:
        head, *lines = list(csv.reader(file))
    table = {"names": [line[0] for line in lines], "labels": [int(line[1]) for line in lines]}
    for name, shape in (("conv", (2, 6, 6)), ("fc", (4,))):
        columns = [i for i, title in enumerate(head) if title.startswith(f"{name}[")]
        values = [[float(line[i]) for i in columns] for line in lines]
        table[name] = np.array(values, np.float32).reshape(COUNT, *shape)
    return table


@pytest.mark.parametrize("form", ["npz", "h5", "csv"])
def test_every_form_holds_the_blobs_of_each_image(form, folder):
    out = f"made/x.{form}"
    assert main([*ARGS, "--blobs", "fc,conv", "--batch", "3", "-o", out]) == 0
    got = read(out)
    for name, value in wanted(folder).items():
        assert np.allclose(got[name], value, rtol=1e-5, atol=1e-4), name
    assert list(got["names"]) == [f"images/{index}.png" for index in range(COUNT)]
    assert list(got["labels"]) == [-1] * COUNT
    assert not (folder / f"{out}.state").exists()


def test_what_was_cut_off_goes_on(folder, monkeypatch):
    args = [*ARGS, "--blobs", "fc", "--batch", "2", "-o", "x.npz"]
    real, seen = features.batches, []

    def interrupted(samples, left, *rest, **options):
        for number, loaded in enumerate(real(samples, left, *rest, **options)):
            if number == 2 and not seen:
                raise KeyboardInterrupt
            yield loaded

    monkeypatch.setattr(features, "batches", interrupted)
    assert main(args) == 130
    assert not (folder / "x.npz").exists()
    assert (folder / "x.npz.state").is_dir()

    def counted(samples, left, *rest, **options):
        seen.extend(left)
        return real(samples, left, *rest, **options)

    monkeypatch.setattr(features, "batches", counted)
    with pytest.raises(CaffeError, match="differ in their preprocessing"):
        features.extract(
            converter.load("net.prototxt", end=["fc"]),
            converter.evaluation.open_samples("images", labelled=False),
            converter.preprocess(converter.load("net.prototxt"), mean="1").preprocessing,
            folder / "x.npz",
        )
    assert main(args) == 0
    assert seen == [4, 5, 6]
    assert np.allclose(read("x.npz")["fc"], wanted(folder)["fc"], rtol=1e-5, atol=1e-4)


def test_folders_are_labels(folder):
    (folder / "tree" / "3").mkdir(parents=True)
    (folder / "images" / "0.png").rename(folder / "tree" / "3" / "0.png")
    args = ["tree" if word == "images" else word for word in ARGS]
    assert main([*args, "--blobs", "fc", "-o", "x.npz"]) == 0
    assert list(read("x.npz")["labels"]) == [3]


@pytest.mark.parametrize(
    ("blobs", "out", "message"),
    [
        ("fc", "x.txt", "written as one of .npz, .h5, .csv"),
        ("nope", "x.npz", "'nope'"),
        ("all", "x.npz", "blob 'all' is () for 7 images, wants a row for each"),
    ],
)
def test_what_cannot_be_written(blobs, out, message, folder, capsys):
    assert main([*ARGS, "--blobs", blobs, "-o", out]) == 1
    assert message in capsys.readouterr().err
    assert not list(folder.glob("x*"))


def test_torch_counts_no_gradients(folder):
    net = converter.load("net.prototxt", end=["fc"])
    samples = converter.evaluation.open_samples("images", labelled=False)
    wanted_by = converter.preprocess(net, mean="100").preprocessing
    shapes = features.extract(net, samples, wanted_by, folder / "x.npz")
    assert shapes == {"fc": (COUNT, 4)}
    assert torch.is_grad_enabled()

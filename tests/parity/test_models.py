"""Trained models from many projects, each converted as it was published.

Their outputs were recorded from OpenCV's importer in float32; the photographs and digits have
known answers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import converter
from converter.onnx.runtime import run_onnx
from prototxt import read_net
from tests.support.recorded import assert_close

FLOAT32 = 5e-5
"""Of a blob's largest value: two engines in float32, up to 26 convolutions deep."""
MODELS = {
    "arm_cifar10_m4/derived": "../weights.caffemodel.h5",
    "caffeonnx_test": "weights.caffemodel",
    "cifar10_quick_2014": "weights.caffemodel",
    "cifar10_quick_h5/derived": "../weights.caffemodel.h5",
    "cifar10_quick_v0txt": "weights.caffemodel",
    "hyperlpr_charrec": "weights.caffemodel",
    "hyperlpr_hfinemap": "weights.caffemodel",
    "lenet_2014": "weights.caffemodel",
    "lenet_cafftf": "weights.caffemodel",
    "lenet_v0txt": "weights.caffemodel",
    "mbnet_yolov3_tusimple": "weights.caffemodel",
    "mbnet_yolov3_tusimple/derived": "../weights.caffemodel",
    "mtcnn_det1": "weights.caffemodel",
    "mtcnn_det2": "weights.caffemodel",
    "mtcnn_det3": "weights.caffemodel",
    "squeezenet_v1.0_dc": "weights.caffemodel",
    "ultraface_rfb320": "weights.caffemodel",
    "vdsr": "weights.caffemodel",
    "waifu2x_anime_style_art/derived": "../weights.caffemodel",
    "waifu2x_upconv_7_anime_style_art_rgb/derived": "../weights.caffemodel",
    "yufacedetect_v1": "weights.caffemodel",
}
"""Folders of models, and the weights that belong to them."""
RECORDS = {"mbnet_yolov3_tusimple": "derived"}
"""Folders whose outputs were recorded of a definition without the fork's layer types."""
PADDED = {"yufacedetect_v1": "detection_out"}
"""A detector's top, which OpenCV fills with rows of zeros up to `keep_top_k`, Caffe does not."""
TWINS = {
    "arm_cifar10_m4/derived": ["weights.caffemodel"],
    "cifar10_quick_h5/derived": ["weights.caffemodel"],
}
"""The same weights in other files."""
UNRECORDED = {
    "cifar10_quick_h5": ("deploy.prototxt", "iter_4000.caffemodel"),
    "cifar10_quick_v0bin": ("deploy.prototxt", "weights.caffemodel"),
    "lenet_v0bin": ("deploy.prototxt", "weights.caffemodel"),
    "pnet_pkl": ("deploy.prototxt", "weights.caffemodel"),
    "waifu2x_anime_style_art": ("deploy.protobin", "weights.caffemodel"),
    "waifu2x_upconv_7_anime_style_art_rgb": ("deploy.prototxt", "weights.caffemodel"),
}
"""Without recorded outputs in `models/`: tests/parity/test_reference_nets.py has real Caffe's."""


def test_every_recorded_model_has_its_row(shared: Path) -> None:
    models = shared / "models"
    recorded = {str(path.parent.relative_to(models)) for path in models.rglob("opencv_ref.npz")}
    assert recorded == MODELS.keys() - RECORDS.keys()


@pytest.mark.parametrize("name", MODELS)
def test_torch_and_onnx_give_the_recorded_outputs(name: str, shared: Path, tmp_path: Path) -> None:
    folder = shared / "models" / name
    weights = folder / MODELS[name]
    with np.load(folder / RECORDS.get(name, "") / "opencv_ref.npz") as file:
        arrays = {key.replace("|", "/"): array for key, array in file.items()}
    feeds = {key.removeprefix("in__"): a for key, a in arrays.items() if key.startswith("in__")}
    wants = {key.removeprefix("out__"): a for key, a in arrays.items() if key.startswith("out__")}
    if name in PADDED:
        rows = wants[PADDED[name]]
        wants[PADDED[name]] = rows[:, :, rows.any((0, 1, 3))]
    assert feeds, "nothing is fed"
    assert wants, "nothing is compared"

    report = converter.convert(folder / "deploy.prototxt", weights, tmp_path, inputs=feeds)

    assert report.passed
    net = converter.load(folder / "deploy.prototxt", weights)
    tops = {blob: blob for blob in net.plan(feeds).outputs.values()}
    tops |= {step.key: step.blobs[0] for step in net.steps if step.blobs}
    with torch.no_grad():
        got = net.blobs({blob: torch.from_numpy(array) for blob, array in feeds.items()})
    shipped = run_onnx(tmp_path / "deploy.onnx", feeds)
    for layer, want in wants.items():
        assert_close(got[tops[layer]], want, f"torch {layer}", FLOAT32)
        assert_close(shipped[tops[layer]], want, f"ONNX {layer}", FLOAT32)


@pytest.mark.parametrize("name", UNRECORDED)
def test_model_without_recorded_outputs_converts(name: str, shared: Path, tmp_path: Path) -> None:
    net, weights = (shared / "models" / name / file for file in UNRECORDED[name])
    report = converter.convert(net, weights, tmp_path)
    assert report.passed
    shipped, exposed, *more = report.comparisons
    assert shipped.rows
    assert exposed.rows
    assert all(one.title.startswith("ONNX Runtime, with another size") for one in more)


@pytest.mark.parametrize("name", TWINS)
def test_same_weights_in_other_files(name: str, shared: Path) -> None:
    folder = shared / "models" / name
    net = converter.load(folder / "deploy.prototxt", folder / MODELS[name])
    for file in TWINS[name]:
        twin = converter.load(folder / "deploy.prototxt", folder / file)
        for layer, blobs in net.params.items():
            for blob, same in zip(blobs, twin.params[layer], strict=True):
                assert torch.equal(blob, same), f"{file}: {layer}"


def test_text_and_binary_definitions_are_one_network(shared: Path) -> None:
    folder = shared / "models" / "waifu2x_anime_style_art"
    text, binary = (read_net(folder / f"deploy.{kind}") for kind in ("prototxt", "protobin"))
    assert text.header == binary.header
    assert len(text.layers) == 16
    assert text.layers == binary.layers


def test_caffemodel_alone_is_its_network(shared: Path) -> None:
    weights = shared / "models" / "lenet_cafftf" / "weights.caffemodel"
    net = converter.load(weights, phase="TRAIN", input_shapes={"data": (64, 1, 28, 28)})
    deploy = converter.load(weights.with_name("deploy.prototxt"), weights)
    digit = {"data": torch.rand(3, 1, 28, 28)}
    assert torch.equal(net(digit)["ip2"].softmax(1), deploy(digit)["prob"])


def test_extra_layer_of_the_weights_is_named(shared: Path) -> None:
    folder = shared / "models" / "mtcnn_det2"
    net = converter.load(folder / "deploy.prototxt", folder / "weights.caffemodel")
    assert net.loaded is not None
    assert net.loaded.unused == ["conv5-3"]


@pytest.mark.parametrize(
    "name", ["cifar10_quick_2014", "lenet_2014", "vdsr"], ids=lambda name: f"{name}/train_val"
)
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_training_definition_takes_the_weights(name: str, phase: str, shared: Path) -> None:
    folder = shared / "models" / name
    deploy = converter.load(folder / "deploy.prototxt", folder / "weights.caffemodel")
    shape = (2, *deploy.input_shapes["data"][1:])
    net = converter.load(
        folder / "train_val.prototxt",
        folder / "weights.caffemodel",
        phase=phase,
        input_shapes={"data": shape, "label": TRAINED_TO.get(name, (2,))},
    )
    assert {k: [b.shape for b in v] for k, v in net.params.items()} == {
        k: [b.shape for b in v] for k, v in deploy.params.items()
    }
    values = np.random.default_rng(1701).random(shape, np.float32)
    data = {"data": torch.from_numpy(values)}
    with torch.no_grad():
        wants, got = deploy.blobs(data), net.blobs(data)
    assert len(wants.keys() & got.keys()) > 6
    for blob in wants.keys() & got.keys():
        assert torch.equal(got[blob], wants[blob]), blob


TRAINED_TO = {"vdsr": (2, 1, 256, 256)}
"""Labels that are no classes."""


@pytest.mark.parametrize(
    ("photograph", "thing"), [("chelsea", "Egyptian cat"), ("coffee", "espresso")]
)
def test_squeezenet_says_what_it_sees(photograph: str, thing: str, shared: Path) -> None:
    folder = shared / "models" / "squeezenet_v1.0_dc"
    net = converter.load(folder / "deploy.prototxt", folder / "weights.caffemodel")
    with Image.open(shared / "images" / f"{photograph}.png") as image:
        small = image.convert("RGB").resize((227, 227), Image.Resampling.BILINEAR)
    pixels = np.asarray(small, np.float32)[:, :, ::-1] - np.float32([104, 117, 123])
    fed = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))
    with torch.no_grad():
        (scores,) = net(fed).values()
    names = (shared / "images" / "synset.txt").read_text().splitlines()
    assert thing in names[int(scores.argmax())]


@pytest.mark.parametrize(("name", "right"), [("lenet_2014", 179), ("lenet_cafftf", 174)])
def test_lenet_reads_digits(name: str, right: int, shared: Path, tmp_path: Path) -> None:
    folder = shared / "models" / name
    net = converter.load(folder / "deploy.prototxt", folder / "weights.caffemodel")
    with np.load(shared / "images" / "extra" / "digits_as_mnist_200.npz") as digits:
        x, y = digits["x"], digits["y"]
    with torch.no_grad():
        got = net(torch.from_numpy(x))["prob"].argmax(1).numpy()
    assert int((got == y).sum()) == right
    converter.export_onnx(net, tmp_path / "net.onnx")
    shipped = run_onnx(tmp_path / "net.onnx", {"data": x})["prob"].argmax(1)
    assert int((shipped == y).sum()) == right

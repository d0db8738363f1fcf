"""MultiStageMeanfield against CRF-RNN's loops, its gradients, and a training beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import converter
from prototxt import CaffeError
from prototxt.errors import UnsupportedError
from tests.caffe_layers.forks.crf.lattice import Lattice, features
from tests.support.families import end_to_end
from tests.support.opsets import OPSETS
from tests.support.recorded import assert_close
from tests.support.restated import check, check_gradients, load
from tests.support.trained import Batch, Weights, check_trained

RNG = np.random.default_rng(1701)
SINCE = [opset for opset in OPSETS if opset >= 16]
"""Opsets that add up what goes to one place."""
CHANNELS, HEIGHT, WIDTH = 3, 4, 5
IMAGE = RNG.uniform(0, 255, size=(2, 3, HEIGHT, WIDTH))
UNARY, START = RNG.normal(size=(2, 2, CHANNELS, HEIGHT, WIDTH))
INPUTS = {"u": UNARY, "q": START, "i": IMAGE}
FIELDS = "theta_alpha: 20 theta_beta: 60 theta_gamma: 3 num_iterations: 3 "
OTHERS = (
    "compatibility_mode: POTTS threshold: 2 spatial_filter_weight: 3 bilateral_filter_weight: 5"
)


def layer(fields: str = FIELDS + OTHERS) -> str:
    return (
        'layer { name: "L" type: "MultiStageMeanfield" bottom: "u" bottom: "q" bottom: "i" '
        f'top: "y" multi_stage_meanfield_param {{ {fields} }} }}\n'
    )


def matrices(folder: Path) -> tuple[np.ndarray, ...]:
    """Return how Caffe fills the blobs from the files, which are written."""
    (folder / "spatial.par").write_text("3 2.5\n1 9")
    (folder / "bilateral.par").write_text("5 4 -0.5\n")
    return np.diag([3, 2.5, 1]), np.diag([5, 4, -0.5]), -np.eye(3)


@pytest.fixture(autouse=True)
def blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, ...]:
    monkeypatch.chdir(tmp_path)
    return matrices(tmp_path)


def means(lattice: Lattice) -> np.ndarray:
    """Return the filter as a matrix, P x P: of values in rows, `values @ matrix`."""
    return lattice.normalized(np.eye(HEIGHT * WIDTH))


def filters(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    near = Lattice(features(HEIGHT, WIDTH, 3))
    return means(near), means(Lattice(features(HEIGHT, WIDTH, 20, image, 60)))


def inferred(
    unary: np.ndarray, start: np.ndarray, image: np.ndarray, blobs: tuple[np.ndarray, ...]
) -> np.ndarray:
    spatial, bilateral, compatibility = blobs
    near, alike = filters(image)
    scores = start
    for _ in range(3):
        grown = np.exp(scores) / np.exp(scores).sum(0)
        flat = grown.reshape(CHANNELS, -1)
        message = spatial @ (flat @ near) + bilateral @ (flat @ alike)
        scores = unary - (compatibility @ message).reshape(unary.shape)
    return scores


def test_first_weights_of_the_files(blobs: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    want = [inferred(UNARY[n], START[n], IMAGE[n], blobs) for n in range(2)]
    check(layer(), INPUTS, {"y": np.stack(want)}, tmp_path, dynamic=(), opsets=SINCE)
    net = load(layer(), INPUTS, tmp_path)
    for blob, value in zip(net.params["L"], blobs, strict=True):
        assert_close(blob.detach(), value.reshape(1, 1, 3, 3), "blob")


def test_weights_in_the_place_of_files(tmp_path: Path) -> None:
    drawn = tuple(RNG.normal(size=(3, 3)) for _ in range(3))
    want = [inferred(UNARY[n], START[n], IMAGE[n], drawn) for n in range(2)]
    check(
        layer(),
        INPUTS,
        {"y": np.stack(want)},
        tmp_path,
        dynamic=(),
        opsets=SINCE,
        blobs={"L": drawn},
    )


def test_gradients(tmp_path: Path) -> None:
    small = {name: array[:, :, :3, :3] for name, array in INPUTS.items()}
    drawn = [RNG.normal(size=(3, 3)) for _ in range(3)]
    check_gradients(layer(), small, tmp_path, wrt=("u", "q"), blobs={"L": drawn})
    net = load(layer(), small, tmp_path, blobs={"L": drawn})
    given = {name: torch.from_numpy(array) for name, array in small.items()}
    weight = torch.from_numpy(RNG.normal(size=small["u"].shape))

    def loss() -> Tensor:
        return (net.blobs(given)["y"] * weight).sum()

    loss().backward()
    for blob in net.params["L"]:
        assert blob.grad is not None
        wants = torch.zeros_like(blob)
        with torch.no_grad():
            for at in np.ndindex(*blob.shape):
                kept = blob[at].item()
                blob[at] = kept + 1e-5
                more = loss()
                blob[at] = kept - 1e-5
                wants[at] = (more - loss()) / 2e-5
                blob[at] = kept
        assert_close(blob.grad, wants.numpy(), "gradient", 1e-6)


def test_trained(tmp_path: Path) -> None:
    """Fifty iterations beside a loop: softmax, filters as matrices, the three products."""
    batches = {
        "u": RNG.normal(size=(2, *UNARY.shape)),
        "i": RNG.uniform(0, 255, size=(2, *IMAGE.shape)),
        "l": RNG.integers(0, CHANNELS, (2, 2, 1, HEIGHT, WIDTH)).astype(float),
    }
    # A convolution before it learns by the gradients of both first bottoms.
    text = (
        'layer { name: "c" type: "Convolution" bottom: "u" top: "c" convolution_param { '
        'num_output: 3 kernel_size: 1 weight_filler { type: "xavier" } } }\n'
        + layer().replace('"u"', '"c"').replace('"q"', '"c"')
        + 'layer { name: "s" type: "SoftmaxWithLoss" bottom: "y" bottom: "l" top: "s" }\n'
    )
    matrix = {
        image.tobytes(): [torch.from_numpy(one) for one in filters(image)]
        for batch in batches["i"]
        for image in batch
    }

    def step(weights: Weights, batch: Batch, iteration: int) -> Tensor:
        kernel, bias = weights["c"]
        spatial, bilateral, compatibility = (blob.reshape(3, 3) for blob in weights["L"])
        losses = []
        for unary, image, label in zip(batch["u"], batch["i"], batch["l"], strict=True):
            near, alike = matrix[image.numpy().tobytes()]
            given = kernel.reshape(3, 3) @ unary.reshape(3, -1) + bias[:, None]
            scores = given
            for _ in range(3):
                found = scores.softmax(0)
                message = spatial @ (found @ near) + bilateral @ (found @ alike)
                scores = given - compatibility @ message
            rows = scores.log_softmax(0)
            losses += [-rows[int(c), p] for p, c in enumerate(label.flatten())]
        return torch.stack(losses).mean()

    check_trained(text, batches, step, tmp_path, rate=0.01)


@pytest.mark.parametrize(
    ("fields", "shapes", "says"),
    [
        (FIELDS.replace("num_iterations: 3", "num_iterations: 1"), {}, "wants 2 or more"),
        (FIELDS.replace("theta_beta: 60", "theta_beta: 0"), {}, "wants more than 0"),
        (FIELDS, {"u": (2, 3)}, "have 2 axes"),
        (FIELDS, {"q": (2, 3, 4, 4)}, r"wants \(2, 3, 4, 5\)"),
        (FIELDS, {"i": (2, 1, 4, 5)}, r"wants \(2, 3, 4, 5\)"),
        (FIELDS, dict.fromkeys("uq", (2, 5, 4, 5)), "spatial.par has 4 numbers, wants 5"),
    ],
)
def test_refused(
    fields: str, shapes: dict[str, tuple[int, ...]], says: str, tmp_path: Path
) -> None:
    inputs = INPUTS | {name: np.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(CaffeError, match=says):
        load(layer(fields), inputs, tmp_path)


def test_without_a_file(tmp_path: Path) -> None:
    (tmp_path / "bilateral.par").unlink()
    net = load(layer(), INPUTS, tmp_path)
    assert [note for note in net.notes if "filler" in note] == [
        "passed over, of training alone: layer 'L' "
        "(MultiStageMeanfield): filler type 'bilateral.par, a file in the working directory'"
    ]
    assert torch.equal(net.params["L"][1][0, 0].detach(), torch.eye(3).double() * 5)
    with pytest.raises(
        UnsupportedError, match=r"'bilateral\.par, a file in the working directory'"
    ):
        load(layer(), INPUTS, tmp_path, phase="TRAIN")


def test_file_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "bilateral.par").write_text("5 four 3")
    with pytest.raises(CaffeError, match=r"bilateral\.par does not read as numbers"):
        load(layer(), INPUTS, tmp_path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, r"it wants both fixed\n.*fix: export with no dynamic axes"),
        ({"dynamic": (), "opset": 13}, r"wants opset 16, this is 13\n.*fix: --opset 16"),
    ],
)
def test_no_onnx_form(options: dict[str, Any], says: str, tmp_path: Path) -> None:
    net = load(layer(), INPUTS, tmp_path)
    with pytest.raises(UnsupportedError, match=says):
        converter.export_onnx(net, tmp_path / "net.onnx", **options)


def test_a_converted_image_of_its_own_size(tmp_path: Path) -> None:
    """With a network whose batch would be free, which a field of one image fixes."""
    shape = (1, CHANNELS, 9, 11)
    image = RNG.uniform(0, 255, size=(1, 3, 9, 11)).astype("f")
    inputs = {"u": RNG.normal(size=shape).astype("f"), "q": RNG.normal(size=shape).astype("f")}
    text = "".join(
        f'input: "{name}" input_shape {{ dim: {list(array.shape)} }}\n'
        for name, array in (inputs | {"i": image}).items()
    )
    tops = end_to_end(text + layer(), inputs | {"i": image}, tmp_path)
    assert tops["y"].shape == shape

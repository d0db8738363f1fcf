"""What forks' files could silently be taken for: whole binary networks, their numbers compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import text_format

import converter
from caffe_layers.base.registry import find
from prototxt import UnsupportedError, schema
from prototxt.binary import wire
from tests.support.recorded import assert_close

RNG = np.random.default_rng(1701)
FLOAT = 1e-5
"""Of a blob's largest value, in float32."""

X = RNG.normal(1, 2, (2, 3, 6, 6)).astype("f")
WEIGHT, BIAS = RNG.normal(size=(2, 3, 3, 3)).astype("f"), RNG.normal(size=2).astype("f")
SCALE, SHIFT, MEAN = (RNG.normal(size=3).astype("f") for _ in range(3))
VAR = RNG.uniform(0.1, 2, 3).astype("f")
ONE = np.ones(1, "f")
FOUR = [blob.reshape(1, 3, 1, 1) for blob in (SCALE, SHIFT, MEAN, VAR)]
LABEL = np.array([[[[0, 1, 2]]], [[[2, 2, 0]]]], "f")

Row = tuple[str, str, Sequence[np.ndarray]]  # a layer's dialect, text and blobs


def entry(number: int, content: bytes) -> bytes:
    return wire.encode_key(number, wire.BYTES) + wire.encode_varint(len(content)) + content


def saved(folder: Path, inputs: dict[str, np.ndarray], *rows: Row) -> Path:
    """Write a caffemodel as the layers' forks do, the inputs in its header."""
    head: Any = schema.dialect("bvlc").message("NetParameter")()
    for name, array in inputs.items():
        head.input.append(name)
        head.input_shape.add().dim.extend(array.shape)
    data = head.SerializeToString()
    for number, (dialect, text, blobs) in enumerate(rows):
        old = text.startswith("V1 ")
        message = "V1LayerParameter" if old else "LayerParameter"
        layer: Any = schema.dialect(dialect).message(message)()
        text_format.Parse(f'name: "layer{number}" ' + text.removeprefix("V1 "), layer)
        for blob in blobs:
            made = layer.blobs.add()
            made.shape.dim.extend(blob.shape)
            made.data.extend(blob.ravel().tolist())
        data += entry(2 if old else 100, layer.SerializeToString())
    (folder / "net.caffemodel").write_bytes(data)
    return folder / "net.caffemodel"


def run(path: Path, inputs: dict[str, np.ndarray], dialect: str | None = None) -> Any:
    net = converter.load(path, dialect=dialect)
    return net.blobs({name: torch.from_numpy(array) for name, array in inputs.items()})


def expect(
    folder: Path,
    want: np.ndarray,
    *rows: Row,
    inputs: dict[str, np.ndarray] | None = None,
    dialect: str | None = None,
) -> None:
    inputs = inputs or {"x": X}
    got = run(saved(folder, inputs, *rows), inputs, dialect)["y"]
    assert_close(got.detach(), want, "y", FLOAT)


def refused(folder: Path, *rows: Row, inputs: dict[str, np.ndarray] | None = None) -> str:
    """Return what is said of a file whose dialect cannot be told."""
    with pytest.raises(UnsupportedError, match="--dialect") as caught:
        converter.load(saved(folder, inputs or {"x": X}, *rows))
    return str(caught.value)


ENDS = 'bottom: "x" top: "y"'


# ---- Dilations ----------------------------------------------------------------------------------


def convolved(dilation: tuple[int, int]) -> np.ndarray:
    high, wide = dilation
    x = np.pad(X.astype(float), ((0, 0), (0, 0), (high, high), (wide, wide)))
    top = np.zeros((2, 2, 6, 6))
    for o, c, i, j in np.ndindex(*WEIGHT.shape):
        top[:, o] += WEIGHT[o, c, i, j] * x[:, c, i * high :, j * wide :][:, :6, :6]
    return top + BIAS.reshape(-1, 1, 1)


def convolution(dialect: str, fields: str, kind: str = 'type: "Convolution"') -> Row:
    param = f"convolution_param {{ num_output: 2 kernel_size: 3 {fields} }}"
    return dialect, f"{kind} {ENDS} {param}", [WEIGHT, BIAS]


def test_hole_is_no_flag(tmp_path: Path) -> None:
    row = convolution("deeplab_v1", "pad: 2 hole: 2", "V1 type: CONVOLUTION")
    expect(tmp_path, convolved((2, 2)), row, dialect="deeplab_v1")
    row = convolution("deeplab_v1", "pad_h: 2 pad_w: 3 hole_h: 2 hole_w: 3", "V1 type: CONVOLUTION")
    expect(tmp_path, convolved((2, 3)), row)


def test_yjxiongs_dilation_is_no_axis(tmp_path: Path) -> None:
    row = convolution("tsn", "pad: 2 dilation: 2")
    refused(tmp_path, row)
    expect(tmp_path, convolved((2, 2)), row, dialect="tsn")
    expect(tmp_path, convolved((2, 2)), row, ("tsn", 'type: "SyncBN" bottom: "x" top: "z"', FOUR))


def test_yjxiongs_pair_is_no_flag_and_dilation(tmp_path: Path) -> None:
    row = convolution("tsn", "pad_h: 1 pad_w: 2 dilation_h: 1 dilation_w: 2")
    refused(tmp_path, row)
    expect(tmp_path, convolved((1, 2)), row, dialect="tsn")
    bvlc = convolution("bvlc", "pad: 2 force_nd_im2col: true dilation: 2")
    expect(tmp_path, convolved((2, 2)), bvlc, dialect="bvlc")


# ---- Pooling ------------------------------------------------------------------------------------


def test_avg_include_pad_is_no_round_mode(tmp_path: Path) -> None:
    def mean(counted: bool) -> np.ndarray:
        x = np.pad(X.astype(float), ((0, 0), (0, 0), (1, 1), (1, 1)))
        ones = np.pad(np.ones((6, 6)), 1, constant_values=float(counted))
        top = np.zeros((2, 3, 4, 4))
        for i, j in np.ndindex(4, 4):
            rows, columns = slice(2 * i, 2 * i + 3), slice(2 * j, 2 * j + 3)
            top[:, :, i, j] = x[:, :, rows, columns].sum((2, 3)) / ones[rows, columns].sum()
        return top

    def pooling(dialect: str, field: str) -> Row:
        param = f"pooling_param {{ pool: AVE kernel_size: 3 stride: 2 pad: 1 {field} }}"
        return dialect, f'type: "Pooling" {ENDS} {param}', []

    for value, (intel, bvlc) in enumerate(
        [
            ("avg_include_pad: false", "round_mode: CEIL"),
            ("avg_include_pad: true", "round_mode: FLOOR"),
        ]
    ):
        refused(tmp_path, pooling("intel", intel))
        refused(tmp_path, pooling("bvlc", bvlc))
        expect(tmp_path, mean(bool(value)), pooling("intel", intel), dialect="intel")
        floor = mean(True)[:, :, : 4 - value, : 4 - value]
        expect(tmp_path, floor, pooling("bvlc", bvlc), dialect="bvlc")


def test_ceil_mode_is_no_round_mode(tmp_path: Path) -> None:
    """PytorchToCaffe writes it for every pooling, and its false has the number of CEIL."""

    def largest(count: int) -> np.ndarray:
        top = np.zeros((2, 3, count, count))
        for i, j in np.ndindex(count, count):
            top[:, :, i, j] = X[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((2, 3))
        return top

    def pooling(dialect: str, field: str) -> Row:
        param = f"pooling_param {{ pool: MAX kernel_size: 3 stride: 2 {field} }}"
        return dialect, f'type: "Pooling" {ENDS} {param}', []

    exported, plain = pooling("pytorch_to_caffe", "ceil_mode: false"), "round_mode: CEIL"
    refused(tmp_path, exported)
    expect(tmp_path, largest(2), exported, dialect="pytorch_to_caffe")
    expect(tmp_path, largest(3), pooling("bvlc", plain), dialect="bvlc")
    ceiled = pooling("pytorch_to_caffe", "ceil_mode: true")
    assert "pytorch_to_caffe reads" in refused(tmp_path, ceiled)
    expect(tmp_path, largest(3), ceiled, dialect="pytorch_to_caffe")
    no_stride = pooling("bvlc", plain)
    text = no_stride[1].replace("stride: 2", "stride: 1")
    one = np.zeros((2, 3, 4, 4))
    for i, j in np.ndindex(4, 4):
        one[:, :, i, j] = X[:, :, i : i + 3, j : j + 3].max((2, 3))
    expect(tmp_path, one, ("bvlc", text, []))


# ---- Normalizations -----------------------------------------------------------------------------


def channels(blob: np.ndarray) -> np.ndarray:
    return blob.astype(float).reshape(-1, 1, 1)


def normalized(mean: np.ndarray, var: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    return (X - channels(mean)) / np.sqrt(channels(var) + eps) * channels(SCALE) + channels(SHIFT)


def test_segnets_bn_has_no_running_statistics(tmp_path: Path) -> None:
    blobs = [SCALE.reshape(1, 3, 1, 1), SHIFT.reshape(1, 3, 1, 1)]
    row = ("segnet", f'type: "BN" {ENDS} bn_param {{ bn_mode: LEARN }}', blobs)
    each = X.astype(float).transpose(1, 0, 2, 3).reshape(3, -1)
    expect(tmp_path, normalized(each.mean(1), each.var(1), 1e-9), row)
    net = converter.load(tmp_path / "net.caffemodel")
    alone = net.blobs({"x": torch.from_numpy(X[:1])})["y"]
    assert not np.allclose(
        alone.detach(), run(tmp_path / "net.caffemodel", {"x": X})["y"][:1].detach()
    )


NVIDIA = {
    "0.17": [MEAN, VAR, ONE, SCALE, SHIFT],
    "0.15": [SCALE, SHIFT, MEAN, VAR, ONE],
    "0.14": [b.reshape(1, -1, 1, 1) for b in (SCALE, SHIFT, ONE, MEAN, VAR)],
}


@pytest.mark.parametrize("version", NVIDIA)
def test_nvidias_blobs_are_told_by_their_shapes(version: str, tmp_path: Path) -> None:
    param = "batch_norm_param { eps: 1e-5 scale_bias: true }"
    row = ("nvidia", f'type: "BatchNorm" {ENDS} {param}', NVIDIA[version])
    expect(tmp_path, normalized(MEAN, VAR), row)


def test_cudnn_batch_norm_begins_with_the_scale(tmp_path: Path) -> None:
    expect(tmp_path, normalized(MEAN, VAR), ("sknet", f'type: "CuDNNBatchNorm" {ENDS}', FOUR))


def test_ssds_normalize_has_a_learned_scale(tmp_path: Path) -> None:
    row = f'type: "Normalize" {ENDS} norm_param {{ across_spatial: false channel_shared: false }}'
    want = X / np.sqrt((X.astype(float) ** 2).sum(1, keepdims=True) + 1e-10)
    expect(tmp_path, want * channels(20 * VAR), ("ssd", row, [20 * VAR]))


# ---- Resizing -----------------------------------------------------------------------------------


def test_interp_keeps_the_corners(tmp_path: Path) -> None:
    want = np.zeros((2, 3, 11, 9))
    for h, w in np.ndindex(11, 9):
        (y, dy), (x, dx) = (divmod(at * 5 / (size - 1), 1) for at, size in ((h, 11), (w, 9)))
        for row, by_row in ((int(y), 1 - dy), (min(int(y) + 1, 5), dy)):
            for column, by_column in ((int(x), 1 - dx), (min(int(x) + 1, 5), dx)):
                want[:, :, h, w] += by_row * by_column * X[:, :, row, column]
    expect(
        tmp_path,
        want,
        ("deeplab", f'type: "Interp" {ENDS} interp_param {{ height: 11 width: 9 }}', []),
    )
    half = torch.nn.functional.interpolate(torch.from_numpy(X), (11, 9), mode="bilinear")
    assert np.abs(half.numpy() - want).max() > 0.1


def test_upsamples_bottoms_tell_what_it_does(tmp_path: Path) -> None:
    repeated = X.repeat(2, 2).repeat(2, 3)
    expect(
        tmp_path, repeated, ("yolo", f'type: "Upsample" {ENDS} upsample_param {{ scale: 2 }}', [])
    )
    x = X[:, :, :3, :3]
    rows, columns = np.arange(3)[:, None] * 2, np.arange(3) * 2 + 1
    mask = np.broadcast_to(rows * 6 + columns, x.shape).astype("f")
    want = np.zeros(X.shape)
    want[:, :, ::2, 1::2] = x
    text = 'type: "Upsample" bottom: "x" bottom: "mask" top: "y" upsample_param { scale: 2 }'
    expect(tmp_path, want, ("segnet", text, []), inputs={"x": x, "mask": mask})


def test_prior_box_cuts_its_sizes(tmp_path: Path) -> None:
    text = (
        'type: "PriorBox" bottom: "x" bottom: "image" top: "y" prior_box_param { min_size: 60.5 }'
    )
    image = np.zeros((1, 3, 300, 300), "f")
    got = run(
        saved(tmp_path, {"x": X, "image": image}, ("ssd", text, [])), {"x": X, "image": image}
    )
    box = got["y"][0, 0, :4].numpy() * 300
    assert np.abs(box[2:] - box[:2] - 60).max() < 1e-3


# ---- Losses -------------------------------------------------------------------------------------

SCORES = X[:, :, :1, :3]
SUM = -sum(
    np.log(np.exp(scores) / np.exp(scores).sum())[int(label)]
    for n, s in np.ndindex(2, 3)
    for scores, label in [(SCORES[n, :, 0, s].astype(float), LABEL[n, 0, 0, s])]
)


@pytest.mark.parametrize(
    ("dialect", "fields", "divisor"),
    [
        ("rfcn", "normalization: NONE", 1),
        ("intel", "normalization: NONE", 1),
        ("rfcn", "normalization: PRE_FIXED", 1),
        ("bvlc", "normalization: NONE", 1),
        ("bvlc", "normalization: VALID", 6),
        ("rfcn", "normalization: VALID", 6),
    ],
)
def test_normalization_4_is_none(dialect: str, fields: str, divisor: int, tmp_path: Path) -> None:
    text = 'type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "y" loss_param '
    row = (dialect, f"{text} {{ {fields} }}", [])
    expect(tmp_path, np.array(SUM / divisor), row, inputs={"x": SCORES, "label": LABEL})


@pytest.mark.parametrize("kind", ["SigmoidCrossEntropyLoss", "InfogainLoss", "MultiBoxLoss"])
def test_other_losses_read_normalization_4_too(kind: str) -> None:
    layer: Any = schema.dialect("intel").message("LayerParameter")(type=kind)
    text_format.Parse("loss_param { normalization: NONE }", layer)
    assert layer.loss_param.normalization == 4
    assert find(layer).__name__ == kind


def test_a_fixed_divisor_is_no_weight_of_a_class(tmp_path: Path) -> None:
    text = 'type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "y" loss_param '
    row = ("rfcn", f"{text} {{ normalization: PRE_FIXED pre_fixed_normalizer: 4 }}", [])
    inputs = {"x": SCORES, "label": LABEL}
    refused(tmp_path, row, inputs=inputs)
    expect(tmp_path, np.array(SUM / 4), row, inputs=inputs, dialect="rfcn")

"""Fillers: their distributions, and what Caffe refuses to fill."""

from __future__ import annotations

from math import ceil, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import caffe_layers
from caffe_layers import Filler
from prototxt import CaffeError, UnsupportedError, parse_text, schema

SHAPE = (40, 30, 5, 4)
"""24,000 values: fan in 600, fan out 800."""


def fill(filler: Filler, shape: tuple[int, ...] = SHAPE, seed: int = 1701) -> Tensor:
    blob = torch.full(shape, torch.nan, dtype=torch.float64)
    filler.fill(blob, torch.Generator().manual_seed(seed))
    return blob


def assert_uniform(values: Tensor, low: float, high: float) -> None:
    """Compare the sorted values with the quantiles of the distribution."""
    assert values.min() >= low
    assert values.max() <= high
    places = (values.flatten().sort().values - low) / (high - low)
    assert_quantiles(places)


def assert_normal(values: Tensor, mean: float, std: float) -> None:
    places = torch.special.ndtr((values.flatten().sort().values - mean) / std)
    assert_quantiles(places)


def assert_quantiles(places: Tensor) -> None:
    """Kolmogorov and Smirnov's test at one in a thousand; the seed is fixed."""
    want = (torch.arange(len(places)) + 0.5) / len(places)
    assert (places - want).abs().max() < 1.95 / sqrt(len(places))


def test_constant() -> None:
    assert fill(Filler("constant", value=0.1)).unique().tolist() == [0.10000000149011612]
    assert fill(Filler()).unique().tolist() == [0]


def test_uniform() -> None:
    assert_uniform(fill(Filler("uniform", min=-3, max=0.5)), -3, 0.5)
    assert_uniform(fill(Filler("uniform")), 0, 1)
    assert fill(Filler("uniform", min=2, max=2)).unique().tolist() == [2]


def test_gaussian() -> None:
    assert_normal(fill(Filler("gaussian", mean=2, std=0.25)), 2, 0.25)
    assert_normal(fill(Filler("gaussian")), 0, 1)


def test_sparse_gaussian_keeps_so_many_of_an_outputs_weights() -> None:
    blob = fill(Filler("gaussian", mean=2, std=0.25, sparse=10))
    kept = blob[blob != 0]
    # Each is kept with probability 10 / 40: four standard deviations either way.
    spread = 4 * sqrt(blob.numel() * 0.25 * 0.75)
    assert abs(len(kept) - blob.numel() / 4) < spread
    assert_normal(kept, 2, 0.25)
    assert not fill(Filler("gaussian", sparse=0)).any()
    assert fill(Filler("gaussian", sparse=40)).all()


def test_positive_unitball() -> None:
    blob = fill(Filler("positive_unitball"))
    assert blob.min() >= 0
    rows = blob.flatten(1)
    assert rows.sum(1).tolist() == pytest.approx([1] * 40, rel=1e-12)
    assert_uniform(rows[0] / rows[0].max(), 0, 1)
    assert fill(Filler("positive_unitball"), ()).item() == 1
    assert fill(Filler("positive_unitball"), (3,)).tolist() == [1] * 3


def test_gaussian_unitball() -> None:
    rows = fill(Filler("gaussian_unitball")).flatten(1)
    assert (rows * rows).sum(1).tolist() == pytest.approx([1] * 40, rel=1e-12)
    assert_normal(rows * rows.shape[1] ** 0.5, 0, 1)
    assert fill(Filler("gaussian_unitball"), (3,)).abs().tolist() == pytest.approx([1] * 3)


def test_identity() -> None:
    assert fill(Filler("identity"), (3, 3, 1, 1)).flatten(1).tolist() == torch.eye(3).tolist()
    assert fill(Filler("identity"), (2, 2)).tolist() == torch.eye(2).tolist()
    ones = fill(Filler("identity"), (2, 2, 3, 1)).flatten().nonzero().flatten()
    assert ones.tolist() == [0, 3]  # with larger kernels as the source has it


FANS = [(0, SHAPE, 600), (1, SHAPE, 800), (2, SHAPE, 700), (0, (6000,), 1), (1, (6000,), 6000)]
FANS += [(2, (6000,), 3000.5), (0, (50, 80), 80), (1, (50, 80), 50), (2, (50, 80), 65)]


@pytest.mark.parametrize(("variance_norm", "shape", "n"), FANS)
def test_xavier(variance_norm: int, shape: tuple[int, ...], n: float) -> None:
    limit = sqrt(3 / n)
    blob = fill(Filler("xavier", variance_norm=variance_norm), shape)
    assert_uniform(blob, -limit, limit)


@pytest.mark.parametrize(("variance_norm", "shape", "n"), FANS)
def test_msra(variance_norm: int, shape: tuple[int, ...], n: float) -> None:
    blob = fill(Filler("msra", variance_norm=variance_norm), shape)
    assert_normal(blob, 0, sqrt(2 / n))


@pytest.mark.parametrize("size", range(1, 8))
def test_bilinear(size: int) -> None:
    f = ceil(size / 2)
    c = (2 * f - 1 - f % 2) / (2 * f)
    want = np.zeros((size, size))
    for y, x in np.ndindex(size, size):
        want[y, x] = (1 - abs(x / f - c)) * (1 - abs(y / f - c))
    blob = fill(Filler("bilinear"), (3, 2, size, size))
    for plane in blob.flatten(0, 1):
        assert plane.numpy() == pytest.approx(want, abs=2e-7)


@pytest.mark.parametrize("shape", [(3, 4, 2, 5), (4, 3, 1, 1), (3, 3), (2,)])
def test_diagonal(shape: tuple[int, ...]) -> None:
    """FlowNet2's: each output is the mean of the input of its number, times a value or 1."""
    outputs, inputs, height, width = (*shape, 1, 1, 1)[:4]
    want = np.zeros((outputs, inputs, height, width))
    for n in range(min(outputs, inputs)):
        want[n, n] = (0.5, -2, 1, 1)[n] / (height * width)
    got = fill(Filler("diagonal", diag_val=(0.5, -2)), shape)
    assert np.array_equal(got.numpy(), want.reshape(shape))


def test_border_masks() -> None:
    """Hidden two-stream networks': 1, and 0 in a border, or where a flow has no neighbour."""
    want = np.zeros((2, 3, 10, 9))
    want[:, :, 2:8, 2:7] = 1
    got = fill(Filler("borderMask", border_ratio=0.2), want.shape)
    assert np.array_equal(got.numpy(), want)
    flows = np.ones((2, 2, 4, 5))
    for n, h, w in np.ndindex(2, 4, 5):
        flows[n, 0, h, w] = w < 4
        flows[n, 1, h, w] = h < 3
    assert np.array_equal(fill(Filler("flowBorderMask"), flows.shape).numpy(), flows)


@pytest.mark.parametrize(
    ("filler", "shape", "says"),
    [
        (Filler("borderMask"), (2, 3), "wants a 4-D blob"),
        (Filler("flowBorderMask"), (1, 3, 4, 5), "wants 2 channels"),
    ],
)
def test_border_masks_refused(filler: Filler, shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(CaffeError, match=says):
        fill(filler, shape)


def test_a_layer_reads_border_ratio() -> None:
    text = (
        'layer { name: "L" type: "DummyData" top: "y" dummy_data_param { '
        "shape { dim: [1, 1, 4, 4] } "
        'data_filler { type: "borderMask" border_ratio: 0.25 } } }'
    )
    layer = parse_text(text).layers[0]
    assert int(caffe_layers.build(layer, [])()[0].sum()) == 4


def test_a_file_fills(tmp_path: Path) -> None:
    """Of spatial transformers: the values in order, further ones unread."""
    path = tmp_path / "bias_init.txt"
    path.write_text("1 0.5\n-2e-1 0 1\t0 7\n")
    layer = parse_text(
        'layer { name: "L" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { '
        f'num_output: 6 bias_filler {{ type: "file" file: "{path}" }} }} }}'
    ).layers[0]
    bias = caffe_layers.build(layer, [(1, 2)]).blobs[1]
    assert np.array_equal(bias.detach().numpy(), np.float32([1, 0.5, -0.2, 0, 1, 0]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 0 0 0 1", "has 5 numbers, wants 6"),
        ("1 0 0 nought 1 0", "is no list of numbers"),
        (None, "is not there\n  fix: put it at that path under the working folder"),
    ],
)
def test_a_file_that_does_not_fill(text: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "bias_init.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CaffeError, match=says):
        fill(Filler("file", file=str(path)), (6,))


def test_a_parameter_is_filled() -> None:
    """Happynear's: BVLC's begins as 0."""
    text = (
        'layer { name: "L" type: "Parameter" top: "y" parameter_param { shape { dim: 3 } '
        "blob_filler { value: 2 } } }"
    )
    assert caffe_layers.build(parse_text(text).layers[0], [])().tolist() == [2, 2, 2]


def test_a_layer_reads_diag_val() -> None:
    layer = parse_text(
        'layer { name: "L" type: "Convolution" bottom: "x" top: "y" convolution_param { '
        'num_output: 2 kernel_size: 1 weight_filler { type: "diagonal" diag_val: 3 } } }'
    ).layers[0]
    built = caffe_layers.build(layer, [(1, 2, 4, 4)])
    assert built.blobs[0].flatten().tolist() == [3, 0, 0, 1]


def test_the_same_seed_gives_the_same_values() -> None:
    for kind in ("uniform", "gaussian", "positive_unitball", "gaussian_unitball", "xavier"):
        assert torch.equal(fill(Filler(kind)), fill(Filler(kind)))
        assert not torch.equal(fill(Filler(kind)), fill(Filler(kind), seed=1702))


def test_filling_leaves_no_trace_for_the_gradient() -> None:
    weight = torch.nn.Parameter(torch.zeros(3, 3))
    Filler("xavier").fill(weight)
    assert weight.is_leaf
    assert weight.any()


def test_fields_and_defaults_are_the_messages() -> None:
    message = schema.dialect("bvlc").message("FillerParameter")()
    assert Filler.from_caffe(message) == Filler()
    assert Filler() == Filler("constant", 0, 0, 1, 0, 1, -1, 0)
    message.type, message.min, message.sparse, message.variance_norm = "msra", 0.25, 3, 2
    assert Filler.from_caffe(message) == Filler("msra", min=0.25, sparse=3, variance_norm=2)


@pytest.mark.parametrize(
    ("filler", "shape", "says"),
    [
        (Filler("uniform", min=1, max=0), (2,), "min 1 is above its max 0"),
        (Filler("uniform", min=-3e38, max=3e38), (2,), "is beyond a float's range"),
        (Filler("uniform", max=float("inf")), (2,), "is beyond a float's range"),
        (Filler("gaussian", std=0), (2,), "std is 0, wants more than 0"),
        (Filler("gaussian", sparse=3), (2, 2), "sparse is 3, wants 0 to"),
        (Filler("gaussian", sparse=-2), (2, 2), "sparse is -2, wants 0 to"),
        (Filler("gaussian", sparse=0), (), "sparse is 0, wants 0 to"),
        (Filler("xavier", sparse=1), (2, 2), "only a gaussian filler"),
        (Filler("xavier"), (), "at least one axis"),
        (Filler("msra"), (), "at least one axis"),
        (Filler("positive_unitball"), (1, 1, 1, 1, 1), "4 axes at most"),
        (Filler("gaussian_unitball"), (1, 1, 1, 1, 1), "4 axes at most"),
        (Filler("identity"), (3, 2), "as many outputs as inputs"),
        (Filler("identity"), (3,), "as many outputs as inputs"),
        (Filler("diagonal"), (1, 1, 1, 1, 1), "4 axes at most"),
        (Filler("diagonal", sparse=1), (2, 2), "only a gaussian filler"),
        (Filler("bilinear"), (2, 3, 3), "square planes"),
        (Filler("bilinear"), (1, 1, 2, 3), "square planes"),
    ],
)
def test_what_caffe_refuses(filler: Filler, shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(CaffeError, match=says):
        filler.check(shape)


def test_an_unknown_type_names_the_known_ones() -> None:
    with pytest.raises(UnsupportedError) as caught:
        caffe_layers.InnerProduct(3, 2, weight_filler=Filler("zeros"))
    assert str(caught.value) == (
        "filler type 'zeros' is unknown\n"
        "  fix: known: bilinear, borderMask, constant, diagonal, file, flowBorderMask, gaussian, "
        "gaussian_unitball, identity, msra, positive_unitball, uniform, xavier; weights take a "
        "filler's place"
    )


def test_a_filler_is_printed_as_it_is_written() -> None:
    assert repr(Filler()) == "Filler()"
    assert repr(Filler(type="xavier", variance_norm=2)) == "Filler(type='xavier', variance_norm=2)"

"""What goes wrong silently where a fork's file is read as BVLC's: none of it can happen here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from prototxt import write_caffemodel
from prototxt.errors import CaffeError, UnsupportedError
from prototxt.read import read_net

IMAGE = "input: 'x' input_dim: 1 input_dim: 2 input_dim: 9 input_dim: 9 "


def loaded(folder: Path, layer: str, blobs: list[np.ndarray] = [], **options):  # noqa: B006
    """Load a network of one layer on an image of 9 x 9, with blobs for it if there are any."""
    path = folder / "net.prototxt"
    path.write_text(f"{IMAGE} layer {{ name: 'l' {layer} }}")
    if not blobs:
        return converter.load(path, **options)
    weights = folder / "net.caffemodel"
    definition = read_net(path)
    write_caffemodel(weights, definition, {"l": blobs})
    return converter.load(path, weights, **options)


def made(folder: Path, layer: str, blobs: list[np.ndarray] = [], **options):  # noqa: B006
    net = loaded(folder, layer, blobs, dtype=torch.float64, **options)
    x = torch.from_numpy(np.random.default_rng(1701).normal(size=(1, 2, 9, 9)))
    return x.numpy(), net.blobs({"x": x})["y"].detach().numpy()


@pytest.mark.parametrize("field", ["hole: 2", "dilation: 2", "dilation_h: 2 dilation_w: 2"])
def test_a_dilation_is_one_whatever_a_fork_calls_it(tmp_path, field):
    text = f"convolution_param {{ num_output: 1 kernel_size: 3 pad: 2 {field} }}"
    _, y = made(tmp_path, f"type: 'Convolution' bottom: 'x' top: 'y' {text}")
    assert y.shape == (1, 1, 9, 9)  # without it 11 x 11


def test_avg_include_pad_is_no_rounding(tmp_path):
    text = "pool: AVE kernel_size: 2 stride: 2"
    layer = "type: 'Pooling' bottom: 'x' top: 'y' pooling_param {{ {} {} }}"
    _, ceil = made(tmp_path, layer.format(text, "avg_include_pad: false"))
    _, floor = made(tmp_path, layer.format(text, "round_mode: FLOOR"))
    assert (ceil.shape[2:], floor.shape[2:]) == ((5, 5), (4, 4))


def test_segnets_bn_takes_the_batchs_statistics_at_test_time(tmp_path):
    blobs = [np.full((1, 2, 1, 1), 3, "f4"), np.full((1, 2, 1, 1), 1, "f4")]
    x, y = made(tmp_path, "type: 'BN' bottom: 'x' top: 'y' bn_param { bn_mode: LEARN }", blobs)
    mean = x.mean((0, 2, 3), keepdims=True)
    want = 3 * (x - mean) / np.sqrt(x.var((0, 2, 3), keepdims=True) + 1e-9) + 1
    np.testing.assert_allclose(y, want, rtol=1e-6)


def test_the_number_of_blobs_tells_one_bn_from_the_other(tmp_path):
    text = "type: 'BN' bottom: 'x' top: 'y'"
    two = loaded(tmp_path, text, [np.ones((1, 2, 1, 1), "f4")] * 2)
    four = loaded(tmp_path, text, [np.ones((1, 2, 1, 1), "f4")] * 4)
    assert (two.layers["l"].fork, four.layers["l"].fork) == ("segnet", "pspnet")


def test_without_any_sign_a_bn_is_refused(tmp_path):
    with pytest.raises(UnsupportedError, match="means different things in different forks"):
        loaded(tmp_path, "type: 'BN' bottom: 'x' top: 'y'")
    net = loaded(tmp_path, "type: 'BN' bottom: 'x' top: 'y'", dialect="segnet")
    assert net.layers["l"].fork == "segnet"


def test_cudnns_batch_norm_has_scale_and_bias_first(tmp_path):
    shape = (1, 2, 1, 1)
    blobs = [np.full(shape, value, "f4") for value in (2, 3, 5, 4)]
    x, y = made(tmp_path, "type: 'CuDNNBatchNorm' bottom: 'x' top: 'y'", blobs, dialect="sknet")
    np.testing.assert_allclose(y, 2 * (x - 5) / np.sqrt(4 + 1e-5) + 3, rtol=1e-6)


def test_ssds_normalize_scales_by_its_blob(tmp_path):
    text = (
        "type: 'Normalize' bottom: 'x' top: 'y' "
        "norm_param { across_spatial: false channel_shared: false }"
    )
    x, y = made(tmp_path, text, [np.array([20, 10], "f4")])
    norm = np.sqrt((x * x).sum(1, keepdims=True) + np.float64(np.float32(1e-10)))
    np.testing.assert_allclose(y, x / norm * np.array([20, 10]).reshape(1, 2, 1, 1), rtol=1e-9)


def test_interp_keeps_the_corners(tmp_path):
    text = "type: 'Interp' bottom: 'x' top: 'y' interp_param { height: 17 width: 17 }"
    x, y = made(tmp_path, text)
    np.testing.assert_allclose(y[..., ::2, ::2], x, rtol=1e-6)


def test_upsample_with_one_bottom_is_nearest(tmp_path):
    text = "type: 'Upsample' bottom: 'x' top: 'y' upsample_param { scale: 2 }"
    x, y = made(tmp_path, text)
    np.testing.assert_array_equal(y, x.repeat(2, 2).repeat(2, 3))


def test_prior_boxes_of_60_5_are_of_60(tmp_path):
    path = tmp_path / "net.prototxt"
    layer = "layer {{ type: 'PriorBox' bottom: 'x' bottom: 'x' top: 'y' prior_box_param {{ {} }} }}"
    boxes = []
    for size in ("60.5", "60"):
        path.write_text(IMAGE + layer.format(f"min_size: {size} img_size: 300"))
        boxes.append(converter.load(path)({"x": torch.zeros(1, 2, 9, 9)})["y"])
    assert torch.equal(*boxes)


@pytest.mark.parametrize(
    ("layer", "field"),
    [
        ("type: 'InnerProduct' inner_product_param { num_output: 2 relu: true }", "relu"),
        ("type: 'ELU' elu_param { lambda: 2 }", "elu_param.lambda"),
        ("type: 'Reshape' reshape_param { shape { dim: -1 } pixelshuffler: 2 }", "pixelshuffler"),
    ],
)
def test_a_forks_field_that_nobody_reads_is_refused_by_its_name(tmp_path, layer, field):
    with pytest.raises(CaffeError) as caught:
        loaded(tmp_path, f"{layer} bottom: 'x' top: 'y'")
    assert field in str(caught.value)
    assert "layer 'l'" in str(caught.value)


def test_a_networks_own_field_is_refused_where_it_matters(tmp_path):
    text = f"bn_stats_batch_size: 32 {IMAGE} layer {{ type: 'ReLU' bottom: 'x' top: 'y' }}"
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    assert converter.load(path).phase == "TEST"
    with pytest.raises(UnsupportedError, match="bn_stats_batch_size is set, a field of intel"):
        converter.load(path, phase="TRAIN")


@pytest.mark.parametrize("engine", ["MKL2017", "MKLDNN"])
def test_engines_change_no_number(tmp_path, engine):
    text = "convolution_param {{ num_output: 1 kernel_size: 3 {} }}"
    conv = "type: 'Convolution' bottom: 'x' top: 'y' "
    blobs = [np.ones((1, 2, 3, 3), "f4"), np.ones(1, "f4")]
    _, ours = made(tmp_path, conv + text.format(f"engine: {engine}"), blobs)
    _, plain = made(tmp_path, conv + text.format(""), blobs)
    np.testing.assert_array_equal(ours, plain)

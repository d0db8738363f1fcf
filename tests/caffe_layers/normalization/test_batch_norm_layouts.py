"""BatchNorm with the blobs of NVIDIA's, Intel's and DeepLab's Caffe against plain loops."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from caffe_layers.base.registry import find
from prototxt import UnsupportedError, WeightError, parse_text, read_weights
from tests.support import restated
from tests.support.fillers import with_caffes_statistics
from tests.support.recorded import assert_close
from tests.support.restated import check, check_gradients

RNG = np.random.default_rng(1701)
C = 3
MEAN, SCALE, BIAS = RNG.normal(size=C), RNG.normal(size=C), RNG.normal(size=C)
VAR = RNG.uniform(1e-3, 2, C)
ONE = np.ones(1)
EPS = float(np.float32(0.01))


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(1701).normal(1, 2, shape)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and biased variance of each channel."""
    rows = [x[:, c].ravel() for c in range(x.shape[1])]
    means = [sum(row) / len(row) for row in rows]
    spreads = [
        sum((v - mean) ** 2 for v in row) / len(row) for row, mean in zip(rows, means, strict=True)
    ]
    return np.array(means), np.array(spreads)


def normalized(x, mean, var, scale=(1,) * C, bias=(0,) * C, eps=EPS) -> np.ndarray:
    top = np.zeros(x.shape)
    for index in np.ndindex(*x.shape):
        c = index[1]
        top[index] = scale[c] * (x[index] - mean[c]) / sqrt(var[c] + eps) + bias[c]
    return top


def layer(fields: str = "") -> str:
    return (
        'layer { name: "L" type: "BatchNorm" bottom: "x" top: "y" '
        f"batch_norm_param {{ eps: 0.01 {fields} }} }}\n"
    )


def five(fork: str, fields: str = "") -> str:
    """Return a layer that has five blobs once its fork is named."""
    return layer(f"{fields} scale_bias: true" if fork == "nvidia" else fields)


def wide(*blobs: np.ndarray) -> list[np.ndarray]:
    return [blob.reshape(1, -1, 1, 1) for blob in blobs]


F = np.array([4.0])
LAYOUTS = {
    "bvlc": ("", [MEAN * 4, VAR * 4, F]),
    "intel": ("", [MEAN * 4, VAR * 4, F, SCALE, BIAS]),
    "intel without bias": ("", [MEAN * 4, VAR * 4, F, SCALE]),
    "nvidia": ("scale_bias: true", [MEAN, VAR, ONE, SCALE, BIAS]),
    "nvidia, by its filler": ("scale_filler { value: 1 }", [MEAN, VAR, ONE, SCALE, BIAS]),
    "nvidia_0_15": ("scale_bias: true", [SCALE, BIAS, MEAN, VAR, ONE]),
    "nvidia_0_15, no word": ("", [SCALE, BIAS, MEAN, VAR, ONE]),
    "nvidia_0_14": ("", wide(SCALE, BIAS, ONE, MEAN, VAR)),
}


def saved(text: str, blobs: Sequence[np.ndarray], folder: Path, fork: str) -> Path:
    """Write a caffemodel whose BatchNorm has these blobs, in their shapes."""
    (folder / "made").mkdir(exist_ok=True)
    net = restated.load(text, {"x": image(2, C, 2, 2)}, folder / "made", dialect=fork,
                        dtype=torch.float32)  # fmt: skip
    module = net.layers["L"]
    for name, blob in zip(module.blob_names, blobs, strict=False):
        getattr(module, name).data = torch.from_numpy(blob.astype("f"))
    module.blob_names = module.blob_names[: len(blobs)]
    converter.save_caffemodel(net, folder / "net.caffemodel")
    return folder / "net.caffemodel"


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_files_blobs_tell_what_they_are(name, tmp_path: Path):
    """With scale and mean taken for each other the numbers would be far off, and nothing else."""
    fields, blobs = LAYOUTS[name]
    fork = name.split(",")[0].split()[0]
    weights = saved(layer(fields), blobs, tmp_path, None if fork == "bvlc" else fork)
    x = image(2, C, 4, 5)
    scale = SCALE if len(blobs) > 3 else np.ones(C)
    bias = BIAS if len(blobs) > 4 else np.zeros(C)
    text = layer("bias_term: false" if len(blobs) == 4 else fields)
    restated.load(text, {"x": x}, tmp_path)
    net = converter.load(tmp_path / "net.prototxt", weights)
    assert type(net.layers["L"]).fork == fork
    got = net({"x": torch.from_numpy(x.astype("f"))})["y"]
    want = normalized(x, MEAN, VAR, scale, bias)
    assert_close(got.detach(), want, name, 1e-5)
    converter.save_caffemodel(net, tmp_path / "again.caffemodel")
    assert (tmp_path / "again.caffemodel").stat().st_size > 0
    again = converter.load(tmp_path / "net.prototxt", tmp_path / "again.caffemodel")
    assert_close(again({"x": torch.from_numpy(x.astype("f"))})["y"].detach(), want, name, 1e-5)


FIVE = {
    "intel": [MEAN * 4, VAR * 4, F, SCALE, BIAS],
    "nvidia": [MEAN, VAR, ONE, SCALE, BIAS],
    "nvidia_0_15": [SCALE, BIAS, MEAN, VAR, ONE],
    "nvidia_0_14": [SCALE, BIAS, ONE, MEAN, VAR],
}


@pytest.mark.parametrize("fork", FIVE)
@pytest.mark.parametrize("shape", [(2, C, 4, 5), (4, C), (1, C, 1, 1)])
def test_each_layout_computes(fork, shape, tmp_path: Path):
    x = image(*shape)
    want = normalized(x, MEAN, VAR, SCALE, BIAS)
    options = {"dialect": fork, "blobs": {"L": FIVE[fork]}}
    check(five(fork), {"x": x}, {"y": want}, tmp_path, **options)
    check_gradients(five(fork), {"x": x}, tmp_path, **options)


@pytest.mark.parametrize("fork", FIVE)
def test_each_layout_trains(fork, tmp_path: Path):
    x = image(2, C, 4, 5)
    mean, var = moments(x)
    unbiased = var * 40 / 39
    options = {"dialect": fork, "blobs": {"L": FIVE[fork]}, "phase": "TRAIN"}
    text = five(fork, "moving_average_fraction: 0.75")
    want = normalized(x, mean, var, SCALE, BIAS)
    net = restated.load(text, {"x": x}, tmp_path, **options)
    stored = net.layers["L"]
    for passes in range(1, 5):
        assert_close(net({"x": torch.tensor(x)})["y"].detach(), want, f"pass {passes}")
        if fork == "intel":
            kept = 0.75**passes
            grown = sum(0.75**i for i in range(passes))
            assert float(stored.factor) == pytest.approx(4 * kept + grown)
            assert_close(stored.mean, MEAN * 4 * kept + mean * grown, "mean")
            assert_close(stored.variance, VAR * 4 * kept + unbiased * grown, "variance")
        else:  # two passes set, later ones move: towards the same batch
            assert_close(stored.mean.flatten(), mean, "mean")
            assert_close(stored.variance.flatten(), unbiased, "variance")
    check(text, {"x": x}, {"y": want}, tmp_path, dynamic=(), **options)
    check_gradients(text, {"x": image(2, C, 2, 2)}, tmp_path, **options)


def test_nvidia_moves_after_the_second_pass(tmp_path: Path):
    text = layer("scale_bias: true moving_average_fraction: 0.75")
    net = restated.load(text, {"x": image(2, C, 2, 2)}, tmp_path, phase="TRAIN")
    for value in (1.0, 2.0, 6.0):
        x = torch.full((2, C, 2, 2), value, dtype=torch.float64)
        net({"x": x})
    assert net.layers["L"].mean.tolist() == [0.75 * 2 + 0.25 * 6] * C


@pytest.mark.parametrize("passes", [0, 1, 2, 3])
def test_training_goes_on_from_a_state_dict(passes: int, tmp_path: Path):
    text = layer("scale_bias: true moving_average_fraction: 0.75")
    batches = [torch.full((2, C, 2, 2), value, dtype=torch.float64) for value in (1, 2, 6, 3, 5)]
    one, two = (
        restated.load(text, {"x": image(2, C, 2, 2)}, tmp_path, phase="TRAIN") for _ in range(2)
    )
    for x in batches[:passes]:
        one({"x": x})
    two.load_state_dict(one.state_dict())
    for x in batches[passes:]:
        for net in (one, two):
            net({"x": x})
        assert two.layers["L"].mean.tolist() == one.layers["L"].mean.tolist()
    state = one.state_dict()
    assert int(state["layers.L.num_batches_tracked"]) == len(batches)


def test_caffes_file_has_no_count(tmp_path: Path):
    net = restated.load(layer("scale_bias: true"), {"x": image(2, C, 2, 2)}, tmp_path)
    converter.save_caffemodel(net, tmp_path / "net.caffemodel")
    blobs = {
        held.name: len(held.blobs) for held in read_weights(tmp_path / "net.caffemodel").layers
    }
    assert blobs["L"] == 5


def test_nvidia_lifts_a_small_eps(tmp_path: Path):
    x, blobs = image(2, C, 2, 2) * 1e-3, [MEAN * 0, VAR * 0, ONE, SCALE, BIAS]
    text = layer("scale_bias: true").replace("eps: 0.01", "eps: 1e-9")
    want = normalized(x, MEAN * 0, VAR * 0, SCALE, BIAS, 1e-5)
    check(text, {"x": x}, {"y": want}, tmp_path, blobs={"L": blobs})
    # The others take it as it is.
    want = normalized(x, MEAN * 0, VAR * 0, SCALE, BIAS, float(np.float32(1e-9)))
    check(text.replace("scale_bias: true", ""), {"x": x}, {"y": want}, tmp_path, dialect="intel",
          blobs={"L": blobs})  # fmt: skip


def test_fresh_scales_are_1(tmp_path: Path):
    for fork in FIVE:
        net = restated.load(five(fork), {"x": image(1, C, 2, 2)}, tmp_path, dialect=fork)
        module = with_caffes_statistics(net).layers["L"]
        assert module.weight.flatten().tolist() == [1] * C
        assert module.bias.flatten().tolist() == [0] * C
        assert float(module.factor) == (0 if fork == "intel" else 1)
    text = layer("scale_filler { value: 3 } bias_filler { value: 2 }")
    module = restated.load(text, {"x": image(1, C, 2, 2)}, tmp_path).layers["L"]
    assert (module.weight.tolist(), module.bias.tolist()) == ([3] * C, [2] * C)


def test_intel_fuses_a_relu(tmp_path: Path):
    x, blobs = image(2, C, 3, 3), FIVE["intel"]
    want = np.maximum(normalized(x, MEAN, VAR, SCALE, BIAS), 0)
    check(layer("relu: true"), {"x": x}, {"y": want}, tmp_path, blobs={"L": blobs})
    assert find(parse_text(layer("relu: true")).layers[0], [(C,), (C,), (1,)]).fork == "intel"


ROWS = [
    ("", None, "bvlc"),
    ("", [(C,), (C,), (1,)], "bvlc"),
    ("scale_bias: true", None, "nvidia"),
    ("scale_bias: false", None, "bvlc"),
    ("scale_bias: true", [(C,), (C,), (1,), (C,), (C,)], "nvidia"),
    ("", [(C,), (C,), (1,), (C,), (C,)], "intel"),
    ("use_weight_bias: true", [(C,), (C,), (1,), (C,), (C,)], "intel"),
    ("filler { value: 1 }", [(C,), (C,), (1,)], "bvlc"),
    ("engine: MKL2017", None, "intel"),
    ("engine: MKLDNN use_weight_bias: false", None, "bvlc"),
    ("", [(C,), (C,), (1,), (C,)], "intel"),
    ("", [(C,), (C,), (C,), (C,), (1,)], "nvidia_0_15"),
    ("", [(1, C, 1, 1), (1, C, 1, 1), (1,), (1, C, 1, 1), (1, C, 1, 1)], "nvidia_0_14"),
]


@pytest.mark.parametrize(("fields", "blobs", "fork"), ROWS)
def test_fields_and_blobs_tell_the_layouts_apart(fields, blobs, fork):
    assert find(parse_text(layer(fields)).layers[0], blobs).fork == fork


THREE = [(C,), (C,), (1,)]


def test_cudnns_engine_leaves_it_open_what_is_scaled():
    """NVIDIA's has scale and bias before 0.16 whatever the text says, later if it asks for them."""
    bn = parse_text(layer("engine: CUDNN")).layers[0]
    with pytest.raises(UnsupportedError) as caught:
        find(bn)
    assert "bvlc, nvidia_0_15, nvidia_0_14 each fit" in str(caught.value)
    assert "--dialect" in str(caught.value)
    chosen = [find(bn, dialect=fork).fork for fork in ("nvidia", "nvidia_0_15", "nvidia_0_14")]
    assert chosen == ["bvlc", "nvidia_0_15", "nvidia_0_14"]
    assert find(bn, THREE).fork == "bvlc"
    assert find(bn, [(C,), (C,), (C,), (C,), (1,)]).fork == "nvidia_0_15"
    assert find(parse_text(layer("engine: CUDNN scale_bias: true")).layers[0]).fork == "nvidia"


@pytest.mark.parametrize("fork", ["intel", "nvidia", "nvidia_0_15", "nvidia_0_14"])
def test_three_blobs_are_bvlcs_whatever_fork_is_named(fork):
    bn = parse_text(layer()).layers[0]
    assert find(bn, THREE, dialect=fork).fork == "bvlc"
    assert find(bn, dialect=fork).fork == ("bvlc" if fork == "nvidia" else fork)


def test_one_channel_leaves_five_blobs_open():
    """Each has one value then, and any may be the factor."""
    with pytest.raises(UnsupportedError) as caught:
        find(parse_text(layer()).layers[0], [(1,)] * 5)
    assert "intel, nvidia_0_15 each fit" in str(caught.value)
    assert "--dialect" in str(caught.value)


def test_scale_merged_into_the_weights_is_not_applied_twice(tmp_path: Path):
    weights = saved(layer(), FIVE["intel"], tmp_path, "intel")
    x = image(2, C, 4, 5)
    scale = (
        'layer { name: "S" type: "Scale" bottom: "y" top: "z" scale_param { bias_term: true } }\n'
    )
    relu = 'layer { name: "R" type: "ReLU" bottom: "z" top: "z" }\n'
    (tmp_path / "net.prototxt").write_text(
        (tmp_path / "made" / "net.prototxt").read_text() + scale + relu
    )
    net = converter.load(tmp_path / "net.prototxt", weights)
    assert [step.layer.name for step in net.steps][-2:] == ["L", "R"]
    want = np.maximum(normalized(x, MEAN, VAR, SCALE, BIAS), 0)
    assert_close(net({"x": torch.from_numpy(x.astype("f"))})["z"].detach(), want, "z", 1e-5)


def test_scale_in_place_merged_into_the_weights(tmp_path: Path):
    weights = saved(layer(), FIVE["intel"], tmp_path, "intel")
    scale = (
        'layer { name: "S" type: "Scale" bottom: "y" top: "y" scale_param { bias_term: true } }\n'
    )
    (tmp_path / "net.prototxt").write_text((tmp_path / "made" / "net.prototxt").read_text() + scale)
    net = converter.load(tmp_path / "net.prototxt", weights)
    assert [step.layer.name for step in net.steps] == ["x", "L"]


def test_scale_that_only_the_weights_have_is_not_dropped(tmp_path: Path):
    scale = (
        'layer { name: "S" type: "Scale" bottom: "y" top: "z" scale_param { bias_term: true } }\n'
    )
    net = restated.load(layer() + scale, {"x": image(1, C, 2, 2)}, tmp_path, dtype=torch.float32)
    converter.save_caffemodel(net, tmp_path / "net.caffemodel")
    restated.load(layer(), {"x": image(1, C, 2, 2)}, tmp_path)
    with pytest.raises(WeightError, match="scales what it normalizes, by 'S'"):
        converter.load(tmp_path / "net.prototxt", tmp_path / "net.caffemodel")


UPDATE = "use_global_stats: true update_global_stats: true moving_average_fraction: 0.75"
SUMS = [MEAN * 4, VAR * 4, F]


def test_deeplab_updates_the_statistics_in_use(tmp_path: Path):
    x = image(2, C, 4, 5)
    net = restated.load(layer(UPDATE), {"x": x}, tmp_path, phase="TRAIN", blobs={"L": SUMS})
    around = np.array([((x[:, c] - MEAN[c]) ** 2).mean() for c in range(C)])
    leaf = torch.tensor(x, requires_grad=True)
    got = net.blobs({"x": leaf})["y"]
    assert_close(got.detach(), normalized(x, MEAN, around), "y")
    wants = (0.75 * 4 * MEAN + MEAN, 0.75 * 4 * VAR + around * 40 / 39, 0.75 * F + 1)
    for blob, want in zip(net.params["L"], wants, strict=True):
        assert_close(blob, want, "sums")
    got.sum().backward()
    slope = 1 / np.sqrt(around + EPS)
    assert_close(leaf.grad, np.broadcast_to(slope[:, None, None], x.shape), "gradient")
    with pytest.raises(UnsupportedError, match="changes the statistics with every pass"):
        converter.export_onnx(net, tmp_path / "net.onnx")


def test_deeplabs_flag_changes_no_test(tmp_path: Path):
    x = image(2, C, 4, 5)
    check(layer(UPDATE), {"x": x}, {"y": normalized(x, MEAN, VAR)}, tmp_path, blobs={"L": SUMS})


@pytest.mark.parametrize("flag", ["true", "false"])
def test_deeplab_leaves_the_sums_alone_in_plain_training(flag, tmp_path: Path):
    x = image(2, C, 4, 5)
    text = layer(f"update_global_stats: {flag}")
    net = restated.load(text, {"x": x}, tmp_path, phase="TRAIN", blobs={"L": SUMS})
    got = net({"x": torch.tensor(x)})["y"]
    assert_close(got.detach(), normalized(x, *moments(x)), "y")
    for blob, want in zip(net.params["L"], SUMS, strict=True):
        assert_close(blob, want, "sums")

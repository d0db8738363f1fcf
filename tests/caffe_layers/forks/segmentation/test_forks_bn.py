"""BN of PSPNet and of SegNet, one name for two layers, against their formulas as plain loops."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

import caffe_layers
import converter
from caffe_layers.base.registry import find
from prototxt import ShapeError, UnsupportedError, WeightError, parse_text
from tests.support import restated
from tests.support.recorded import assert_close
from tests.support.restated import check, check_gradients

RNG = np.random.default_rng(1701)


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(1701).normal(1, 2, shape)


def channels_of(x: np.ndarray) -> list[np.ndarray]:
    return [x[:, c].ravel() for c in range(x.shape[1])]


def moments(values: np.ndarray) -> tuple[float, float]:
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / len(values)


def normalized(x: np.ndarray, blobs, eps: float) -> np.ndarray:
    """Return slope * (x - mean) / sqrt(var + eps) + bias; mean and var None are the batch's."""
    slope, bias, *statistics = blobs
    top = np.zeros(x.shape)
    for c, values in enumerate(channels_of(x)):
        mean, var = [float(s.ravel()[c]) for s in statistics] if statistics else moments(values)
        for index in np.ndindex(x[:, c].shape):
            place = (index[0], c, *index[1:])
            top[place] = slope.ravel()[c] * (x[place] - mean) / sqrt(var + eps) + bias.ravel()[c]
    return top


def psp(fields: str = "eps: 0.01") -> str:
    return f'layer {{ name: "L" type: "BN" bottom: "x" top: "y" bn_param {{ {fields} }} }}\n'


def segnet(fields: str, *tops: str) -> str:
    more = "".join(f' top: "{top}"' for top in tops)
    return f'layer {{ name: "L" type: "BN" bottom: "x" top: "y"{more} bn_param {{ {fields} }} }}\n'


SHAPE = (1, 3, 1, 1)
FOUR = [RNG.normal(size=SHAPE), RNG.normal(size=SHAPE), RNG.normal(size=SHAPE),
        RNG.uniform(1e-3, 2, SHAPE)]  # fmt: skip
TWO = FOUR[:2]
EPS = float(np.float32(0.01))


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 3, 1, 1), (4, 3)])
def test_psp_uses_the_running_statistics(shape, tmp_path: Path):
    x = image(*shape)
    want = normalized(x, FOUR, EPS)
    check(psp(), {"x": x}, {"y": want}, tmp_path, blobs={"L": FOUR})


@pytest.mark.parametrize("kind", ["BN", "SyncBN"])
def test_psp_trains_with_the_batchs_and_keeps_the_biased(kind, tmp_path: Path):
    x, text = image(2, 3, 4, 5), psp("eps: 0.01 momentum: 0.75")
    net = restated.load(text.replace('"BN"', f'"{kind}"'), {"x": x}, tmp_path, phase="TRAIN",
                        blobs={"L": FOUR})  # fmt: skip
    got = net({"x": torch.tensor(x)})["y"]
    assert_close(got.detach(), normalized(x, TWO, EPS), "y")
    for c, values in enumerate(channels_of(x)):
        mean, var = moments(values)
        for index, new in ((2, mean), (3, var)):
            want = 0.75 * FOUR[index].ravel()[c] + 0.25 * new
            assert float(net.params["L"][index].ravel()[c]) == pytest.approx(want, rel=1e-12)
    check(text, {"x": x}, {"y": normalized(x, TWO, EPS)}, tmp_path, phase="TRAIN",
          blobs={"L": FOUR}, dynamic=())  # fmt: skip


def test_psp_frozen_trains_with_the_running_ones(tmp_path: Path):
    x = image(2, 3, 4, 5)
    net = restated.load(
        psp("eps: 0.01 frozen: true"), {"x": x}, tmp_path, phase="TRAIN", blobs={"L": FOUR}
    )
    leaf = torch.tensor(x, requires_grad=True)
    got = net.blobs({"x": leaf})["y"]
    assert_close(got.detach(), normalized(x, FOUR, EPS), "y")
    got.sum().backward()
    scale = FOUR[0].ravel() / np.sqrt(FOUR[3].ravel() + EPS)
    assert_close(leaf.grad, np.broadcast_to(scale[:, None, None], x.shape), "gradient")
    assert net.params["L"][0].grad is None
    assert_close(net.params["L"][2].detach(), FOUR[2], "mean")


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_psp_gradient_is_the_derivative(phase, tmp_path: Path):
    check_gradients(psp(), {"x": image(2, 3, 2, 3)}, tmp_path, phase=phase, blobs={"L": FOUR})


def test_psp_starts_as_caffe_does():
    plain, frozen = caffe_layers.BN(2), caffe_layers.BN(2, frozen=True)
    assert [blob.flatten().tolist() for blob in plain.blobs] == [[0, 0]] * 4
    assert frozen.running_var.flatten().tolist() == [1, 1]
    assert plain.momentum == float(np.float32(0.9))


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 3, 1, 2)])
def test_segnet_uses_the_batchs_statistics_in_both_phases(shape, phase, tmp_path: Path):
    x = image(*shape)
    mean, var = (
        np.array([moments(values)[i] for values in channels_of(x)]).reshape(SHAPE) for i in (0, 1)
    )
    wants = {"y": normalized(x, TWO, 1e-9), "m": mean, "v": var}
    text = segnet("bn_mode: LEARN", "m", "v")
    check(text, {"x": x}, wants, tmp_path, phase=phase, blobs={"L": TWO})
    check(segnet("bn_mode: LEARN"), {"x": x}, {"y": wants["y"]}, tmp_path, phase=phase,
          blobs={"L": TWO})  # fmt: skip


def test_segnet_result_depends_on_the_rest_of_the_batch(tmp_path: Path):
    """Read as a layer with running statistics, an image would not care about its neighbours."""
    x = image(2, 3, 4, 5)
    net = restated.load(segnet("bn_mode: LEARN"), {"x": x}, tmp_path, blobs={"L": TWO})
    both = net({"x": torch.tensor(x)})["y"]
    alone = net({"x": torch.tensor(x[:1])})["y"]
    assert (both[:1] - alone).abs().max() > 0.01


def test_segnet_inference_only_scales(tmp_path: Path):
    x = image(2, 3, 4, 5)
    want = x * TWO[0] + TWO[1]
    check(segnet("bn_mode: INFERENCE"), {"x": x}, {"y": want}, tmp_path, blobs={"L": TWO})
    check_gradients(segnet("bn_mode: INFERENCE"), {"x": x}, tmp_path, blobs={"L": TWO})


def test_segnet_gradient_is_the_derivative(tmp_path: Path):
    check_gradients(segnet("bn_mode: LEARN"), {"x": image(2, 3, 2, 3)}, tmp_path, blobs={"L": TWO})


def test_segnet_inference_with_more_tops_is_refused(tmp_path: Path):
    with pytest.raises(UnsupportedError, match="2 tops, but INFERENCE writes one"):
        restated.load(segnet("bn_mode: INFERENCE", "m"), {"x": image(1, 3, 2, 2)}, tmp_path)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4)])
def test_segnet_wants_an_image(shape, tmp_path: Path):
    with pytest.raises(ShapeError, match="wants 4"):
        restated.load(segnet("bn_mode: LEARN"), {"x": image(*shape)}, tmp_path)


def only(text: str):
    return parse_text(text).layers[-1]


@pytest.mark.parametrize(
    ("fields", "blobs", "name"),
    [
        ("momentum: 0.9", None, "BN"),
        ("frozen: true", 2, "BN"),
        ("slope_filler { value: 1 }", None, "BN"),
        ("bn_mode: LEARN", None, "SegNetBN"),
        ("shift_filler { value: 1 }", 4, "SegNetBN"),
        ("", 4, "BN"),
        ("", 2, "SegNetBN"),
    ],
)
def test_fields_tell_the_two_apart_else_blobs(fields, blobs, name):
    shapes = [SHAPE] * blobs if blobs else None
    assert find(only(psp(fields)), shapes).__name__ == name


def test_without_fields_and_blobs_the_fork_must_be_named(tmp_path: Path):
    with pytest.raises(UnsupportedError, match=r"BN.*pspnet, segnet each fit") as caught:
        restated.load(psp(""), {"x": image(1, 3, 2, 2)}, tmp_path)
    assert "name the fork with --dialect" in str(caught.value)
    for dialect, count in (("pspnet", 4), ("tsn", 4), ("happynear", 4), ("segnet", 2), ("enet", 2)):
        net = restated.load(psp(""), {"x": image(1, 3, 2, 2)}, tmp_path, dialect=dialect)
        assert len(net.params["L"]) == count, dialect


def saved(folder: Path, shape: tuple[int, ...]) -> Path:
    """Write a PSPNet layer's blobs in this shape."""
    net = restated.load(psp(), {"x": image(2, 3, 4, 5)}, folder, blobs={"L": FOUR},
                        dtype=torch.float32)  # fmt: skip
    for blob in net.layers["L"].blobs:
        blob.data = blob.data.reshape(shape)
    converter.save_caffemodel(net, folder / "net.caffemodel")
    return folder / "net.caffemodel"


def test_moving_average_means_robert0812s(tmp_path: Path):
    x = image(2, 3, 4, 5)
    text = psp("moving_average: true")
    own = [*FOUR[:3], FOUR[3] * 1e-6]  # so small that the eps, 1e-7, is felt
    wants = {"y": normalized(x, own, float(np.float32(1e-7)))}
    check(text, {"x": x}, wants, tmp_path, blobs={"L": own}, dynamic=())
    net = restated.load(text, {"x": x}, tmp_path, phase="TRAIN", blobs={"L": FOUR})
    top = net.blobs({"x": torch.from_numpy(x)})["y"].detach()
    assert_close(top, normalized(x, TWO, float(np.float32(1e-7))), "y")
    for c, values in enumerate(channels_of(x)):
        for blob, old, new in zip(net.params["L"][2:], FOUR[2:], moments(values), strict=True):
            want = 0.9 * old.ravel()[c] + 0.1 * new
            assert blob.ravel()[c].item() == pytest.approx(want, rel=1e-6)
    with pytest.raises(UnsupportedError, match="moving_average is false: in testing"):
        restated.load(psp("moving_average: false"), {"x": x}, tmp_path)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (1, 3), (3,)])
def test_blobs_of_two_axes_load_too(shape, tmp_path: Path):
    """In PSPNet's files they are 1 x C x 1 x 1, in yjxiong's and happynear's 1 x C."""
    net = converter.load(tmp_path / "net.prototxt", saved(tmp_path, shape))
    for blob, want in zip(net.params["L"], FOUR, strict=True):
        assert_close(blob.detach(), want.astype("f"), str(shape))


def test_blobs_of_other_shapes_do_not_load(tmp_path: Path):
    weights = saved(tmp_path, (3, 1))
    with pytest.raises(WeightError, match=r"blob 'weight' is .3, 1., wants .1, 3, 1, 1."):
        converter.load(tmp_path / "net.prototxt", weights)


def test_weights_of_the_other_meaning_are_refused(tmp_path: Path):
    x = image(1, 3, 2, 2)
    net = restated.load(segnet("bn_mode: LEARN"), {"x": x}, tmp_path, dtype=torch.float32)
    converter.save_caffemodel(net, tmp_path / "net.caffemodel")
    (tmp_path / "psp.prototxt").write_text((tmp_path / "net.prototxt").read_text().replace(
        "bn_mode: LEARN", "frozen: true"))  # fmt: skip
    with pytest.raises(WeightError, match="2 blobs, wants weight, bias, running_mean"):
        converter.load(tmp_path / "psp.prototxt", tmp_path / "net.caffemodel")

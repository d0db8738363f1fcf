"""The networks that are built by name: those of SENet as released, all with their options."""

from __future__ import annotations

from pathlib import Path

import pytest

import prototxt
from prototxt import UnsupportedError
from prototxt.nets.cbam import cbam_resnext50
from prototxt.nets.networks import NETWORKS, build
from prototxt.nets.sknet import sknet

RELEASED = {
    "se_resnet50": "reference/nets/SE-ResNet-50/deploy.prototxt",
    "se_resnet101": "prototxts/SENet__models__SE-ResNet-101.prototxt",
    "se_resnet152": "prototxts/SENet__models__SE-ResNet-152.prototxt",
    "se_resnext50": "prototxts/SENet__models__SE-ResNeXt-50.prototxt",
}


def layers_of(definition: object) -> dict:
    return {layer.name: layer for layer in prototxt.parse_text(str(definition)).layers}


@pytest.mark.parametrize("name", RELEASED)
def test_senet_is_the_released_one_in_every_field(name: str, shared: Path) -> None:
    ours = prototxt.parse_text(str(build(name)))
    released = prototxt.read_net(shared / RELEASED[name])
    assert len(ours.layers) > 300
    for our, their in zip(ours.layers, released.layers, strict=True):
        assert our == their
    assert ours.header == released.header


@pytest.mark.parametrize("name", NETWORKS)
def test_every_definition_names_each_layer_once(name: str) -> None:
    net = prototxt.parse_text(str(build(name)))
    names = [layer.name for layer in net.layers]
    assert len(names) == len(set(names)) > 100
    assert build(name).name == net.header.name


def test_larger_kernels_see_what_dilated_ones_see() -> None:
    options = {"branches": 3, "width": 32}
    dilated = layers_of(sknet("dilated", (1,), groups=4, **options))
    larger = layers_of(sknet("larger", (1,), groups=(4, 8, 16), dilated=False, **options))
    for size, group, pad in ((3, 4, 1), (5, 8, 2), (7, 16, 3)):
        param = larger[f"conv2_1/{size}x{size}g{group}"].convolution_param
        assert list(param.kernel_size) == [size]
        assert list(param.pad) == [pad]
        assert not param.dilation
        assert param.group == group
        name = "conv2_1/3x3g4" + (f"d{pad}" if pad > 1 else "")
        assert list(dilated[name].convolution_param.pad) == [pad]


def test_without_selection_branches_are_summed() -> None:
    layers = layers_of(sknet("sum", (1,), selection=False, groups=4, width=32))
    assert not [name for name in layers if "/B_" in name]
    assert list(layers["conv2_1/1x1_increase"].bottom) == ["conv2_1_3x3"]
    assert list(layers["conv2_1_3x3"].bottom) == ["conv2_1/3x3g4/bn", "conv2_1/3x3g4d2/bn"]


def test_reduction_narrows_the_attention_down_to_32_channels() -> None:
    narrow = layers_of(build("sknet50", reduction=8))
    wide = layers_of(build("sknet50", reduction=32))
    assert [
        [net[f"conv{stage}_1/B_fc1"].convolution_param.num_output for stage in (2, 3, 4, 5)]
        for net in (narrow, wide)
    ] == [[32, 32, 64, 128], [32, 32, 32, 32]]


def test_last_pooling_follows_the_size() -> None:
    assert layers_of(build("resnext50"))["avepool/7x7"].pooling_param.kernel_size == 7
    large = layers_of(build("resnext50", data=(1, 3, 320, 320)))
    assert large["avepool/7x7"].pooling_param.global_pooling


def test_gate_knows_the_height_of_its_map() -> None:
    layers = layers_of(cbam_resnext50(data=(1, 3, 97, 64)))
    dims = [
        list(layers[f"conv{stage}_1/cbam_max_plane"].reshape_param.shape.dim)
        for stage in (2, 3, 4, 5)
    ]
    assert dims == [[0, 1, height, -1] for height in (24, 12, 6, 3)]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sknet", {}, "network 'sknet' is unknown\n  fix: known: sknet50, "),
        ("dpn92", {"depth": 3}, "dpn92 has no option 'depth'\n  fix: known: stem, width, "),
        ("resnext50", {"refine": 1}, "resnext50 has no option 'refine'"),
        ("sknet50", {"branches": 0}, "sknet50's branches is 0, wants int, each 1 or more"),
        ("sknet50", {"branches": True}, "sknet50's branches is True, wants int"),
        ("sknet50", {"dilated": 1}, "sknet50's dilated is 1, wants bool"),
        ("sknet50", {"attention": 32}, "sknet50's attention is 32, wants Sequence[int] | None"),
        ("sknet50", {"attention": (8, 8)}, "attention (8, 8) wants one for each of 4 stages"),
        ("sknet50", {"groups": (4, 4, 4)}, "groups (4, 4, 4) wants one for each of 2 branches"),
        ("sknet50", {"groups": ("a",)}, "sknet50's groups is ('a',), wants int | Sequence[int]"),
        ("sknet50", {"data": (1, 3)}, "sknet50's data (1, 3) wants 4 numbers"),
        ("dpn92", {"growth": (8,)}, "growth (8,) wants one for each of 4 stages"),
        ("inception_v4", {"layers": (1, 1)}, "inception_v4's layers (1, 1) wants 3 numbers"),
    ],
)
def test_what_is_not_there_is_refused(name: str, options: dict, message: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        build(name, **options)
    assert str(caught.value).startswith(message)


def test_absent_attention_is_the_builders() -> None:
    assert str(build("sknet50", attention=None)) == str(build("sknet50"))

"""Definitions of our own: equal to the released ones, and to what their builder writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import prototxt
from prototxt.nets import DEFINITIONS, text
from prototxt.nets.definition import Definition, Word
from prototxt.nets.digits import digits_sk
from prototxt.nets.sknet import sknet

NETS = Path(prototxt.__file__).parent / "nets"


@pytest.mark.parametrize("name", ["sknet50", "sknet101"])
def test_sknet_is_the_released_one_in_every_field(name, shared):
    ours = prototxt.read_net(NETS / f"{name}.prototxt")
    released = prototxt.read_net(shared / "reference" / "sknet" / f"{name}.prototxt")
    assert len(ours.layers) == {"sknet50": 450, "sknet101": 909}[name]
    for our, their in zip(ours.layers, released.layers, strict=True):
        assert our == their
    assert ours.header == released.header


def test_lenet_is_the_published_one_but_for_its_data(shared):
    ours = prototxt.read_net(NETS / "lenet_digits.prototxt")
    name = "Caffe__examples__mnist__lenet_train_test.prototxt"
    published = prototxt.read_net(shared / "prototxts" / name)
    for our, their in zip(ours.layers[:2], published.layers[:2], strict=True):
        assert our.data_param.source.startswith("digits_")
        their.data_param.source = our.data_param.source
    assert (ours.layers[1].data_param.batch_size, published.layers[1].data_param.batch_size) == (
        *(90, 100),
    )
    published.layers[1].data_param.batch_size = 90
    assert list(ours.layers) == list(published.layers)
    assert ours.header == published.header


def test_a_digits_network_learns_what_is_deployed():
    ours = prototxt.parse_text(text("digits_sk_train"))
    deployed = prototxt.parse_text(str(digits_sk()))
    assert list(ours.layers[2:]) == list(deployed.layers[1:])
    assert [layer.type for layer in ours.layers[:2]] == ["Data", "Data"]


@pytest.mark.parametrize("name", [name for name in DEFINITIONS if name.endswith("_solver")])
def test_a_solver_names_its_network(name):
    solver = prototxt.read_solver(NETS / f"{name}.prototxt")
    assert (NETS / solver.net).is_file()
    assert solver.test_iter[0] * 90 == 360


@pytest.mark.parametrize("name", DEFINITIONS)
def test_file_is_what_the_builder_writes(name):
    assert (NETS / f"{name}.prototxt").read_text("utf-8") == text(name)


def test_no_file_is_without_its_builder():
    assert {path.stem for path in NETS.glob("*.prototxt")} == set(DEFINITIONS)


def test_command_writes_every_definition(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "prototxt.nets", tmp_path], check=True, capture_output=True
    )
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {f"{name}.prototxt": text(name).encode() for name in DEFINITIONS}


def layers_of(definition: Definition) -> dict:
    net = prototxt.parse_text(str(definition))
    return {layer.name: layer for layer in net.layers}


def test_three_branches_are_sliced_and_summed_in_turn():
    layers = layers_of(sknet("three", (1,), branches=3, groups=8, width=64))
    assert layers["conv2_1/3x3g8d3"].convolution_param.dilation == [3]
    assert layers["conv2_1/3x3g8d3"].convolution_param.pad == [3]
    assert layers["conv2_1/B_fc2"].convolution_param.num_output == 3 * 64
    assert layers["conv2_1/B_slice"].slice_param.slice_point == [1, 2]
    assert layers["conv2_1/B_axpy1"].bottom == [
        "conv2_1/B_slice1",
        "conv2_1/3x3g8d2/bn",
        "conv2_1/scale",
    ]
    assert layers["conv2_1/B_axpy"].bottom == [
        "conv2_1/B_slice2",
        "conv2_1/3x3g8d3/bn",
        "conv2_1/B_axpy1",
    ]


def test_one_branch_has_nothing_to_select():
    layers = layers_of(sknet("one", (1,), branches=1))
    assert not [name for name in layers if "/B_" in name]
    assert layers["conv2_1/1x1_increase"].bottom == ["conv2_1/3x3g32/bn"]


def test_shortcut_is_projected_only_where_it_must_be():
    assert "conv2_1/1x1_proj" not in layers_of(sknet("narrow", (2,), width=32))
    layers = layers_of(sknet("narrow", (1, 2), width=32, groups=4))
    assert layers["conv3_1/1x1_proj"].convolution_param.stride == [2]
    assert "conv3_2/1x1_proj" not in layers


def test_message_of_plain_values_stays_on_one_line_while_it_fits():
    net = Definition("text")
    short, long = {"pool": Word("MAX"), "on": True}, {"source": "a" * 80}
    net.layer("a", "T", [], tops=["x", "y"], p=short, q=long, r={"s": {"dim": [1, -2]}}, t={})
    assert str(net) == (
        'name: "text"\nlayer {\n  name: "a"\n  type: "T"\n  top: "x"\n  top: "y"\n'
        "  p { pool: MAX on: true }\n"
        f'  q {{\n    source: "{"a" * 80}"\n  }}\n'
        "  r {\n    s { dim: 1 dim: -2 }\n  }\n}\n"
    )

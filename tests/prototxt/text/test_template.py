"""A template's placeholders and the values that fill them."""

from __future__ import annotations

import pytest

from prototxt import FormatError, parse_text, read_net
from prototxt.text import template
from prototxt.upgrade_file import upgrade_file
from tests.support import recorded

NET = """# ${N} and $W$ of a comment stay, as cls3x does
name: "net_${EXP}_$N$"  # cls3x
layer { name: "cls3x" type: "InnerProduct"
  inner_product_param { num_output: cls3x axis: ${AXIS} } }
layer { name: "r" type: "Reshape"
  reshape_param { shape { dim: [cls3x, cls3x, ${N}0, $N$] } } }
layer { name: "p" type: "Pooling" pooling_param { pool: AVE kernel_size: 2 } }
"""
VALUES = {"EXP": "voc", "N": "2", "AXIS": "-1", "cls3x": "63"}


def test_values_stand_where_the_placeholders_stood():
    net = parse_text(NET, values=VALUES)
    assert net.name == "net_voc_2"
    product, reshape, pool = net.layers
    assert (product.name, product.inner_product_param.num_output) == ("cls3x", 63)
    assert product.inner_product_param.axis == -1
    assert list(reshape.reshape_param.shape.dim) == [63, 63, 20, 2]
    assert pool.pooling_param.pool == pool.pooling_param.AVE


def test_what_has_no_value_stays_and_comments_stay():
    assert template.fill(NET, {"EXP": "a"}, "net") == NET.replace("${EXP}", "a")
    assert template.fill(NET, {"cls3x": "a"}, "net") == (
        NET.replace("output: cls3x", "output: a").replace("[cls3x, cls3x", "[a, a")
    )


def test_values_are_text():
    text = 'name: "$X$" layer { inner_product_param { num_output: $X$ } }'
    with pytest.raises(FormatError, match=r"net.prototxt:1:57: .*got \*"):
        parse_text(text, "net.prototxt", values={"X": "3*21"})
    assert parse_text('name: "$X$"', values={"X": r"\\1 ${X} $X$"}).name == r"\1 ${X} $X$"
    assert parse_text('name: "a${X}"', values={"X": ""}).name == "a"


@pytest.mark.parametrize(
    "written", ["AVE", "true", "inf", "pooling_param", "pool", "p", "V", "e5", "x"]
)
def test_words_of_the_format_are_no_placeholders(written):
    text = (
        'layer { name: "p" type: "Pooling" pooling_param { pool: AVE global_pooling: true } '
        "power_param { power: inf scale: 1e5 shift: 0x1 } loss_weight: [1, 2], top: 'V' }"
    )
    with pytest.raises(FormatError) as caught:
        template.fill(text, {written: "1"}, "net")
    assert str(caught.value) == (
        f"net: no placeholder is named {written!r}\n  fix: it has none: give no values"
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("M", "1", "no placeholder is named 'M'\n  fix: the placeholders are EXP, N, cls3x, AXIS"),
        ("N", "1\n2", "the value of 'N' is of several lines, wants one"),
        ("cls3x", " ", "the value of 'cls3x' is empty, wants a field's value"),
    ],
)
def test_refused_values(name, value, said):
    with pytest.raises(FormatError) as caught:
        parse_text(NET, "net.prototxt", values={"EXP": "a", name: value})
    assert str(caught.value) == f"net.prototxt: {said}"


def test_later_errors_keep_their_lines():
    with pytest.raises(FormatError) as caught:
        parse_text(NET + "layer { nme: 1 }", "net.prototxt", values=VALUES)
    assert str(caught.value).startswith("net.prototxt:8:9: LayerParameter has no field 'nme'")


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ("AXIS", "4:46: ${AXIS} is a placeholder: this is a template, not a definition"),
        ("cls3x", "4:37: cls3x where a whole number belongs"),
    ],
)
def test_a_placeholder_without_value_names_the_option(left, said):
    values = {name: value for name, value in VALUES.items() if name != left}
    with pytest.raises(FormatError) as caught:
        parse_text(NET, "net.prototxt", values=values)
    start, fix = str(caught.value).split("\n")
    assert start == f"net.prototxt:{said}"
    assert fix.endswith(f"give its value with --set {left}=...")


@pytest.mark.parametrize(
    ("name", "at", "value"), [("cls3x", "4:37", "abc"), ("AXIS", "4:47", " abc")]
)
def test_a_value_that_is_no_number_is_named(name, at, value):
    with pytest.raises(FormatError) as caught:
        parse_text(NET, "net.prototxt", values=VALUES | {name: value})
    assert str(caught.value) == (
        f"net.prototxt:{at}: abc where a whole number belongs: it is the value given for {name!r}\n"
        f"  fix: give a number with --set {name}=..."
    )


def test_a_binary_network_takes_no_values(tmp_path):
    path = recorded.unpack("protos") / "upgrade_binary" / "v1_shape" / "in.caffemodel"
    said = "a binary network has no placeholders"
    with pytest.raises(FormatError, match=said):
        read_net(path, values={"N": "1"})
    with pytest.raises(FormatError, match=said):
        upgrade_file(path, tmp_path / "out.prototxt", values={"N": "1"})


DOLLAR = (
    'layer { type: "Resample" resample_param { width: $TARGET_WIDTH height: $H } name: "$CNN" }'
)


def test_a_dollar_and_a_word_are_a_placeholder():
    net = parse_text(DOLLAR, values={"TARGET_WIDTH": "16", "H": "8", "CNN": "a"})
    assert (net.layers[0].resample_param.width, net.layers[0].resample_param.height) == (16, 8)
    assert net.layers[0].name == "a"
    with pytest.raises(FormatError) as caught:
        parse_text(DOLLAR, "net.prototxt", values={"H": "8"})
    assert str(caught.value) == (
        "net.prototxt:1:50: $TARGET_WIDTH is a placeholder: this is a template, not a definition\n"
        "  fix: give its value with --set TARGET_WIDTH=..."
    )


FORMAT = """input: "data_{scale}" # {{ {no} }}
input_dim: {0} input_dim:{height} input_dim:{width:d} input_dim: 1
layer {{ name: "p" type: "Pooling" pooling_param {{ kernel_size: {k}}}}}
"""
FORMAT_VALUES = {"0": "1", "height": "5", "width": "6", "k": "3", "scale": "2"}


def test_pythons_format_is_filled():
    net = parse_text(FORMAT, values=FORMAT_VALUES)
    assert list(net.header.input_dim) == [1, 5, 6, 1]
    assert list(net.header.input) == ["data_2"]
    assert net.layers[0].pooling_param.kernel_size == 3


@pytest.mark.parametrize(
    ("left", "place"), [("0", "2:12"), ("height", "2:26"), ("width", "2:45"), ("k", "3:67")]
)
def test_what_pythons_format_lacks_is_named_at_its_place(left, place):
    values = {name: "1" if name != "scale" else value for name, value in FORMAT_VALUES.items()}
    del values[left]
    with pytest.raises(FormatError) as caught:
        parse_text(FORMAT, "net.prototxt", values=values)
    line, fix = str(caught.value).split("\n")
    assert line.endswith(f"{{{left}}} is a placeholder: this is a template, not a definition")
    assert fix == f"  fix: give its value with --set {left}=..."
    # Values of one digit move what stands behind them on their line.
    assert line.split(":")[1] == place.split(":")[0]


def test_single_braces_around_a_word_are_a_placeholder_too():
    text = 'name: "a{b}" layer { pooling_param { kernel_size: {k} } }'
    net = parse_text(text, values={"k": "3"})
    assert (net.name, net.layers[0].pooling_param.kernel_size) == ("a{b}", 3)
    with pytest.raises(FormatError, match=r"1:51: \{k\} is a placeholder"):
        parse_text(text)


def test_doubled_braces_without_a_placeholder_are_refused_as_before():
    with pytest.raises(FormatError, match=r"net:1:8: Expected identifier or number, got \{"):
        parse_text('layer {{ name: "a" }}', "net")

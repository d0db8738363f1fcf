"""Where `--end` ends a network, and what it keeps of it."""

from __future__ import annotations

import pytest

from prototxt import Net, UsageError, parse_text
from prototxt.passes.end_at import end_at
from tests.prototxt.passes.test_skip_layers import layer

NET = (
    layer("in", "", "data label", "Input")
    + layer("a", "data", "x")
    + layer("relu", "x", "x")
    + layer("b", "x", "y")
    + layer("c", "y label", "z")
    + layer("d", "x", "w")
)


def names(net: Net) -> list[str]:
    return [one.name for one in net.layers]


def test_what_only_later_layers_need_goes() -> None:
    ended, notes = end_at(parse_text(NET), ["y"])
    assert names(ended) == ["in", "a", "relu", "b"]
    assert ended.outputs == ("y",)
    assert ended.lines == [1, 2, 3, 4]
    assert notes == [
        "--end ended the network at 'y', and left out layer 'c' (Foreign), layer 'd' (Foreign)"
    ]


def test_a_blob_is_what_the_last_layer_in_place_leaves() -> None:
    ended, _ = end_at(parse_text(NET), ["x"])
    assert names(ended) == ["in", "a", "relu"]


def test_several_ends_keep_what_each_needs() -> None:
    ended, notes = end_at(parse_text(NET), ["w", "x", "w"])
    assert names(ended) == ["in", "a", "relu", "d"]
    assert ended.outputs == ("w", "x")
    assert notes[0].startswith("--end ended the network at 'w', 'x', and left out layer 'b'")


def test_the_very_end_leaves_out_nothing() -> None:
    ended, notes = end_at(parse_text(NET), ["z", "w"])
    assert names(ended) == names(parse_text(NET))
    assert notes == ["--end ended the network at 'z', 'w'; no layer is left out"]


def test_no_end_is_no_change() -> None:
    net = parse_text(NET)
    assert end_at(net, []) == (net, [])


def test_many_layers_are_counted() -> None:
    chain = "".join(layer(f"l{at}", f"b{at}", f"b{at + 1}") for at in range(9))
    _, notes = end_at(parse_text(layer("in", "", "b0") + chain), ["b1"])
    assert notes[0].endswith("layer 'l6' (Foreign) and 2 more")


def test_unknown_blobs_and_inputs_are_refused() -> None:
    net = parse_text(NET, "net.prototxt")
    with pytest.raises(UsageError) as caught:
        end_at(net, ["labels"])
    assert str(caught.value) == (
        "net.prototxt: no layer makes a blob 'labels' to end at\n  fix: did you mean 'label'?"
    )
    said = r"^net\.prototxt: 'data' is of layer 'in' \(Input\), which computes nothing"
    with pytest.raises(UsageError, match=said):
        end_at(net, ["w", "data"])

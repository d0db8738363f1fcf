"""Layers that `--skip` leaves out: who read their tops reads their bottoms."""

from __future__ import annotations

import pytest

from prototxt import Net, UnsupportedError, UsageError, parse_text
from prototxt.passes.skip_layers import skip_layers


def layer(name: str, bottoms: str, tops: str, kind: str = "Foreign") -> str:
    blobs = [f'bottom: "{blob}"' for blob in bottoms.split()]
    blobs += [f'top: "{blob}"' for blob in tops.split()]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(blobs)} }}\n'


def wiring(net: Net) -> list[str]:
    return [f"{' '.join(one.bottom)} > {' '.join(one.top)}" for one in net.layers]


def test_readers_of_the_top_read_the_bottom() -> None:
    net = parse_text(
        layer("a", "", "x") + layer("s", "x", "y") + layer("b", "y y z", "u") + layer("c", "y", "v")
    )
    rewired, notes = skip_layers(net, ["s"])
    assert wiring(rewired) == [" > x", "x x z > u", "x > v"]
    assert rewired.lines == [1, 3, 4]
    assert notes == [
        "--skip left out layer 's' (Foreign), as the identity: what read 'y' reads 'x'"
    ]
    assert wiring(net)[2] == "y y z > u"  # what was read is as it was


def test_a_layer_in_place_just_goes() -> None:
    net = parse_text(layer("a", "", "x") + layer("s", "x", "x") + layer("b", "x", "y"))
    rewired, _ = skip_layers(net, ["s"])
    assert wiring(rewired) == [" > x", "x > y"]


def test_what_is_written_over_the_top_is_not_the_bottom() -> None:
    """Only readers of the skipped layer's own value are rewired; the bottom stays as it was."""
    net = parse_text(
        layer("a", "", "x")
        + layer("s", "x", "y")
        + layer("relu", "y", "y")
        + layer("b", "y", "u")
        + layer("c", "x", "v")
    )
    rewired, _ = skip_layers(net, ["s"])
    assert wiring(rewired) == [" > x", "x > y", "y > u", "x > v"]


def test_several_names_and_layers_of_one_name() -> None:
    net = parse_text(
        layer("a", "", "x") + layer("s", "x", "y") + layer("s", "y", "z") + layer("t", "z", "w")
    )
    rewired, notes = skip_layers(net, ["s", "t", "s"])
    assert wiring(rewired) == [" > x"]
    assert notes[-1].endswith("(Foreign), as the identity: in place of 'w' comes out 'x'")
    assert len(notes) == 3


def test_a_bottom_that_is_written_over_before_the_top_is_read_is_refused() -> None:
    net = parse_text(
        layer("a", "", "x") + layer("s", "x", "y") + layer("relu", "x", "x") + layer("b", "y", "u"),
        "net.prototxt",
    )
    said = r"^net\.prototxt:2: layer 's' \(Foreign\): --skip: 'x' is written over before layer 'b'"
    with pytest.raises(UnsupportedError, match=said):
        skip_layers(net, ["s"])


def test_a_reader_that_writes_over_the_bottom_itself_is_none_of_that() -> None:
    net = parse_text(layer("a", "", "x") + layer("s", "x", "y") + layer("b", "y", "x"))
    rewired, _ = skip_layers(net, ["s"])
    assert wiring(rewired) == [" > x", "x > x"]


@pytest.mark.parametrize(
    ("bottoms", "tops", "said"),
    [
        ("x", "y z", "1 bottom and 2 tops"),
        ("x x", "y", "2 bottoms and 1 top"),
        ("", "y", "0 bottoms and 1 top"),
    ],
)
def test_other_numbers_of_blobs_are_refused(bottoms: str, tops: str, said: str) -> None:
    net = parse_text(layer("a", "", "x") + layer("s", bottoms, tops), "net.prototxt")
    with pytest.raises(UnsupportedError, match=f"--skip: {said}, wants one of each"):
        skip_layers(net, ["s"])


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    net = parse_text(layer("conv1", "", "x") + layer("norm_1", "x", "y"), "net.prototxt")
    with pytest.raises(UsageError) as caught:
        skip_layers(net, ["norm1"])
    assert str(caught.value) == (
        "net.prototxt: --skip: no layer is named 'norm1'\n  fix: did you mean 'norm_1'?"
    )
    with pytest.raises(UsageError, match=r"fix: there are 'conv1', 'norm_1'$"):
        skip_layers(net, ["zzz"])

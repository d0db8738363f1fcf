"""A definition's passes: each takes a network, and returns it rewritten with what to know of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from converter.loading.passes import PASSES, Request, rewrite
from prototxt import FormatError, Net, UnsupportedError, parse_text

DATA = 'layer { name: "data" type: "Input" top: "x" input_param { shape { dim: [1, 2] } } }\n'
FC = """layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 3 } }\n"""
TRAINED = """layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "label" top: "l"
  include { phase: TRAIN } }\n"""


def names(net: Net) -> list[str]:
    return [layer.name for layer in net.layers]


def test_nothing_is_done_to_a_plain_definition() -> None:
    net = parse_text(DATA + FC)
    rewritten, notes = rewrite(net, Request())
    assert rewritten == replace(net, phase="TEST")
    assert notes == []


def test_no_pass_changes_what_it_was_given() -> None:
    net = parse_text(FC + TRAINED)
    before = [layer.SerializeToString() for layer in net.layers]
    given = {"x": (1, 2), "label": (1, 3)}
    rewritten, _ = rewrite(net, Request("TRAIN", input_shapes=given, deploy=True))
    assert names(rewritten) == ["x", "fc"]
    assert [layer.SerializeToString() for layer in net.layers] == before


def test_notes_stand_in_the_order_of_the_passes() -> None:
    quantized = FC.replace('top: "y"', 'top: "y" quantization_param { bw_layer_in: 8 }')
    request = Request("TRAIN", values={"N": "3"}, input_shapes={"label": (1, 3)}, deploy=True)
    _, notes = rewrite(parse_text(DATA + quantized + TRAINED), request)
    assert [note.split()[0] for note in notes] == ["the", "--deploy", "1"]


def test_declared_inputs_of_losses_are_left_out_with_them() -> None:
    """What another order would not do: the declared label is a source of the deployable part."""
    request = Request("TRAIN", input_shapes={"label": (1, 3)}, deploy=True)
    rewritten, _ = rewrite(parse_text(DATA + FC + TRAINED), request)
    assert names(rewritten) == ["data", "fc"]


def test_an_error_names_the_file_once() -> None:
    both = FC.replace('top: "y"', 'top: "y" include { } exclude { }')
    with pytest.raises(FormatError, match=r"^net\.prototxt:1: layer 'fc' \(InnerProduct\): incl"):
        rewrite(parse_text(both, "net.prototxt"), Request())
    with pytest.raises(UnsupportedError, match=r"^net\.prototxt: --deploy: no layer is left"):
        rewrite(parse_text(DATA, "net.prototxt"), Request(deploy=True))


def test_every_pass_says_what_it_does() -> None:
    assert all(run.__doc__ for run in PASSES)

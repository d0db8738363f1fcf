"""A definition's passes: each takes a network, and returns it rewritten with what to know of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converter.loading.passes import PASSES, Request, rewrite
from prototxt import Blob, FormatError, Net, ShapeError, UnsupportedError, Weights, parse_text
from prototxt.binary.caffemodel import LayerWeights
from prototxt.file_state import FileState
from prototxt.schema import SHIPPED

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


# The place of each pass: what two neighbours do in this order, and not in the other one.


def test_a_network_is_saved_if_all_of_its_layers_have_a_phase() -> None:
    """remove_stamps, pick_layers: told by all layers of the file, also those that do not run."""
    stamped = DATA.replace('top: "x"', 'top: "x" phase: TRAIN') + FC.replace(
        'top: "y"', 'top: "y" phase: TRAIN'
    )
    for more, phases in (("", [False, False]), (TRAINED, [True, True])):
        file = FileState(Path("net.caffemodel"), "binary", (), 0)
        net = replace(parse_text(stamped + more), file=file)
        rewritten, _ = rewrite(net, Request())
        assert [layer.HasField("phase") for layer in rewritten.layers] == phases


def test_only_layers_that_run_are_skipped() -> None:
    """pick_layers, skip: the other phase's layer of that name has two bottoms."""
    two = FC.replace('bottom: "x"', 'bottom: "x" bottom: "x" include { phase: TRAIN }')
    rewritten, notes = rewrite(parse_text(DATA + FC + two), Request(skip=["fc"]))
    assert names(rewritten) == ["data"]
    assert len(notes) == 1


def test_a_layer_beyond_the_end_may_be_skipped() -> None:
    """skip, end: its name is there still."""
    last = FC.replace('"y"', '"z"').replace('"x"', '"y"').replace('"fc"', '"last"')
    rewritten, _ = rewrite(parse_text(DATA + FC + last), Request(skip=["last"], end=["y"]))
    assert names(rewritten) == ["data", "fc"]


def test_what_is_read_beyond_the_end_need_not_be_fed() -> None:
    """end, feed: the second top has no reader any more."""
    foreign = 'layer { name: "f" type: "Foreign" bottom: "x" top: "u" top: "v" }\n'
    body = FC.replace('"x"', '"u"') + FC.replace('"y"', '"w"').replace('"x"', '"v"')
    request = Request(end=["y"], input_shapes={"u": (1, 2)})
    rewritten, _ = rewrite(parse_text(DATA + foreign + body), request)
    assert [list(layer.top) for layer in rewritten.layers] == [["u"], ["y"]]


def test_an_input_that_only_a_fed_layer_read_is_none() -> None:
    """feed, declare_inputs: nobody reads it any more, so it is not declared and left out again."""
    foreign = 'layer { name: "f" type: "Foreign" bottom: "data" top: "x" }\n'
    net = replace(parse_text(foreign + FC), shapeless=["data"])
    rewritten, notes = rewrite(net, Request(input_shapes={"x": (1, 2)}))
    assert names(rewritten) == ["f", "fc"]
    assert notes == [
        "the input 'x', of the shape that is given, is in the place of layer 'f' (Foreign)"
    ]


def test_a_declared_input_that_goes_is_said_to() -> None:
    """declare_inputs, keep_deployable: it goes as any other layer that brings data."""
    request = Request("TRAIN", input_shapes={"label": (1, 3)}, deploy=True)
    _, notes = rewrite(parse_text(DATA + FC + TRAINED), request)
    assert notes == ["--deploy left out layer 'label' (Input), layer 'l' (EuclideanLoss)"]


def test_a_crop_that_goes_needs_no_offset() -> None:
    """keep_deployable, align: no map leads from the labels to the network."""
    crop = 'layer { name: "crop" type: "AutoCrop" bottom: "label" bottom: "mask" top: "cut" }\n'
    loss = TRAINED.replace('"label"', '"cut"').replace("include { phase: TRAIN }", "")
    data = DATA.replace('top: "x"', 'top: "x" top: "label" top: "mask"')
    net = parse_text(data + FC + crop + loss)
    rewritten, _ = rewrite(net, Request(deploy=True))
    assert names(rewritten) == ["data", "fc"]
    with pytest.raises(ShapeError, match="no common origin"):
        rewrite(net, Request())


def test_what_was_read_is_noted_before_what_was_done() -> None:
    """note_schemas, note_unknown, note_values; align, note_zooms: this only orders the notes."""
    net = parse_text(
        DATA.replace("[1, 2]", "[1, 1, 9, 9]")
        + 'layer { name: "conv" type: "Convolution" bottom: "x" top: "c" '
        + "convolution_param { num_output: 1 kernel_size: 3 } }\n"
        + 'layer { name: "crop" type: "Crop" bottom: "x" bottom: "c" top: "cut" }\n'
        + 'layer { name: "zoom" type: "Interp" bottom: "c" top: "z" '
        + "interp_param { zoom_factor: 2 } }\n"
    )
    net = replace(net, unknown=["a field"], schema=SHIPPED.noting("a schema"))
    _, notes = rewrite(net, Request(values={"N": "3"}))
    assert [note[:11] for note in notes] == [
        "a schema",
        "passed over",
        "the definit",
        "no Crop has",
        "1 Interp la",
    ]


def test_a_scale_that_is_merged_is_no_quantized_layer() -> None:
    """merge, note_quantization: its numbers are the BatchNorm's."""
    quantized = "quantization_param { bw_layer_in: 8 }"
    net = parse_text(
        DATA
        + f'layer {{ name: "bn" type: "BatchNorm" bottom: "x" top: "b" {quantized} }}\n'
        + f'layer {{ name: "scale" type: "Scale" bottom: "b" top: "s" {quantized} }}\n'
    )
    blobs: list[Blob | None] = [Blob(np.ones(2, np.float32), (2,))] * 5
    weights = Weights([LayerWeights("bn", "BatchNorm", blobs)], "net.caffemodel", "V2")
    rewritten, notes = rewrite(net, Request(weights=[weights]))
    assert names(rewritten) == ["data", "bn"]
    assert notes[0].startswith("1 layers from 'bn' on have a quantization_param")


def parsed(text: str) -> Net:
    """Parse a definition whose faults are listed, as `load` reads it."""
    return parse_text(text, "net.prototxt", strict=False)


def test_what_deploy_leaves_out_is_not_judged_for_itself() -> None:
    """keep_deployable, pass_over: a loss that goes is said to, not its field to be of training."""
    loss = TRAINED.replace("include { phase: TRAIN }", "loss_param { odd: 1 }")
    data = DATA.replace('top: "x"', 'top: "x" top: "label"')
    rewritten, notes = rewrite(parsed(data + FC + loss), Request(deploy=True))
    assert names(rewritten) == ["data", "fc"]
    assert "passed over, left out: net.prototxt:5:16: LossParameter.odd" in notes
    assert not any("of training alone" in note for note in notes)


def test_what_only_training_needs_is_not_refused() -> None:
    """pass_over, refuse_faults: a learning rate's field stops no testing."""
    net = parsed(DATA + FC.replace('top: "y"', 'top: "y" param { odd: 1 }'))
    rewritten, _ = rewrite(net, Request())
    assert names(rewritten) == ["data", "fc"]
    with pytest.raises(FormatError, match="ParamSpec has no field 'odd'"):
        rewrite(net, Request("TRAIN"))


def test_a_field_that_nobody_knows_is_refused_before_others_are_read() -> None:
    """refuse_faults, align: an offset may be what did not read."""
    net = parsed(
        DATA.replace('top: "x"', 'top: "x" top: "z"')
        + 'layer { name: "crop" type: "AutoCrop" bottom: "x" bottom: "z" top: "c" odd: 1 }\n'
    )
    with pytest.raises(FormatError, match="LayerParameter has no field 'odd'"):
        rewrite(net, Request())


def test_unknown_fields_of_what_is_cut_stop_nothing() -> None:
    """End and feed, refuse_faults: what a layer sets that is not there matters to nobody."""
    odd = 'layer { name: "odd" type: "Odd" bottom: "y" top: "o" odd_param { size: 3 } }\n'
    more = FC.replace('"x"', '"o"').replace('"y"', '"w"')
    net = parsed(DATA + FC + odd + more)
    ended, _ = rewrite(net, Request(end=["y"]))
    assert names(ended) == ["data", "fc"]
    skipped, _ = rewrite(net, Request(skip=["odd"]))
    assert names(skipped) == ["data", "fc", "fc"]
    fed, _ = rewrite(net, Request(input_shapes={"o": (1, 3)}))
    assert names(fed) == ["odd", "fc"]
    with pytest.raises(FormatError, match="has no field 'odd_param'"):
        rewrite(net, Request())

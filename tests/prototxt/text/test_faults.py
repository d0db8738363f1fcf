"""What does not read of a text is left out field by field, and each fault knows its place."""

from __future__ import annotations

import pytest

from prototxt import FormatError, Net, parse_text

TEXT = """input: "x" odd: 3
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: four kernel_size: 3
    weight_filler { type: "xavier" alpha: 2 } pad: ${PAD} kernel_size_h: 3 } }
layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { pool: MEDIAN stride: 2 } }
"""


def faults(text: str) -> Net:
    return parse_text(text, "net.prototxt", strict=False)


def test_every_fault_is_found_and_the_rest_is_read():
    net = faults(TEXT)
    assert [(one.kind, one.place, one.path) for one in net.faults] == [
        ("placeholder", "net.prototxt:4:52", "convolution_param.pad"),
        ("field", "net.prototxt:1:12", "odd"),
        ("value", "net.prototxt:3:35", "convolution_param.num_output"),
        ("field", "net.prototxt:4:36", "convolution_param.weight_filler.alpha"),
        ("field", "net.prototxt:4:59", "convolution_param.kernel_size_h"),
        ("value", "net.prototxt:5:78", "pooling_param.pool"),
    ]
    conv, pool = net.layers
    assert list(conv.convolution_param.kernel_size) == [3]
    assert conv.convolution_param.weight_filler.type == "xavier"
    assert not conv.convolution_param.HasField("num_output")
    assert not conv.convolution_param.pad
    assert pool.pooling_param.stride == 2
    assert list(net.header.input) == ["x"]


def test_a_fault_knows_its_layer_and_the_messages_around_it():
    net = faults(TEXT)
    mine = [net.faults_of(index) for index in range(2)]
    assert [[one.what for one in found] for found in mine] == [
        ["${PAD}", "", "FillerParameter.alpha", "ConvolutionParameter.kernel_size_h"],
        [""],
    ]
    alpha = mine[0][2]
    assert alpha.messages == ("LayerParameter", "ConvolutionParameter", "FillerParameter")
    assert (alpha.layer, alpha.type, alpha.line) == ("c", "Convolution", 2)
    odd = net.faults[1]
    assert (odd.messages, odd.what, odd.layer) == ((), "NetParameter.odd", "")


def test_a_strict_reader_refuses_the_first_placeholder_and_then_what_is_first():
    with pytest.raises(FormatError, match=r"net.prototxt:4:52: \$\{PAD\} is a placeholder"):
        parse_text(TEXT, "net.prototxt")
    filled = TEXT.replace("${PAD}", "1")
    with pytest.raises(FormatError, match=r"net.prototxt:1:12: NetParameter has no field 'odd'"):
        parse_text(filled, "net.prototxt")
    with pytest.raises(FormatError, match=r"net.prototxt:3:35: four where a whole number belongs"):
        parse_text(filled, "net.prototxt", allow_unknown=True)


def test_what_the_caller_allows_is_no_fault():
    net = parse_text(TEXT, "net.prototxt", allow_unknown=True, strict=False)
    assert [one.kind for one in net.faults] == ["placeholder", "value", "value"]
    assert net.unknown == [
        "net.prototxt:1:12: NetParameter.odd",
        "net.prototxt:4:36: FillerParameter.alpha",
        "net.prototxt:4:59: ConvolutionParameter.kernel_size_h",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layer { name: 'a' odd: 1", "net.prototxt:1:25: the file ends inside the '{' of line 1"),
        ("layer { name 'a' }", "net.prototxt:1:"),
        ("layer { name: 'a' odd: 1 } }", "net.prototxt:1:28: '}' where a field's name belongs"),
        ("// no\nlayer { odd: ${A} }", "net.prototxt:1:1: a comment that begins with //"),
        ("layer { name: 'a' ${B}c }", "net.prototxt:1:"),
    ],
)
def test_what_makes_a_text_none_is_refused_all_the_same(text, said):
    with pytest.raises(FormatError) as caught:
        faults(text)
    assert str(caught.value).startswith(said)


def test_placeholders_wherever_they_stand():
    text = """name: ${NAME}
    ${LAYERS}
    layer { name: "a" type: "Power" power_param { power: 2${A} scale: $B$ shift: {C} } ${D} }
    layer { name: "b" type: "Concat" concat_param { axis: [${E}] } top: "${IN_A_STRING}" }"""
    net = faults(text)
    assert [(one.what, one.layer, one.path) for one in net.faults] == [
        ("${NAME}", "", "name"),
        ("${LAYERS}", "", ""),
        ("${A}", "a", "power_param.power"),
        ("$B$", "a", "power_param.scale"),
        ("{C}", "a", "power_param.shift"),
        ("${D}", "a", ""),
        ("${E}", "b", "concat_param.axis"),
    ]
    assert [bool(one.messages) for one in net.faults] == [False, False, *[True] * 5]


def test_a_field_of_other_layers_is_called_that():
    text = """layer { name: "d" type: "MemoryData" annotated_data_param { } }
    layer { name: "r" type: "ReLU" multibox_loss_param { num_classes: 7 } }"""
    first, second = faults(text).faults
    assert first.problem.startswith(
        "a layer of type MemoryData has no field 'annotated_data_param'"
    )
    assert "ssd" in first.problem
    assert "it is for AnnotatedData" in first.problem
    assert second.problem.startswith("a layer of type ReLU has no field 'multibox_loss_param'")
    assert second.problem.endswith("it is for MultiBoxFocalLoss, MultiBoxLoss")


def test_a_type_that_v1_lacks():
    net = faults("layers { name: 'c' type: FROBNICATION convolution_param { num_output: 3 } }")
    (fault,) = net.faults
    assert (fault.path, fault.type) == ("type", "FROBNICATION")
    assert fault.problem == "LayerType has no value FROBNICATION"
    assert net.layers[0].convolution_param.num_output == 3
    assert net.faults_of(0) == [fault]

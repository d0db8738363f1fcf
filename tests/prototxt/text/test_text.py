"""Text: what Caffe reads is read, what it refuses is refused, and the error names the place."""

from __future__ import annotations

import random
import struct
import time
from contextlib import suppress

import numpy as np
import pytest

from prototxt import CaffeError, FormatError, format_text, parse_text, read_net
from prototxt.schema import dialect_of


def layer(body: str):
    (only,) = parse_text(f"layer {{ {body} }}").layers
    return only


def refused(text: str, **options) -> str:
    with pytest.raises(FormatError) as caught:
        parse_text(text, "net.prototxt", **options)
    return str(caught.value)


# ---- Against recorded runs of Caffe -----------------------------------------------------------


def test_every_case_of_caffe_is_read_or_refused_as_caffes_parser_did(layer_cases):
    seen = refusals = 0
    for path in sorted(layer_cases.glob("*/*/net.prototxt")):
        said = path.with_name("error.txt")
        seen += 1
        if said.exists() and "Error parsing text-format" in said.read_text():
            refusals += 1
            with pytest.raises(CaffeError, match=r"net\.prototxt:\d+:\d+: "):
                parse_text(path.read_text(), str(path))
        else:
            parse_text(path.read_text(), str(path))
    assert (seen, refusals) == (748, 9)


@pytest.mark.parametrize("depth", [50, 101])
def test_released_sknet_is_read_whole(shared, depth):
    path = shared / "reference" / "sknet" / f"sknet{depth}.prototxt"
    net = parse_text(path.read_text(), str(path))
    starts = [n for n, line in enumerate(path.read_text().splitlines(), 1) if line[:5] == "layer"]
    assert net.lines == starts
    assert len(net.layers) == {50: 450, 101: 909}[depth]
    for one in net.layers:
        assert dialect_of(one) == ("sknet" if one.type == "CuDNNBatchNorm" else "bvlc")
    assert parse_text(format_text(net)).layers == net.layers


def test_reading_takes_time_in_proportion_to_the_length(shared):
    text = (shared / "reference" / "sknet" / "sknet50.prototxt").read_text()
    layers = text[text.index("layer {") :]

    def seconds(times):
        start = time.process_time()
        parse_text(layers * times)
        return time.process_time() - start

    seconds(1)
    once, four = (min(seconds(times) for _ in range(3)) for times in (1, 4))
    assert four < 8 * once


# ---- Literals: the same with every protobuf release -------------------------------------------

POWER = [
    ("1", 1), ("1.", 1), (".5", 0.5), ("-.5", -0.5), ("1e-3", 1e-3), ("1E+3", 1e3), ("0", 0),
    ("1.5f", 1.5), ("1.5F", 1.5), ("1f", 1), ("- 1", -1), ("-\n\t1", -1), ("- 2.5F", -2.5),
    ("inf", np.inf), ("-inf", -np.inf), ("- inf", -np.inf), ("Infinity", np.inf),
    ("1e400", np.inf), ("0.1", float(np.float32(0.1))), ("5e-05", float(np.float32(5e-5))),
    ("100000000000", 1e11),
]  # fmt: skip


@pytest.mark.parametrize(("written", "value"), POWER)
def test_float_literals(written, value):
    assert layer(f"power_param {{ power: {written} }}").power_param.power == np.float32(value)


@pytest.mark.parametrize("written", ["nan", "NaN", "-nan", "- nan"])
def test_nan_literals(written):
    assert np.isnan(layer(f"power_param {{ power: {written} }}").power_param.power)


OCTAL = (
    "an octal number in a float field, which Caffe refuses\n  fix: write it without the leading 0"
)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("0x10", "0x10 where a number belongs"),
        ("010", OCTAL),
        ("00", OCTAL),
        ("08", OCTAL),
        ("-010", OCTAL),
        ("010.5", OCTAL),
        ("1_000", "'1_000' is no number that Caffe reads"),
        ("+1", "'+1' is no number that Caffe reads"),
        ("-+1", "'-+1' is no number that Caffe reads"),
        ("1.2.3", "1.2.3 where a number belongs"),
        ("1e", "1e where a number belongs"),
        ('"1"', '"1" where a number belongs'),
        ("1power: 2", "1power where a number belongs"),
    ],
)
def test_refused_floats(written, said):
    text = f"layer {{ power_param {{ power: {written} }} }}"
    assert refused(text) == f"net.prototxt:1:30: {said}"


@pytest.mark.parametrize(
    ("written", "value"),
    [("8", 8), ("010", 8), ("0x1F", 31), ("0", 0), ("00", 0), ("4294967295", 2**32 - 1)],
)
def test_whole_numbers(written, value):
    one = layer(f"inner_product_param {{ num_output: {written} }}")
    assert one.inner_product_param.num_output == value


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("08", "08 where a whole number belongs"),
        ("1.0", "1.0 where a whole number belongs"),
        ("-1", "-1 is out of its field's range"),
        ("4294967296", "4294967296 is out of its field's range"),
        ("0b1", "'0b1' is no number that Caffe reads"),
        ("0o17", "'0o17' is no number that Caffe reads"),
        ("1_0", "'1_0' is no number that Caffe reads"),
        (
            "cls3x",
            "cls3x where a whole number belongs\n"
            "  fix: if it is a template's placeholder, give its value with --set cls3x=...",
        ),
    ],
)
def test_refused_whole_numbers(written, said):
    text = f"layer {{ inner_product_param {{ num_output: {written} }} }}"
    assert refused(text) == f"net.prototxt:1:43: {said}"


def test_an_octal_number_is_told_by_its_own_message():
    one = layer("inner_product_param { weight_filler { value: 1 } num_output: 010 }")
    assert one.inner_product_param.num_output == 8


def test_signed_numbers_may_stand_off_their_sign_and_places_hold():
    assert layer("inner_product_param { axis: - 1 }").inner_product_param.axis == -1
    assert layer("loss_weight: [- 1, -2, 3]").loss_weight == [-1, -2, 3]
    said = refused('layer { name: "a - b" loss_weight: -  1 nam: "x" }')
    assert said.startswith("net.prototxt:1:41: LayerParameter has no field 'nam'")


@pytest.mark.parametrize("written", ["true", "True", "t", "1"])
def test_true(written):
    assert layer(f"scale_param {{ bias_term: {written} }}").scale_param.bias_term is True


@pytest.mark.parametrize("written", ["false", "False", "f", "0"])
def test_false(written):
    one = layer(f"convolution_param {{ bias_term: {written} }}")
    assert one.convolution_param.bias_term is False


@pytest.mark.parametrize("written", ["TRUE", "yes", "2", '"true"'])
def test_refused_bools(written):
    said = refused(f"layer {{ scale_param {{ bias_term: {written} }} }}")
    assert said == 'net.prototxt:1:34: Expected "true" or "false"'


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('"TEST"', '"TEST" is a string, wants a bare Phase'),
        ("TES", "Phase has no value TES, wants TRAIN, TEST\n  fix: did you mean 'TEST'?"),
        ("2", "Phase has no value 2, wants TRAIN, TEST"),
    ],
)
def test_refused_enums(written, said):
    assert refused(f"layer {{ phase: {written} }}") == f"net.prototxt:1:16: {said}"


def test_enum_by_number():
    assert layer("phase: 0").phase == layer("phase: TRAIN").phase != layer("phase: TEST").phase


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"a"', "a"),
        ("'a'", "a"),
        ('"a" \'b\'\n"c"', "abc"),
        ('"a" # "x"\n "b"', "ab"),
        (r'"\x41\101\n"', "AA\n"),
        ("'it\"s'", 'it"s'),
        (r"'it\'s'", "it's"),
        (r'"\u00e9"', "é"),
        ('"é { } # <"', "é { } # <"),
        ('"//"', "//"),
        ('"${HOME}/x"', "${HOME}/x"),
    ],
)
def test_strings(written, value):
    assert layer(f'name: {written} type: "ReLU"').name == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('layer { name: "a\n" }', "1:15: a string that does not end on its line"),
        (r'layer { name: "\q" }', r"1:16: '\\q' is no escape that Caffe reads"),
        (r'layer { name: "\400" }', r"1:16: '\\4' is no escape that Caffe reads"),
        ("layer { name: abc }", "1:15: Expected string but found: 'abc'"),
    ],
)
def test_refused_strings(text, said):
    assert refused(text) == f"net.prototxt:{said}"


# ---- Structure --------------------------------------------------------------------------------


def test_messages_lists_and_separators():
    net = parse_text(
        'name: "n"; input: ["a", "b"]; # layer { name: "none" }\n'
        'layer: [{ name: "x" type: "ReLU" }, < name: "y", type: "ReLU"; > ]\n'
        'layer: { name: "z" type: "Pooling" include: [{ phase: TEST }, < >] pooling_param: <> }'
    )
    assert [one.name for one in net.layers] == ["x", "y", "z"]
    assert net.lines == [2, 2, 3]
    assert list(net.header.input) == ["a", "b"]
    assert net.name == "n"
    assert len(net.layers[2].include) == 2
    assert net.layers[2].HasField("pooling_param")
    assert net.place(2) == "text:3: layer 'z' (Pooling)"


def test_generations_have_their_messages():
    net = parse_text('layers { name: "c" type: CONVOLUTION layer { type: "conv" } }')
    assert net.layers[0].DESCRIPTOR.name == "V1LayerParameter"
    assert net.place(0) == "text:1: layer 'c' (CONVOLUTION)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('layer { name: "a" ', "1:19: the file ends inside the '{' of line 1"),
        ('layer {\n name: "a" >', "2:12: '>' closes the '{' of line 1"),
        ("layer { } }", "1:11: '}' where a field's name belongs"),
        ('layer "a"', "1:7: '\"a\"' after 'layer', wants ':' or '{'"),
        ("name:", "1:6: the end of the file where a value belongs"),
        ('input: ["a" "b" 3]', "1:17: '3' in a list, wants ',' or ']'"),
        ('name: "a" name: "b"', "1:17: 'name' is given twice, NetParameter takes it once"),
        ("layer { a: 1;; }", "1:9: LayerParameter has no field 'a'"),
        ("layer { top: [] ;; }", "1:18: Expected identifier or number, got ;"),
        (
            "layer { relu_param {} relu_param {} }",
            "1:34: 'relu_param' is given twice, LayerParameter takes it once",
        ),
        ("layer { clip_param { min: 1 } }", "1:9: clip_param.max is missing, it is required"),
        ("nam: 3", "1:1: NetParameter has no field 'nam'\n  fix: did you mean 'name'?"),
        (
            'layer {\n  type: "Pooling"\n  pooling_param { kernal_size: 3 } }',
            "3:19: PoolingParameter has no field 'kernal_size'\n  fix: did you mean 'kernel_size'?",
        ),
        (
            'layers { type: "Convolution" }',
            '1:16: "Convolution" is a string, wants a bare LayerType\n'
            "  fix: a type in quotes is that of a `layer`: write layer, not layers",
        ),
        (
            "layers { type: IMAGE_DAT }",
            "1:16: LayerType has no value IMAGE_DAT\n  fix: did you mean 'IMAGE_DATA'?",
        ),
        (
            "layer { // c\n}",
            "1:9: a comment that begins with //\n  fix: Caffe's comments begin with #",
        ),
        (
            "\ufefflayer {}",
            "1:1: the text begins with a byte order mark\n  fix: save it as plain UTF-8",
        ),
        (
            "layer { inner_product_param { num_output: ${N} } }",
            "1:43: ${N} is a placeholder: this is a template, not a definition\n"
            "  fix: give its value with --set N=...",
        ),
        (
            "input_dim: ${A-B}",
            "1:12: ${A is a placeholder: this is a template, not a definition\n"
            "  fix: fill in the template's values",
        ),
        (
            "input_dim: $TARGET_WIDTH$",
            "1:12: $TARGET_WIDTH$ is a placeholder: this is a template, not a definition\n"
            "  fix: give its value with --set TARGET_WIDTH=...",
        ),
        ("layer { " + "a { " * 100, "1:407: more than 100 nested messages"),
    ],
)
def test_broken_text(text, said):
    assert refused(text) == f"net.prototxt:{said}"


def test_a_comment_does_not_continue_a_string():
    net = parse_text('name: "a"\n# param: "{\'x\': 1}"\nlayer { type: "ReLU"\n# "b"\n name: "c" }')
    assert (net.name, net.layers[0].type) == ("a", "ReLU")


def test_a_comment_is_no_part_of_a_type():
    text = 'layer { type: "MatWrite" # bottom: "x"\n mat_write_param { prefix: "#a" } }'
    assert parse_text(text).layers[0].mat_write_param.prefix == "#a"


def test_a_comment_hides_quotes_braces_and_placeholders():
    net = parse_text('name: "a"\n# "x\': { [ } $X$ // \nlayer { # } "\n type: "ReLU" # "\n}')
    assert [one.type for one in net.layers] == ["ReLU"]


def test_damaged_text_gives_a_result_or_our_error(layer_cases):
    rng = random.Random(1701)
    texts = [path.read_text() for path in sorted(layer_cases.glob("*/*/net.prototxt"))]
    pieces = [*"{}<>[]:;,\"'#\\$-+/.\n 08xf", "0x1", "\0", "é", "\udc80", "layer", "\\x", "\\N{x}"]
    read = 0
    for _ in range(1500):
        text = rng.choice(texts)
        at = rng.randrange(len(text))
        cut = rng.choice([0, 0, 1, 3, len(text)])
        text = text[:at] + (rng.choice(pieces) if not cut else "") + text[at + cut :]
        for options in ({}, {"allow_unknown": True}, {"strict": False}):
            with suppress(CaffeError):
                parse_text(text, **options)
                read += 1
    assert 450 < read < 4050


# ---- Dialects ---------------------------------------------------------------------------------


def test_the_type_settles_whose_message_a_shared_name_is():
    ours = layer('type: "CuDNNBatchNorm" batch_norm_param { momentum: 0.9 frozen: true }')
    assert dialect_of(ours) == "sknet"
    assert ours.DESCRIPTOR.fields_by_name["batch_norm_param"].number == 200
    bvlc = layer('type: "BatchNorm" batch_norm_param { moving_average_fraction: 0.9 }')
    assert dialect_of(bvlc) == "bvlc"
    assert bvlc.DESCRIPTOR.fields_by_name["batch_norm_param"].number == 139
    late = layer('batch_norm_param { scale_filler { type: "x" } frozen: 1 } type: "CuDNNBatchNorm"')
    assert dialect_of(late) == "sknet"
    genet = layer('type: "CuDNNBatchNorm" cudnn_batch_norm_param { momentum: 0.9 }')
    assert dialect_of(genet) == "genet"


def test_a_field_of_the_other_reading_is_unknown():
    text = 'layer { type: "CuDNNBatchNorm" batch_norm_param { use_global_stats: true } }'
    assert refused(text) == (
        "net.prototxt:1:51: BatchNormParameter has no field 'use_global_stats' beside the others "
        "here, but in bvlc\n"
        "  fix: it is of layer '' (CuDNNBatchNorm); --allow-unknown passes over it, and reports "
        "it; `caffeport check` lists all that is unknown"
    )


def test_allow_unknown_passes_over_and_lists():
    text = (
        'foo: 3\nlayer { name: "a" bar < x: "}" y: [1, 2] > type: "ReLU"\n'
        "  relu_param { baz: [{ q: 1 }], negative_slope: 0.5 } }"
    )
    net = parse_text(text, "net.prototxt", allow_unknown=True)
    assert net.layers[0].relu_param.negative_slope == 0.5
    assert (net.layers[0].name, net.layers[0].type) == ("a", "ReLU")
    assert net.unknown == [
        "net.prototxt:1:1: NetParameter.foo",
        "net.prototxt:2:19: LayerParameter.bar",
        "net.prototxt:3:16: ReLUParameter.baz",
    ]
    assert "out of its field's range" in refused(
        "layer { a: 1 crop_param { offset: -1 } }", allow_unknown=True
    )


# ---- Writing ----------------------------------------------------------------------------------


def test_written_text():
    net = parse_text('name: "n" layer { type: "X" name: "a" loss_weight: 0.1 prelu_param {} }')
    assert format_text(net) == (
        'name: "n"\n'
        "layer {\n"
        '  name: "a"\n'
        '  type: "X"\n'
        "  loss_weight: 0.1\n"
        "  prelu_param {\n"
        "  }\n"
        "}\n"
    )


def test_written_floats_come_back_bit_for_bit():
    rng = np.random.default_rng(1701)
    bits = rng.integers(0, 2**32, 2000, dtype=np.uint32)
    floats = bits.view(np.float32)
    floats = floats[np.isfinite(floats)]
    net = parse_text("layer { }")
    net.layers[0].loss_weight.extend(float(value) for value in floats)
    back = parse_text(format_text(net)).layers[0].loss_weight
    assert np.array_equal(np.array(back, np.float32).view(np.uint32), floats.view(np.uint32))


@pytest.mark.parametrize("name", ["é", 'q"uote', "tab\t", "back\\slash", "line\nbreak", "\x01"])
def test_written_strings_come_back(name):
    net = parse_text("layer { }")
    net.layers[0].name = name
    text = format_text(net)
    assert text.isascii()
    assert parse_text(text).layers[0].name == name


# ---- Files ------------------------------------------------------------------------------------


def test_bytes_that_are_not_utf_8_may_stand_in_comments_only(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_bytes(
        '# caf\u00e9\nlayer { type: "ReLU" name: "a" # \u00e9\n bottom: "b" }'.encode("latin-1")
    )
    assert read_net(path).layers[0].name == "a"
    path.write_bytes('layer {\n name: "c#f\u00e9" }'.encode("latin-1"))
    with pytest.raises(FormatError) as caught:
        read_net(path)
    said = f"{path}:2:12: a byte that is not UTF-8\n  fix: save it as UTF-8"
    assert str(caught.value) == said
    assert refused("layer { phase: T\udcffST }").startswith("net.prototxt:1:17: a byte that is not")


def test_bytes_given_as_text_say_so(tmp_path):
    with pytest.raises(FormatError) as caught:
        parse_text(struct.pack("<6f", *range(6)).decode("latin-1"), "net.prototxt")
    assert str(caught.value) == "net.prototxt:1:1: '\\x00' where a field's name belongs"

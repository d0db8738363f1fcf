"""Forks' own schemas: given, found beside the files, for text, for bytes and for solvers."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from prototxt import FormatError, UnsupportedError, UsageError, parse_text, read_net, read_solver
from prototxt.binary.caffemodel import parse_binary
from prototxt.schema import SHIPPED, Schema, dialect_of
from prototxt.schema.protos import find, with_protos
from prototxt.schema.recognize import certain
from tests.support.forks import write_fork

ZOOM = "message ZoomParameter { optional uint32 factor = 1 [default = 2]; }"
ZOOMS = "optional ZoomParameter zoom_param = 300;"


@pytest.fixture
def zoom(tmp_path: Path) -> Path:
    """Return a fork's schema: a layer of its own, and a convolution with a field of its own."""
    return write_fork(
        tmp_path / "zoomnet" / "src" / "caffe" / "proto" / "caffe.proto",
        (
            "optional bool force_nd_im2col",
            "optional float gain = 90; optional bool force_nd_im2col",
        ),
        fields=ZOOMS,
        more=ZOOM,
    )


# ---- Given ------------------------------------------------------------------------------------


def test_a_given_schema_reads_text(zoom: Path) -> None:
    text = (
        'layer { type: "Zoom" zoom_param { factor: 3 } }'
        'layer { type: "Convolution" convolution_param { num_output: 2 gain: 0.5 } }'
        'layer { type: "ReLU" }'
    )
    with pytest.raises(FormatError, match="LayerParameter has no field 'zoom_param'"):
        parse_text(text)
    schema = SHIPPED.with_proto(zoom)
    net = parse_text(text, schema=schema)
    assert [dialect_of(layer) for layer in net.layers] == ["zoomnet", "zoomnet", "bvlc"]
    assert net.layers[0].zoom_param.factor == 3
    assert net.layers[1].convolution_param.gain == 0.5
    assert [str(group) for group in net.dialects] == ["zoomnet (Zoom, convolution_param.gain)"]
    assert certain(net.dialects, schema) == {"zoomnet"}
    assert schema.notes == [f"read by {zoom}, as given: dialect 'zoomnet'"]


@pytest.mark.parametrize("message", ["NormalizeParameter", "OwnNormParameter"])
def test_a_given_schema_comes_before_the_shipped_ones(tmp_path: Path, message: str) -> None:
    """SSD's Normalize has `eps` 1e-10, at the number 4; this one's is a string.

    By its message's name a schema claims a type, or does not.
    """
    own = write_fork(
        tmp_path / "mine.proto",
        fields=f"optional {message} norm_param = 250;",
        more=f'message {message} {{ optional string eps = 4 [default = "no"]; }}',
    )
    text = 'layer { type: "Normalize" norm_param { %s } }'
    assert dialect_of(parse_text(text % "eps: 1").layers[0]) == "ssd"
    schema = SHIPPED.with_proto(own)
    (layer,) = parse_text(text % 'eps: "x"', schema=schema).layers
    assert (dialect_of(layer), layer.norm_param.eps) == ("mine", "x")
    (other,) = parse_text(text % "eps: 1", schema=schema).layers  # a number: not this fork's
    assert dialect_of(other) == "ssd"
    (named,) = parse_text(text % 'eps: "x"', schema=schema, dialect="mine").layers
    assert dialect_of(named) == "mine"


def test_a_list_is_no_field_of_what_reads_one_value(tmp_path: Path) -> None:
    own = write_fork(
        tmp_path / "windows.proto",
        ("optional uint32 kernel_size = 2;", "repeated uint32 kernel_size = 2;"),
    )
    schema = SHIPPED.with_proto(own)
    text = 'layer { type: "Pooling" pooling_param { kernel_size: 2 kernel_size: 3 } }'
    (layer,) = parse_text(text, schema=schema).layers
    assert [*layer.pooling_param.kernel_size] == [2, 3]
    assert [*map(str, schema.extra_fields(layer))] == ["pooling_param.kernel_size"]


def test_several_can_be_given(zoom: Path, tmp_path: Path) -> None:
    other = write_fork(
        tmp_path / "other.proto",
        fields="optional WarpParameter warp_param = 300;",
        more="message WarpParameter { optional float by = 1; }",
    )
    schema = with_protos(SHIPPED, [zoom, other])
    text = 'layer { type: "Zoom" zoom_param {} } layer { type: "Warp" warp_param { by: 1 } }'
    net = parse_text(text, schema=schema)
    assert [dialect_of(layer) for layer in net.layers] == ["zoomnet", "other"]
    assert schema.names[:3] == ("bvlc", "zoomnet", "other")
    assert with_protos(schema, [other]) is schema


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    first = write_fork(
        tmp_path / "hed" / "src" / "caffe" / "proto" / "caffe.proto", fields=ZOOMS, more=ZOOM
    )
    second = write_fork(tmp_path / "b" / "hed.proto", fields=ZOOMS, more=ZOOM)
    assert list(with_protos(SHIPPED, [first, second]).given) == ["hed_2", "hed_3"]  # fmt: skip


def test_a_given_schema_can_be_copied(zoom: Path) -> None:
    schema = with_protos(SHIPPED, zoom)
    (layer,) = parse_text('layer { type: "Zoom" zoom_param { factor: 9 } }', schema=schema).layers
    assert pickle.loads(pickle.dumps(layer)) == layer
    again = pickle.loads(pickle.dumps(schema))
    assert list(again.given) == ["zoomnet"]
    assert again.notes == schema.notes
    assert copy.deepcopy(schema) is schema


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (None, UsageError, "no such file, wants a fork's caffe.proto"),
        ("message LayerParameter {", FormatError, ":1: the end of the file where a field"),
        ("message LayerParameter { optional Lost lost = 1; }", FormatError, "unknown type Lost"),
    ],
)
def test_what_is_no_schema(
    text: str | None, kind: type[Exception], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "caffe.proto"
    if text is not None:
        path.write_text(text)
    with pytest.raises(kind, match=said) as caught:
        with_protos(SHIPPED, [path])
    assert str(caught.value).startswith(str(path))


# ---- Bytes ------------------------------------------------------------------------------------


def layer(body: bytes) -> bytes:
    return b"\xa2\x06" + bytes([len(body)]) + body


def read(*layers: bytes, schema: Schema = SHIPPED) -> list[object]:
    net = parse_binary(
        memoryview(b"".join(map(layer, layers))), "net.caffemodel", schema=schema
    ).net
    assert net is not None
    return net.layers


POOL = b"\x0a\x01p\x12\x07Pooling\xca\x07\x04"  # pooling_param, number 121, of 4 bytes


def test_a_forks_numbers_are_read_in_bytes(tmp_path: Path) -> None:
    """Its kernel is field 3, which is BVLC's stride: the same bytes, 3: 5 and 2: 7."""
    own = write_fork(
        tmp_path / "turned.proto",
        ("optional uint32 kernel_size = 2;", "optional uint32 kernel_size = 3;"),
        ("optional uint32 stride = 3 [default = 1];", "optional uint32 stride = 2 [default = 1];"),
    )
    body = POOL + b"\x10\x07\x18\x05"
    (plain,) = read(body)
    assert (plain.pooling_param.kernel_size, plain.pooling_param.stride) == (7, 5)
    (turned,) = read(body, schema=SHIPPED.with_proto(own))
    assert dialect_of(turned) == "turned"
    assert (turned.pooling_param.kernel_size, turned.pooling_param.stride) == (5, 7)


def test_a_forks_own_layer_is_read_in_bytes(zoom: Path) -> None:
    body = b"\x0a\x01z\x12\x04Zoom\xe2\x12\x02\x08\x07"  # zoom_param 300, factor 7
    (unknown,) = read(body)
    assert dialect_of(unknown) == "bvlc"
    (known,) = read(body, schema=SHIPPED.with_proto(zoom))
    assert known.zoom_param.factor == 7


def test_a_given_schema_is_meant_where_a_shipped_one_owns_the_number(tmp_path: Path) -> None:
    """203 is SSD's prior_box_param, of type PriorBox, where 1 is min_size."""
    own = write_fork(
        tmp_path / "priors.proto",
        fields="optional PriorBoxParameter prior_box_param = 203;",
        more="message PriorBoxParameter { optional float side = 1; }",
    )
    body = b"\x0a\x01p\x12\x08PriorBox\xda\x0c\x05\x0d\x00\x00\x00\x3f"
    (shipped,) = read(body)
    assert [*shipped.prior_box_param.min_size] == [0.5]
    (given,) = read(body, schema=SHIPPED.with_proto(own))
    assert (dialect_of(given), given.prior_box_param.side) == ("priors", 0.5)


def test_two_given_schemas_that_clash_are_asked_about(tmp_path: Path, zoom: Path) -> None:
    other = write_fork(
        tmp_path / "other.proto",
        fields=ZOOMS,
        more="message ZoomParameter { optional uint32 shrink = 1; }",
    )
    body = b"\x0a\x01z\x12\x04Zoom\xe2\x12\x02\x08\x07"
    with pytest.raises(UnsupportedError) as caught:
        read(body, schema=with_protos(SHIPPED, [zoom, other]))
    assert str(caught.value) == (
        "net.caffemodel: layer 'z': its bytes are of one dialect or of another: "
        "zoomnet reads Zoom zoom_param { factor: 7 }, other reads Zoom zoom_param { shrink: 7 }\n"
        "  fix: name the file's dialect with --dialect"
    )


# ---- Solvers ----------------------------------------------------------------------------------


def test_a_solvers_fields(tmp_path: Path) -> None:
    """They are known by their names; one that changes what is learned is refused by its own."""
    own = write_fork(
        tmp_path / "warm.proto",
        ("bool debug_info = 23", "int32 warm = 77 [default = 5]; optional bool debug_info = 23"),
    )
    path = tmp_path / "solver.prototxt"
    path.write_text('net: "a.prototxt" base_lr: 0.1 warm: 5')
    with pytest.raises(FormatError, match="SolverParameter has no field 'warm'"):
        read_solver(path)
    assert read_solver(path, schema=SHIPPED.with_proto(own)).net == "a.prototxt"
    path.write_text('net: "a.prototxt" base_lr: 0.1 warm: 6')
    with pytest.raises(UnsupportedError, match="warm is set, a field of warm's solver"):
        read_solver(path, schema=SHIPPED.with_proto(own))


# ---- Found ------------------------------------------------------------------------------------


def test_the_nearest_is_found(tmp_path: Path, zoom: Path) -> None:
    root = zoom.parents[3]
    models = root / "models" / "a"
    models.mkdir(parents=True)
    assert find(models / "net.prototxt") == zoom
    assert find(root / "net.prototxt") == zoom
    assert find(tmp_path / "net.prototxt") is None
    beside = write_fork(models / "caffe.proto", fields=ZOOMS, more=ZOOM)
    assert find(models / "net.prototxt") == beside


def test_a_found_schema_reads_what_no_other_does(zoom: Path) -> None:
    path = zoom.parents[3] / "net.prototxt"
    path.write_text('layer { type: "Zoom" zoom_param { factor: 3 } }')
    schema = with_protos(SHIPPED, None, path)
    net = read_net(path, schema=schema)
    assert dialect_of(net.layers[0]) == "zoomnet"
    assert net.schema.notes == [
        f"{zoom} lies beside the file: what no other schema here has is read by it, as dialect "
        "'zoomnet'; --proto none leaves it out"
    ]
    assert with_protos(SHIPPED, "none", path) is SHIPPED
    assert with_protos(SHIPPED, ["none"], path) is SHIPPED
    assert not with_protos(SHIPPED, [zoom], path).found
    assert pickle.loads(pickle.dumps(schema)).notes == schema.notes


def test_a_found_schema_replaces_no_reading(tmp_path: Path) -> None:
    """Its Normalize is not SSD's, which the file's own fields tell."""
    write_fork(
        tmp_path / "caffe.proto",
        fields="optional NormalizeParameter norm_param = 250;",
        more="message NormalizeParameter { optional float eps = 4 [default = 1]; }",
    )
    schema = with_protos(SHIPPED, None, tmp_path / "net.prototxt")
    (layer,) = parse_text('layer { type: "Normalize" norm_param { eps: 1 } }', schema=schema).layers
    assert dialect_of(layer) == "ssd"


def test_what_is_wrong_with_a_found_schema_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "caffe.proto"
    path.write_text("message {")
    schema = with_protos(SHIPPED, None, tmp_path / "net.prototxt")
    assert schema.notes == [
        f"{path} lies beside the file, and is not read: {path}:1: {{ where a word belongs"
    ]
    assert parse_text('layer { type: "ReLU" }', schema=schema).layers
    assert pickle.loads(pickle.dumps(schema)).notes == schema.notes


def test_bvlcs_own_schema_adds_nothing(tmp_path: Path) -> None:
    write_fork(tmp_path / "caffe.proto")
    assert with_protos(SHIPPED, None, tmp_path / "net.prototxt") is SHIPPED

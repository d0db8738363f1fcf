"""`--proto`, and the schema that lies beside the files, in every command."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from converter.__main__ import main
from prototxt import UnsupportedError, write_caffemodel
from prototxt.schema import SHIPPED
from tests.support.forks import write_fork

INPUT = 'input: "data" input_shape { dim: 1 dim: 1 dim: 12 dim: 12 }\n'
POOL = (
    'layer { name: "p" type: "Pooling" bottom: "data" top: "p" pooling_param { kernel_size: 2 } }'
)
RELU = 'layer { name: "r" type: "ReLU" bottom: "p" top: "r" relu_param { %s } }'
ZOOM = 'layer { name: "%s" type: "Zoom" bottom: "p" top: "%s" zoom_param { factor: 3 } }\n'
SPIN = 'layer { name: "s" type: "Spin" bottom: "p" top: "s" spin_param { angle: 4 axis: 1 } }\n'
NET = f"{INPUT}{POOL}{RELU % 'level: 7 hush: false'}"

COMMANDS = {
    "show": ["net.prototxt"],
    "check": ["net.prototxt"],
    "draw": ["net.prototxt", "-o", "net.svg"],
    "run": ["net.prototxt", "--output", "blobs.npz"],
    "verify": ["net.prototxt"],
    "convert": ["net.prototxt", "-o", "out"],
    "bench": ["net.prototxt", "--batch", "1", "--rounds", "1"],
    "upgrade": ["net.prototxt", "new.prototxt"],
}


def write_quiet(path: Path, pool: str = "AVE") -> Path:
    """Write a fork's schema: fields of ReLU, layers of its own, and averages where nobody says."""
    return write_fork(
        path,
        (
            "message ReLUParameter {",
            "message ReLUParameter { optional bool hush = 90 [default = false]; "
            "optional uint32 level = 91 [default = 7];",
        ),
        (
            "optional PoolMethod pool = 1 [default = MAX];",
            f"optional PoolMethod pool = 1 [default = {pool}];",
        ),
        fields="optional ZoomParameter zoom_param = 300; optional SpinParameter spin_param = 301;",
        more="message ZoomParameter { optional uint32 factor = 1; }"
        "message SpinParameter { optional float angle = 1; optional int32 axis = 2; }",
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder to work in, with a fork's definition, its schema in another folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    write_quiet(tmp_path / "quiet" / "caffe.proto")
    return tmp_path


PROTO = "quiet/caffe.proto"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_a_forks_schema(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *COMMANDS[command]]) == 1
    assert "ReLUParameter has no field 'level'" in capsys.readouterr().err or command == "check"
    assert main([command, *COMMANDS[command], "--proto", PROTO]) == 0
    printed = capsys.readouterr()
    said = [line for line in (printed.out + printed.err).splitlines() if "caffe.proto" in line]
    assert said == [f"note: read by {folder / PROTO}, as given: dialect 'quiet'"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_finds_the_schema_beside_the_files(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / PROTO).rename("caffe.proto")
    assert main([command, *COMMANDS[command]]) == 0
    printed = capsys.readouterr()
    said = [line for line in (printed.out + printed.err).splitlines() if "beside the file:" in line]
    name = re.escape(folder.name)
    assert len(said) == 1
    assert re.fullmatch(
        rf"note: {folder}/caffe.proto lies beside the file: what no other schema here has is "
        rf"read by it, as dialect '{name}'; --proto none leaves it out",
        said[0],
    )
    assert main([command, *COMMANDS[command], "--proto", "none"]) == 1


def test_show_names_the_dialect(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["show", "net.prototxt", "--proto", PROTO])
    assert capsys.readouterr().out.startswith(
        "dialect: quiet (given), quiet (relu_param.hush, relu_param.level)\n"
    )


# ---- What the fields mean ---------------------------------------------------------------------


def outputs(**options: object) -> np.ndarray:
    net = converter.load("net.prototxt", **options)  # type: ignore[arg-type]
    return net(torch.arange(144.0).reshape(1, 1, 12, 12))["r"].numpy()


def test_a_default_that_a_fork_changed_is_its_own(folder: Path) -> None:
    """The mean of 2 x 2 in place of the largest: 0, 1, 12, 13 from the left upper corner."""
    assert outputs(proto=PROTO)[0, 0, 0, 0] == 6.5
    (folder / "net.prototxt").write_text(INPUT + POOL + RELU % "")
    assert outputs(proto=PROTO)[0, 0, 0, 0] == 6.5
    assert outputs()[0, 0, 0, 0] == 13
    (folder / "net.prototxt").write_text(NET.replace("kernel_size", "pool: MAX kernel_size"))
    assert outputs(proto=PROTO)[0, 0, 0, 0] == 13


def test_a_default_counts_where_a_layer_has_no_parameters_at_all(folder: Path) -> None:
    own = write_fork(
        folder / "soft.proto",
        ("float eps = 3 [default = 1e-5];", "float eps = 3 [default = 0.25];"),
    )
    layer = 'layer { name: "n" type: "BatchNorm" bottom: "data" top: "n" %s }'
    for given, plain, meant in (("", 1e-5, 0.25), ("batch_norm_param { eps: 0.5 }", 0.5, 0.5)):
        (folder / "net.prototxt").write_text(INPUT + layer % given)
        for proto, eps in ((None, plain), (own, meant)):
            norm = converter.load("net.prototxt", proto=proto).layers["n"]
            assert norm.eps == pytest.approx(eps)


def test_a_default_of_a_schema_that_was_found_is_said(folder: Path) -> None:
    (folder / PROTO).rename("caffe.proto")
    (folder / "net.prototxt").write_text(INPUT + POOL + RELU % "")
    net = converter.load("net.prototxt")
    assert outputs()[0, 0, 0, 0] == 13
    (said,) = [note for note in net.notes if "pooling_param" in note]
    assert said == (
        "pooling_param.pool is not set in 1 layers from 'p' on, and is read as bvlc has it; it is "
        f"AVE in {folder.name}, whose schema lies beside the file: --dialect {folder.name}"
    )
    assert outputs(dialect=folder.name)[0, 0, 0, 0] == 6.5


def test_two_schemas_of_different_defaults_are_asked_about(folder: Path) -> None:
    write_quiet(folder / "loud" / "caffe.proto", "STOCHASTIC")
    with pytest.raises(UnsupportedError) as caught:
        converter.load("net.prototxt", proto=[PROTO, "loud/caffe.proto"])
    assert str(caught.value) == (
        "net.prototxt: layer 'p' (Pooling): pooling_param.pool is not set, and forks differ in "
        "what that means: quiet reads AVE, loud reads STOCHASTIC\n"
        "  fix: name the fork with --dialect"
    )
    assert outputs(proto=[PROTO, "loud/caffe.proto"], dialect="quiet")[0, 0, 0, 0] == 6.5


@pytest.mark.parametrize("field", ["hush: true", "level: 8"])
def test_a_field_that_no_layer_reads_is_refused_by_name(folder: Path, field: str) -> None:
    (folder / "net.prototxt").write_text(INPUT + POOL + RELU % field)
    with pytest.raises(UnsupportedError) as caught:
        converter.load("net.prototxt", proto=PROTO)
    name = field.partition(":")[0]
    assert str(caught.value) == (
        f"net.prototxt: layer 'r' (ReLU): relu_param.{name} is set, a field of quiet, which ReLU "
        "does not read here"
    )


def test_unknown_types_are_listed_at_once_with_their_fields(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "net.prototxt").write_text(NET + ZOOM % ("z1", "z1") + ZOOM % ("z2", "z2") + SPIN)
    assert main(["check", "net.prototxt", "--proto", PROTO]) == 1
    said = capsys.readouterr().out
    assert (
        "layer 'z1' and 1 more (Zoom): layer type 'Zoom' is unknown; it has zoom_param "
        "(ZoomParameter of quiet) with factor\n" in said
    )
    assert (
        "layer 's' (Spin): layer type 'Spin' is unknown; it has spin_param (SpinParameter of "
        "quiet) with angle, axis\n" in said
    )
    assert re.search(r"^ReLU +1 +yes +yes$", said, re.MULTILINE)


# ---- Bytes, and solvers -----------------------------------------------------------------------


def test_a_caffemodel_of_a_forks_numbers(folder: Path) -> None:
    """Its kernel and stride have changed places; the embedded definition is read by its schema."""
    turned = write_fork(
        folder / "turned.proto",
        ("optional uint32 kernel_size = 2;", "optional uint32 kernel_size = 3;"),
        ("optional uint32 stride = 3 [default = 1];", "optional uint32 stride = 2 [default = 1];"),
    )
    schema = SHIPPED.with_proto(turned)
    text = INPUT + POOL.replace("kernel_size: 2", "kernel_size: 4 stride: 2")
    written = converter_net(text, schema, folder)
    assert written.shapes()["p"] == (1, 1, 5, 5)
    plain = converter.load("net.caffemodel").shapes()["p"]
    assert plain == (1, 1, 4, 4)  # kernel 2, stride 4: 2 + 4 * 3 = 14 of 12, cut
    assert converter.load("net.caffemodel", proto=turned).shapes()["p"] == (1, 1, 5, 5)


def converter_net(text: str, schema: object, folder: Path) -> converter.CaffeNet:
    """Write a text's network in a fork's numbers, return the text's own."""
    from prototxt import read_net

    (folder / "turned.prototxt").write_text(text)
    net = read_net(folder / "turned.prototxt", schema=schema, dialect="turned")
    net.layers = [schema.as_dialect(layer, "turned") for layer in net.layers]
    write_caffemodel(folder / "net.caffemodel", net, {})
    return converter.load("turned.prototxt")

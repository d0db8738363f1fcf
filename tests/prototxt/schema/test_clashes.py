"""Fields of BVLC's that a fork's schema has otherwise: read as the fork means them, or asked about.

`clashes.txt` lists them: of each dialect the field, what differs, BVLC's and its own. Printed anew
by `python -m tests.prototxt.schema.test_clashes`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import caffe_layers
from prototxt import CaffeError, Net, UnsupportedError, parse_text
from prototxt.binary.caffemodel import parse_binary
from prototxt.binary.unknown import unknown_fields
from prototxt.schema import SHIPPED, Dialect
from prototxt.schema.defaults import with_defaults
from prototxt.schema.fragment import FOLDER
from prototxt.schema.recognize import Recognized, decisive
from tests.support.clashes import Clash, clashes
from tests.support.facts import definitions

TABLE = Path(__file__).with_name("clashes.txt")
FORKS = [one for one in SHIPPED.dialects if one.name != "bvlc"]
FOUND = [(one, clash) for one in FORKS for clash in clashes(one.fragment.parsed)]


def lines() -> list[str]:
    return [f"{one.name} {clash}" for one, clash in FOUND]


def test_the_table_is_that_of_the_shipped_schemas() -> None:
    """A new line asks: is a file of that fork read as the fork means it, or is its user asked."""
    assert TABLE.read_text("utf-8").splitlines() == lines()


# ---- Against the facts ------------------------------------------------------------------------

ALIKE = {
    # whose difference from BVLC's is another fork's, which reads its files
    "JingchunCheng/SegFlow": "flownet2",
    "twhui/LiteFlowNet": "liteflownet",
    "gulvarol/ltc": "c3d",
    "lmb-freiburg/flownet2": "flownet2",
    "happynear/caffe-windows": "happynear",
    "eric612/Caffe-YOLOv3-Windows": "yolo",
    "alexgkendall/caffe-segnet": "segnet",
    "hszhao/PSPNet": "pspnet",
    "intel/caffe": "intel",
    "unsky/Deformable-ConvNets-caffe": "deformable",
    "Tencent/ncnn": "ncnn",
    "PaddlePaddle/X2Paddle": "x2paddle",
    "CMU-Perceptual-Computing-Lab/caffe_rtpose": "openpose",
}
OF_TRAINING = "SolverParameter.rms_decay default 0.99 -> 0.0"
"""BVLC's schema before 2015; forks of which nothing else is known have no file for that alone."""
OF_EVERY_YEAR = {
    "ImageDataParameter.batch_size default 1.0 -> 0.0",
    "NetParameter.layers type V1LayerParameter -> LayerParameter",
}
NOTHING_ELSE = {
    # forks whose schema is BVLC's of some year
    *("KhronosGroup/NNEF-Tools", "htshinichi/caffe-onnx", "loswensiana/BWN-XNOR-caffe"),
    *("yun-liu/rcf", "kevinlin311tw/caffe-cvprw15"),
}


def shipped(source: str, path: str) -> Dialect | None:
    """Return the dialect of a repository's schema."""
    if source in ALIKE:
        return SHIPPED.dialect(ALIKE[source])
    for one in FORKS:
        text = one.fragment.text
        head = " ".join(line.lstrip("/ ") for line in text.partition("syntax")[0].splitlines())
        if f"({source}, {path})" in head:
            return one
    return None


def test_every_fork_of_the_facts_is_shipped_and_loses_no_clash(shared: Path) -> None:
    path = shared / "field" / "schemas.json"
    if not path.exists():
        pytest.skip(f"no facts of the field's schemas: {path}")
    facts = json.loads(path.read_text("utf-8"))
    assert len(facts) > 50
    seen, lacking = 0, []
    for key, fact in facts.items():
        source, _, file = key.partition(" ")
        said = {str(clash) for clash in clashes(definitions(fact))} - {OF_TRAINING}
        one = shipped(source, file)
        if one is None:
            assert source in NOTHING_ELSE or "caffe_pb2/caffe.proto" in file, key
            assert said <= OF_EVERY_YEAR, key
            continue
        merged = {str(clash) for clash in clashes(one.fragment.merged)}
        # what a schema of today has in a list can be one there
        lost = {each for each in said - merged if not _is_settled(each)}
        lacking += [f"{key}: {one.name} lacks {each}" for each in sorted(lost)]
        seen += len(said)
    assert not lacking
    assert seen > 60


def _is_settled(said: str) -> bool:
    """Tell whether a clash is of what is read by rules of its own, or of V1's layers' old name."""
    return said.startswith(("BlobProto.", "Datum.", "SolverParameter.test_"))


# ---- Defaults ---------------------------------------------------------------------------------

DEFAULTS = [
    pytest.param(one, clash, id=f"{one.name}-{clash.message}.{clash.field}")
    for one, clash in FOUND
    if clash.what == "default" and clash.message != "SolverParameter"
]


@pytest.mark.parametrize(("fork", "clash"), DEFAULTS)
def test_a_forks_default_is_read_in_a_file_of_the_fork(fork: Dialect, clash: Clash) -> None:
    layers: Any = fork.message("LayerParameter").DESCRIPTOR.fields
    param = next(
        one.name for one in layers if one.message_type and one.message_type.name == clash.message
    )
    (plain,) = parse_text(f"layer {{ {param} {{}} }}").layers
    (named,) = decisive([Recognized((fork.name,), ("sign",))], SHIPPED)
    meant = with_defaults(plain, [SHIPPED.dialect(named)])
    value = getattr(getattr(meant, param), clash.field)
    wanted = clash.fork == "true" if clash.fork in ("true", "false") else float(clash.fork)
    assert value == pytest.approx(wanted, rel=1e-6)
    assert getattr(getattr(plain, param), clash.field) != value
    # what the file sets stays; a file that two forks must explain is neither's
    getattr(plain, param).MergeFrom(getattr(plain, param))
    setattr(getattr(plain, param), clash.field, getattr(getattr(plain, param), clash.field))
    assert with_defaults(plain, [fork]) == plain
    two = [Recognized((fork.name,), ("a",)), Recognized(("ssd",), ("b",))]
    assert decisive(two, SHIPPED) == []


# ---- Numbers ----------------------------------------------------------------------------------

NUMBERS = [
    pytest.param(one, clash, id=f"{one.name}-{clash.message}.{clash.field}")
    for one, clash in FOUND
    if clash.what == "number" and clash.message not in ("SolverParameter", "BlobProto")
]


def of_type(clash: Clash, param: str) -> str:
    """Return a type of BVLC's that reads a field of LayerParameter."""
    if param in TYPES:
        return TYPES[param]
    plain = param.removesuffix("_param").replace("_", "")
    names = SHIPPED.dialect("bvlc").types
    return next(name for name in names if name.lower() == plain)


TYPES = {"loss_param": "SoftmaxWithLoss", "recurrent_param": "LSTM"}


@pytest.mark.parametrize(("fork", "clash"), NUMBERS)
def test_a_forks_number_is_read_where_it_is_named_and_not_taken_for_bvlcs(
    fork: Dialect, clash: Clash
) -> None:
    layer: Any = fork.message("LayerParameter")()
    fields = layer.DESCRIPTOR.fields
    if clash.message == "LayerParameter":
        param, inner = clash.field, ""
    else:
        param, inner = next(
            (one.name, clash.field)
            for one in fields
            if one.message_type and one.message_type.name == clash.message
        )
    layer.name, layer.type = "l", of_type(clash, param)
    layer.bottom.append("x")
    layer.top.append("y")
    if fork.name.startswith("sknet"):
        layer.type = "CuDNNBatchNorm"
    _fill(getattr(layer, param), inner)
    body = layer.SerializeToString()
    data = b"\xa2\x06" + bytes([len(body)]) + body
    named = parse_binary(memoryview(data), "n", fork.name).net
    assert named is not None
    assert str(named.layers[0]) == str(layer)
    try:
        net = parse_binary(memoryview(data), "n").net
    except UnsupportedError as error:
        refused = str(error)
    else:
        assert net is not None
        (found,) = net.layers
        refused = "" if str(found) == str(layer) else _refused(found, net)
        assert refused or str(found) == str(layer)
    assert not refused or "--dialect" in refused or "num_output" in refused or "is set" in refused


def _refused(layer: Any, net: Net) -> str:
    """Say why a layer that is read otherwise is refused; "" if it is not."""
    if faults := [*unknown_fields(net, "n")]:
        return str(faults[0].error())
    if extras := [*SHIPPED.extra_fields(layer)]:
        return f"{extras[0]} is set"
    try:
        caffe_layers.build(layer, [(1, 2)])
    except CaffeError as error:
        return str(error)
    return ""


def _fill(message: Any, field: str) -> None:
    """Set a field of a message, or its first that a number or a text can stand in."""
    names = [field] if field else [one.name for one in message.DESCRIPTOR.fields]
    for name in names:
        one = message.DESCRIPTOR.fields_by_name[name]
        value = getattr(message, name)
        if one.message_type is not None:
            target = value.add() if hasattr(value, "add") else value
            target.SetInParent()
            return
        if hasattr(value, "append"):
            value.append(3)
        else:
            setattr(message, name, _value(one))
        return


def _value(field: Any) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    kind = type(field.default_value)
    return {bool: True, int: 3, float: 0.5, str: "x"}[kind]


if __name__ == "__main__":
    TABLE.write_text("\n".join(lines()) + "\n", "utf-8")
    print(TABLE.relative_to(FOLDER.parents[1]))

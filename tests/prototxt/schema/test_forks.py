"""The further dialects, which read what the first do not, and have no say in the rest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from prototxt import FormatError, parse_text
from prototxt.binary.caffemodel import parse_binary
from prototxt.schema import SHIPPED, dialect_of
from prototxt.schema.fragment import FOLDER, Fragment
from prototxt.schema.recognize import certain

FORKS = sorted((FOLDER / "forks").glob("*.proto"))


@pytest.mark.parametrize("path", FORKS, ids=lambda path: path.stem)
def test_every_forks_file_is_whole(path: Path) -> None:
    """It names its source, its messages can be built, and nothing in it is of no use."""
    text = path.read_text("utf-8")
    comment = " ".join(re.findall(r"^// ?(.*)$", text, re.MULTILINE))
    repository = r"[\w.-]+/[\w.-]+( at [0-9a-f]{7,40})?"
    assert re.search(rf"\({repository}( and {repository})?, [^)]+\)", comment), "whose is it?"
    one = SHIPPED.dialect(path.stem)
    assert SHIPPED.is_further(path.stem)
    assert one.message("LayerParameter").DESCRIPTOR.fields_by_name["name"].number == 1
    assert one.message("V1LayerParameter").DESCRIPTOR.fields_by_name["name"].number == 4
    assert one.message("SolverParameter") is not None
    parsed = Fragment.read(path).parsed
    assert parsed.messages
    for message in parsed.messages.values():
        for field in message.fields:
            assert not (field.name == "engine" and field.type == "Engine" and not field.neutral)


def test_unions_come_last() -> None:
    unions = [one.is_union for one in SHIPPED.further]
    assert unions == sorted(unions)
    assert {one.name for one in SHIPPED.first if one.is_union} == {
        *("ncnn", "x2paddle", "synopsys", "huawei")
    }
    assert {one.name for one in SHIPPED.further if one.is_union} >= {"vitis", "nn_tools"}


def test_a_forks_field_reads_and_tells_it() -> None:
    net = parse_text(
        'layer { type: "ROIPooling" roi_pooling_param { pooled_h: 7 pad_ratio: 0.25 } }'
        'layer { type: "BoxGroupOutput" box_group_output_param { fg_thr: 0.5 } }'
    )
    assert [dialect_of(layer) for layer in net.layers] == ["cascade_rcnn", "cascade_rcnn"]
    assert net.layers[0].roi_pooling_param.pad_ratio == 0.25
    assert certain(net.dialects, SHIPPED) == {"cascade_rcnn"}


@pytest.mark.parametrize(
    "text",
    [
        # MS-CNN, RRPN and others have it at other numbers: that tells nothing of this file
        'type: "ROIPooling" roi_pooling_param { pooled_h: 7 }',
        'type: "PriorBox" prior_box_param { min_size: 9 }',
        'type: "Interp" interp_param { height: 9 }',
    ],
)
def test_what_the_first_read_stays_theirs(text: str) -> None:
    net = parse_text(f"layer {{ {text} }}")
    (group,) = net.dialects
    assert not any(map(SHIPPED.is_further, group.names))
    assert not SHIPPED.is_further(dialect_of(net.layers[0]))


def test_a_file_that_several_of_the_first_explain_is_no_forks_either() -> None:
    """Arcface's Caffe and others have both: a file of any year would be theirs."""
    net = parse_text(
        'layer { type: "ROIPooling" roi_pooling_param { pooled_h: 7 } }'
        'layer { type: "Interp" interp_param { height: 9 } }'
    )
    assert [group.signs for group in net.dialects] == [("ROIPooling",), ("Interp",)]
    assert certain(net.dialects, SHIPPED) == {"deeplab"}


def test_a_file_that_one_of_the_first_explains_is_not_a_forks() -> None:
    """Cascade R-CNN has both layers too; without a field of its own the file is not its."""
    text = 'layer { type: "ROIPooling" roi_pooling_param { pooled_h: 7 } } '
    own = 'layer { type: "BoxGroupOutput" box_group_output_param {} }'
    assert not any(map(SHIPPED.is_further, parse_text(text).dialects[0].names))
    (group,) = parse_text(text + own).dialects
    assert group.names == ("cascade_rcnn",)
    assert group.signs == ("ROIPooling", "BoxGroupOutput")


@pytest.mark.parametrize(
    "text",
    [
        'type: "ReLU" box_output_param { iou_thr: 1 }',  # another type's message
        'type: "CuDNNBatchNorm" batch_norm_param { use_global_stats: true }',  # claimed by others
        'type: "BoxOutput" box_output_param { iou_threshold: 1 }',
    ],
)
def test_what_nobody_has_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="has no field"):
        parse_text(f"layer {{ {text} }}")


def test_an_unknown_type_may_have_any_forks_message() -> None:
    """MultiBoxFocalLoss is nobody's here; the field is SSD's, for another type."""
    (layer,) = parse_text(
        'layer { type: "NobodysLoss" multibox_loss_param { num_classes: 3 } }'
    ).layers
    assert (dialect_of(layer), layer.multibox_loss_param.num_classes) == ("ssd", 3)


def test_a_list_is_no_field_that_reads_one() -> None:
    """naibaf7's windows are lists: of two numbers BVLC's Pooling would take the last."""
    text = 'type: "Pooling" pooling_param { kernel_size: 2 kernel_size: 3 }'
    (layer,) = parse_text(f"layer {{ {text} }}").layers
    assert dialect_of(layer) == "greentea"
    (extra,) = SHIPPED.extra_fields(layer)
    assert str(extra) == "pooling_param.kernel_size"


def test_a_named_fork_reads_alone() -> None:
    text = 'layer { type: "ROIPooling" roi_pooling_param { pad_ratio: 0.25 } }'
    assert dialect_of(parse_text(text, dialect="mscnn").layers[0]) == "mscnn"
    with pytest.raises(FormatError, match="has no field 'pad_ratio'"):
        parse_text(text, dialect="rrpn")


# ---- Bytes ------------------------------------------------------------------------------------

# A type and one field of LayerParameter: 151 is box_output_param in mscnn, where 1 is fg_thr.
BOX = b"\x0a\x01b\x12\x09BoxOutput\xba\x09\x05\x0d\x00\x00\x00\x3f"
POOL = b"\x0a\x01p\x12\x07Pooling\xca\x07\x02\x10\x02"


def binary(*layers: bytes) -> bytes:
    return b"".join(b"\xa2\x06" + bytes([len(layer)]) + layer for layer in layers)


def test_a_forks_bytes_are_read_by_its_numbers() -> None:
    number = SHIPPED.dialect("mscnn").message("LayerParameter").DESCRIPTOR.fields_by_name
    assert number["box_output_param"].number == 151
    net = parse_binary(memoryview(binary(POOL, BOX)), "net.caffemodel").net
    assert net is not None
    assert [dialect_of(layer) for layer in net.layers] == ["bvlc", "mscnn"]
    assert net.layers[0].pooling_param.kernel_size == 2
    assert net.layers[1].box_output_param.fg_thr == 0.5


def test_a_number_says_nothing_of_a_type_that_a_fork_does_not_claim() -> None:
    other = BOX.replace(b"BoxOutput", b"NoOutputs")
    net = parse_binary(memoryview(binary(other)), "net.caffemodel").net
    assert net is not None
    assert not SHIPPED.is_further(dialect_of(net.layers[0]))

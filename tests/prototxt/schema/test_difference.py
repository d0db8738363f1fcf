"""What a fork's whole schema has beyond BVLC's, and the text of it."""

from __future__ import annotations

import pytest

from prototxt.schema import reader
from prototxt.schema.definitions import Field, Message
from prototxt.schema.difference import UNKNOWN, difference, is_whole
from prototxt.schema.fragment import BVLC, FOLDER, Fragment
from prototxt.schema.write import write

BASE = Fragment.read(BVLC).merged
WHOLE = BVLC.read_text("utf-8")


def changed(*edits: tuple[str, str], more: str = "") -> Message:
    """Return the difference of BVLC's schema, edited, from itself."""
    text = WHOLE
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return difference(reader.read(text + more, "fork"), BASE)


def said(message: Message) -> dict[str, tuple[int, int, str, str | None]]:
    return {one.name: (one.number, one.label, one.type, one.default) for one in message.fields}


def test_bvlcs_own_schema_differs_in_nothing() -> None:
    assert is_whole(BASE)
    assert changed() == Message("")


def test_a_fragment_is_not_whole() -> None:
    fragments = sorted(FOLDER.rglob("*.proto"))
    assert len(fragments) > 70
    for path in fragments:
        if path != BVLC:
            assert not is_whole(reader.read(path.read_text("utf-8"), str(path))), path


PARAM = "optional CropParameter crop_param = 144;"


def test_new_fields_messages_and_types() -> None:
    found = changed(
        (PARAM, f"{PARAM} optional ZoomParameter zoom_param = 300;"),
        more="message ZoomParameter { optional Step step = 1; } message Step {} message Idle {}",
    )
    assert list(found.messages) == ["LayerParameter", "ZoomParameter", "Step"]  # nobody holds Idle
    layer = found.messages["LayerParameter"]
    assert said(layer) == {"zoom_param": (300, 1, "ZoomParameter", None)}
    assert layer.layer_types == {"Zoom"}


@pytest.mark.parametrize(
    ("old", "new", "message", "field"),
    [
        # another number, type, label, default
        (PARAM, PARAM.replace("144", "150"), "LayerParameter", (150, 1, "CropParameter", None)),
        (
            "optional bool use_global_stats = 1;",
            "optional int32 use_global_stats = 1;",
            "BatchNormParameter",
            (1, 1, "int32", None),
        ),
        (
            "optional bool use_global_stats = 1;",
            "repeated bool use_global_stats = 1;",
            "BatchNormParameter",
            (1, 3, "bool", None),
        ),
        (
            "optional bool use_global_stats = 1;",
            "optional bool use_global_stats = 1 [default = true];",
            "BatchNormParameter",
            (1, 1, "bool", "true"),
        ),
    ],
)
def test_what_a_fork_changes(old: str, new: str, message: str, field: tuple[object, ...]) -> None:
    found = changed((old, new))
    assert list(found.messages) == [message]
    assert list(said(found.messages[message]).values()) == [field]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # one value where BVLC has a list since; a default that is written otherwise, or not at all
        ("repeated BlobShape shape = 1;", "optional BlobShape shape = 1;"),
        ("float eps = 3 [default = 1e-5];", "float eps = 3 [default = .00001];"),
        ("bool use_global_stats = 1;", "bool use_global_stats = 1 [default = false];"),
        ("variance_norm = 8 [default = FAN_IN]", "variance_norm = 8"),
        ("optional int32 sparse = 7", "optional int64 sparse = 7"),
        (PARAM, ""),
    ],
)
def test_what_says_the_same(old: str, new: str) -> None:
    assert changed((old, new)) == Message("")


def test_a_list_of_bvlcs_stays_one_at_another_number() -> None:
    """C3D's stride of 2013 is at 7, and one number: what reads convolutions takes a list."""
    old = "repeated BlobShape shape = 1;"
    found = changed((old, "optional BlobShape shape = 7;"))
    assert said(found.messages["InputParameter"]) == {"shape": (7, 3, "BlobShape", None)}


def test_enum_values() -> None:
    old = "enum VarianceNorm { FAN_IN = 0; FAN_OUT = 1; AVERAGE = 2; }"
    found = changed((old, "enum VarianceNorm { FAN_IN = 0; FAN_OUT = 2; AVERAGE = 1; BOTH = 3; }"))
    values = found.messages["FillerParameter"].enums["VarianceNorm"].values
    assert values == {"FAN_OUT": 2, "AVERAGE": 1, "BOTH": 3}


V1_ALONE = """
message NetParameter { optional string name = 1; repeated LayerParameter layers = 2; }
message LayerParameter {
  enum LayerType { NONE = 0; RELU = 18; UNZIP = 77; }
  optional string name = 4;
  optional LayerType type = 5;
  repeated float blobs_lr = 7;
  optional UnzipParameter unzip_param = 60;
}
message UnzipParameter { optional int32 width = 1; }
"""


def test_a_schema_whose_only_layers_are_v1s() -> None:
    """Such layers came to be called V1LayerParameter; what is upgraded needs the field too."""
    found = difference(reader.read(V1_ALONE, "fork"), BASE)
    assert sorted(found.messages) == ["LayerParameter", "UnzipParameter", "V1LayerParameter"]
    old, today = found.messages["V1LayerParameter"], found.messages["LayerParameter"]
    assert old.enums["LayerType"].values == {"UNZIP": 77}
    assert said(old) == {"unzip_param": (60, 1, "UnzipParameter", None)}
    assert said(today) == {"unzip_param": (UNKNOWN, 1, "UnzipParameter", None)}
    assert today.layer_types == {"Unzip", "UNZIP"}


def test_what_is_imported_keeps_the_types_that_its_fields_are_for() -> None:
    base = Fragment.read(FOLDER / "ssd.proto").merged.over(BASE)
    old = "optional PermuteParameter permute_param = 202"
    text = WHOLE.replace(PARAM, f"{PARAM} {old.replace('202', '402')};")
    found = difference(reader.read(f"{text} message PermuteParameter {{}}", "fork"), base)
    (field,) = found.messages["LayerParameter"].fields
    assert (field.number, field.layer_types) == (402, {"Permute"})


def test_a_written_fragment_is_read_as_it_was() -> None:
    for path in FOLDER.rglob("*.proto"):
        parsed = reader.read(path.read_text("utf-8"), "fork")
        text = write(parsed, "Somebody's.\n\nAll of it.")
        assert text.startswith("// Somebody's.\n//\n// All of it.\nsyntax")
        assert max(map(len, text.splitlines())) <= 100
        again = reader.read(text, "fork")
        places = [one for message in (parsed, again) for one in _fields(message)]
        for field in places:
            field.place = ""
        assert again == parsed, path


def _fields(message: Message) -> list[Field]:
    inner = [one for each in message.messages.values() for one in _fields(each)]
    return [*message.fields, *inner]

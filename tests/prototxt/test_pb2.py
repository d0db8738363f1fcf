"""caffe_pb2: BVLC's schema whole, the forks' fields among it, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from prototxt.pb2 import FIRST_FREE, namespace
from prototxt.schema import SHIPPED, dialect
from tests.support.paths import ROOT

MERGE = 391
"""Of the published definitions: the others are templates, or set what no schema has."""


@pytest.fixture(scope="module")
def pb2() -> dict[str, Any]:
    return namespace()


def test_every_field_and_value_of_bvlc_is_there_under_its_number(pb2: dict[str, Any]) -> None:
    file: Any = dialect("bvlc").message("LayerParameter").DESCRIPTOR.file
    fields = values = 0
    for name, message in file.message_types_by_name.items():
        ours = pb2[name].DESCRIPTOR
        for field in message.fields:
            mine = ours.fields_by_name[field.name]
            assert (mine.number, mine.type) == (field.number, field.type), field.full_name
            assert mine.default_value == field.default_value, field.full_name
            assert mine.is_repeated == field.is_repeated, field.full_name
            fields += 1
        for enum in message.enum_types:
            for value in enum.values:
                assert getattr(pb2[name], value.name) == value.number, value.name
                values += 1
    for enum in file.enum_types_by_name.values():
        for value in enum.values:
            assert pb2[value.name] == value.number
            values += 1
    assert len(file.message_types_by_name) == 63
    assert fields > 400
    assert values > 80


def test_the_forks_fields_are_there_and_a_taken_number_is_not_given_twice(
    pb2: dict[str, Any],
) -> None:
    layer = pb2["LayerParameter"].DESCRIPTOR
    for one in SHIPPED.dialects:
        theirs: Any = one.message("LayerParameter").DESCRIPTOR
        assert {*layer.fields_by_name} >= {*theirs.fields_by_name}, one.name
    assert layer.fields_by_name["permute_param"].number == 202  # SSD's, the first to take it
    assert layer.fields_by_name["proposal_param"].number != 202
    numbers = [field.number for field in layer.fields]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) >= FIRST_FREE
    assert pb2["LabelMap"]().item.add(name="cat", label=1).label == 1


def test_a_named_dialect_comes_first_where_fields_clash(pb2: dict[str, Any]) -> None:
    named = namespace(dialect="sknet")
    numbers = [
        names["LayerParameter"].DESCRIPTOR.fields_by_name["batch_norm_param"].number
        for names in (pb2, named)
    ]
    assert numbers == [139, 200]
    assert named["TEST"] == 1


def test_what_one_fork_requires_is_optional_for_the_others(pb2: dict[str, Any]) -> None:
    assert pb2["LayerParameter"](name="a").IsInitialized()
    assert pb2["NetParameter"]().IsInitialized()


def test_published_definitions_merge(shared: Path, pb2: dict[str, Any]) -> None:
    paths = sorted((shared / "prototxts").rglob("*.prototxt"))
    assert len(paths) == 396
    merged = 0
    for path in paths:
        try:
            text_format.Merge(path.read_text("utf-8", "surrogateescape"), pb2["NetParameter"]())
        except text_format.ParseError:
            continue
        merged += 1
    assert merged >= MERGE


def test_it_comes_without_torch_in_a_quarter_of_its_time() -> None:
    code = (
        "import sys, time\n"
        "began = time.process_time()\n"
        "import converter.pycaffe\n"
        "converter.pycaffe.install()\n"
        "from caffe.proto import caffe_pb2\n"
        "assert caffe_pb2.TRAIN == 0 and caffe_pb2.LayerParameter(name='a').name == 'a'\n"
        "ours = time.process_time() - began\n"
        "assert 'torch' not in sys.modules\n"
        "began = time.process_time()\n"
        "import torch\n"
        "print(ours / (time.process_time() - began))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) < 0.25

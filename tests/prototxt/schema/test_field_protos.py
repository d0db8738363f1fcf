"""The field's own schemas, given whole: each reads its repository's definitions."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest

from prototxt import CaffeError
from prototxt.read import read_as_written
from prototxt.schema import SHIPPED
from prototxt.schema.difference import difference, is_whole
from prototxt.schema.fragment import BVLC, Fragment
from prototxt.schema.write import write
from tests.support.facts import definitions

EACH = 2
"""How many definitions of a repository are read."""
NOT_IN_IT = {
    # fields that are not in the schema of that commit
    "InnerProduct",
    "LayerParameter.adacos_add_m_scale_param",
    "LayerParameter.dtow_param",
    "LayerParameter.cpmdata_param",
}


def test_a_given_schema_reads_its_repositorys_definitions(shared: Path, tmp_path: Path) -> None:
    field = shared / "field"
    if not (field / "schemas.json").exists():
        pytest.skip(f"no facts of the field's schemas in {field}")
    files = defaultdict(list)
    with (field / "INDEX.tsv").open(encoding="utf-8") as index:
        for row in csv.DictReader(index, delimiter="\t"):
            files[row["repository"]].append(field / "prototxts" / row["name"])
    facts = json.loads((field / "schemas.json").read_text("utf-8"))
    base = Fragment.read(BVLC).merged
    read, missing = 0, list[str]()
    for number, (key, fact) in enumerate(facts.items()):
        whole = definitions(fact)
        if not is_whole(whole):
            continue
        path = tmp_path / f"given_{number}" / "caffe.proto"
        path.parent.mkdir()
        path.write_text(write(whole, key), "utf-8")
        schema = SHIPPED.with_proto(path)
        (given,) = schema.given.values()
        found, wanted = given.fragment.parsed, difference(whole, base)
        assert list(found.messages) == list(wanted.messages), key
        for file in files[key.partition(" ")[0]][:EACH]:
            try:
                net, _ = read_as_written(file, schema=schema, strict=False)
            except CaffeError:
                continue  # a template, or a text that Caffe refuses too
            lacking = {fault.what for fault in net.faults if fault.kind == "field"}
            missing += [f"{key}: {file.name}: {what}" for what in lacking - NOT_IN_IT]
            read += 1
    assert not missing
    assert read > 40

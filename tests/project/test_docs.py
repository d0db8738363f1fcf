"""The files that README and docs name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMED = re.compile(
    r"(?<![\w/.])(?:converter|caffe_layers|prototxt|tests|benchmarks|docs)/[\w./-]*\w"
)
WRITTEN = {"benchmarks/results"}
"""What a benchmark makes."""


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_named_files_are_there(page: Path) -> None:
    for name in NAMED.findall(page.read_text(encoding="utf-8")):
        assert name in WRITTEN or (ROOT / name).exists(), f"{page.name} names {name}"


def test_there_is_something_to_look_at() -> None:
    named = [name for page in PAGES for name in NAMED.findall(page.read_text(encoding="utf-8"))]
    assert len(named) > 40
    assert "converter/onnx/passes/to_half.py" in named

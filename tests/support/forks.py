"""Whole schemas of forks, made up: BVLC's with some of it changed."""

from __future__ import annotations

from pathlib import Path

from prototxt.schema.fragment import BVLC

CROP = "optional CropParameter crop_param = 144;"


def write_fork(path: Path, *edits: tuple[str, str], fields: str = "", more: str = "") -> Path:
    """Write BVLC's whole schema, with texts replaced, layers' fields and messages added."""
    text = BVLC.read_text("utf-8")
    for old, new in ((CROP, f"{CROP} {fields}"), *edits):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n{more}\n", "utf-8")
    return path

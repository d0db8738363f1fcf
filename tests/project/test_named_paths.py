"""Python paths that the documentation names, or ever named, lead somewhere."""

from __future__ import annotations

import re
import warnings
from importlib import import_module

import pytest

from tests.support.paths import ROOT

EVER = [
    "caffe_layers.Axpy",
    "caffe_layers.CuDNNBatchNorm",
    "caffe_layers.Filler",
    "caffe_layers.Layer",
    "caffe_layers.register_python",
    "converter.Calibration",
    "converter.commands",
    "converter.convert",
    "converter.demo.data",
    "converter.evaluation",
    "converter.export_onnx",
    "converter.layer_table",
    "converter.load",
    "converter.preprocess",
    "converter.pycaffe.install",
    "converter.save_caffemodel",
    "converter.sknet.load_caffemodel",
    "converter.sknet.sknet50",
    "converter.timm_names.caffe_stem",
    "converter.training.SGD",
    "prototxt.ShapeError",
    "prototxt.data.datum.write_datum",
    "prototxt.data.lmdb.write_database",
    "prototxt.database.write_database",
    "prototxt.datum.write_datum",
    "prototxt.nets.build",
    "prototxt.schema",
]
"""What README and docs have named in their history (`git log -p -- docs README.md`)."""

PATH = re.compile(r"\b(?:converter|prototxt|caffe_layers)(?:\.[A-Za-z_]\w*)+")
TAKEN = re.compile(r"from ((?:converter|prototxt|caffe_layers)[\w.]*) import ([\w, ]+)")
FILES = {"py", "md", "txt"}
"""Endings of files' names, which look like paths."""


def named_today() -> set[str]:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    found: set[str] = set()
    for page in pages:
        text = page.read_text(encoding="utf-8")
        found |= {path for path in PATH.findall(text) if path.rpartition(".")[2] not in FILES}
        for module, names in TAKEN.findall(text):
            found |= {f"{module}.{name.strip()}" for name in names.split(",") if name.strip()}
    return found


def leads(path: str) -> bool:
    """Tell whether a path is a module, or what one has."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


@pytest.mark.parametrize("path", sorted({*EVER, *named_today()}))
def test_a_path_that_was_named_leads_somewhere(path: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # they say where it went
        assert leads(path)

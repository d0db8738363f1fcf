"""What a layer does its class says: nowhere else a list of types decides it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from caffe_layers import LAYERS
from tests.support.paths import ROOT

ALLOWED = {
    "converter/loading/prior_boxes.py": "the layers behind SSD's predictions, by which it is known",
    "converter/onnx/least.py": "ONNX's operators, some of the same names",
    "converter/onnx/passes/half_layers.py": "ONNX's operators, some of the same names",
    "converter/onnx/quantization/units.py": "ONNX's operators, some of the same names",
    "converter/pycaffe/tools/coord_map.py": "those that BVLC's coord_map maps",
    "converter/timm_names.py": "the parts of SENet's own definitions",
    "converter/training/edge_losses.py": "what edge detectors are known by",
    "prototxt/binary/decode.py": "those whose fields two forks number alike",
    "prototxt/passes/align_crops.py": "those that Caffe's branch `future` maps",
    "prototxt/schema/layer_types.py": "V1's names of types",
}
"""Files that name types for what they are in Caffe's files, not for what layers do."""
FILES = [
    path
    for package in ("prototxt", "converter")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "nets" not in path.parts
]


def lists(path: Path) -> Iterator[list[str]]:
    """Yield the types in each list, set or dict of a file that names two or more."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            items: list[ast.expr | None] = [*node.elts]
        elif isinstance(node, ast.Dict):
            items = [*node.keys]
        else:
            continue
        words = [item.value for item in items if isinstance(item, ast.Constant)]
        types = [word for word in words if isinstance(word, str) and word in LAYERS]
        if len(types) > 1:
            yield types


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_list_of_types(path: Path) -> None:
    if str(path.relative_to(ROOT)) not in ALLOWED:
        assert list(lists(path)) == []


@pytest.mark.parametrize("name", ALLOWED)
def test_every_exception_is_one(name: str) -> None:
    assert any(lists(ROOT / name))

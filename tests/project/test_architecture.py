"""Who may know whom: converter -> caffe_layers -> prototxt, no layer another, and no circles."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGES = ["prototxt", "caffe_layers", "converter"]
"""Each may import those before it."""
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield what a file imports, as a module's full name and what is taken from it, if anything."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*above, *filter(None, [node.module])])
            yield from ((source, alias.name) for alias in node.names)


def imported(path: Path) -> Iterator[str]:
    """Yield what a file imports, by full names; of `from a import b` both `a` and `a.b`."""
    for source, name in imports(path):
        yield source
        yield f"{source}.{name}"


def imported_files(path: Path) -> set[str]:
    """Return our modules that a file imports: of `from a import b` the file `a.b`, or else `a`."""
    found = {
        f"{source}.{name}" if f"{source}.{name}" in MODULES else source
        for source, name in imports(path)
    }
    return found.intersection(MODULES)


def registers_a_layer(path: Path) -> bool:
    return any(
        isinstance(node, ast.ClassDef) and any(word.arg == "type" for word in node.keywords)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


MODULES = {module_name(path) for path in FILES}
LAYERS = {module_name(path): path for path in FILES if registers_a_layer(path)}


def test_there_is_something_to_look_at() -> None:
    assert len(FILES) > 50
    assert len(LAYERS) > 20
    assert "prototxt.errors" in set(imported(ROOT / "caffe_layers/base/checks.py"))
    assert "caffe_layers.base.layer" in set(imported(ROOT / "caffe_layers/activation/relu.py"))
    assert "converter.onnx.emit" in set(imported(ROOT / "converter/onnx/export.py"))


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    own = PACKAGES.index(path.relative_to(ROOT).parts[0])
    above = set(PACKAGES[own + 1 :]) | {"tests"}
    wrong = [name for name in imported(path) if name.split(".")[0] in above]
    assert not wrong, f"{module_name(path)} must not know {wrong}"


def test_no_files_import_each_other_in_a_circle() -> None:
    """Imports inside functions and those for types alone count: they only hide a circle."""
    arrows = {module_name(path): imported_files(path) for path in FILES}
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        _, circle = error.args
        pytest.fail(f"a circle of files: {' <- '.join(circle)}")


@pytest.mark.parametrize("name", LAYERS)
def test_no_layer_imports_another(name: str) -> None:
    others = LAYERS.keys() - {name}
    wrong = [other for other in imported(LAYERS[name]) if other in others]
    assert not wrong, f"{name} must not know {wrong}: what both need has a module of its own"


def test_the_formats_need_no_torch() -> None:
    names = [module_name(path) for path in FILES if path.relative_to(ROOT).parts[0] == "prototxt"]
    names = [name for name in names if not name.endswith("__main__")]
    code = (
        "import importlib, sys\n"
        f"for name in {names}: importlib.import_module(name)\n"
        "print(*sorted({'torch', 'onnx', 'onnxruntime', 'h5py'} & sys.modules.keys()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == []

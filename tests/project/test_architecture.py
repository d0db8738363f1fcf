"""Who may know whom: converter -> caffe_layers -> prototxt, no layer another, and no circles."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import caffe_layers
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
    stub = path.with_suffix(".pyi")  # of a package that imports when it is asked
    texts = [one.read_text(encoding="utf-8") for one in (path, stub) if one.exists()]
    for node in (node for text in texts for node in ast.walk(ast.parse(text))):
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
    assert "converter.loading.load" in set(imported(ROOT / "converter/__init__.py"))


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


STAGES = (
    *("engines", "network", "loading", "preprocessing", "onnx", "verification", "evaluation"),
    *("training", "sknet", "formats", "drawing", "pycaffe", "demo", "commands"),
)
"""The folders of `converter`, in the order of the flow: each knows those before it."""


def stage_of(name: str) -> int | None:
    """Return which stage a file of `converter` is of; None for a loose file."""
    package, _, rest = name.partition(".")
    stage = rest.partition(".")[0]
    return STAGES.index(stage) if package == "converter" and stage in STAGES else None


def test_the_converters_folders_follow_the_flow() -> None:
    folders = {path.parent.name for path in (ROOT / "converter").glob("*/__init__.py")}
    assert folders == set(STAGES)
    for path in FILES:
        own = stage_of(module_name(path)) if path.parent != ROOT / "converter" else None
        if own is None:
            continue
        later = [name for name in imported_files(path) if (stage_of(name) or 0) > own]
        assert not later, f"{module_name(path)} must not know {later}: they come after it"


LOOSE = 18
"""How many files a folder may hold before it is a list that nobody reads."""
CATALOGUES = ("caffe_layers/", "prototxt/nets", "converter/commands")
"""Folders of one file for each layer, network or command."""
NO_FAMILIES = ("caffe_layers/arithmetic", "caffe_layers/base", "caffe_layers/fused")


def test_no_folder_is_a_drawer() -> None:
    folders = {path.parent for path in FILES}
    assert len(folders) > 30
    for folder in folders:
        name = folder.relative_to(ROOT).as_posix()
        if not name.startswith(CATALOGUES) or name in NO_FAMILIES:
            count = len(list(folder.glob("*.py")))
            assert count <= LOOSE, f"{name} has {count} files: which folders are they of?"


def test_every_layer_is_named_by_its_family() -> None:
    """A file that nobody imports would register nothing, and no user's types would see it."""
    for name in LAYERS:
        family, _, stem = name.rpartition(".")
        table = ROOT.joinpath(*family.split("."), "__init__.py").read_text(encoding="utf-8")
        assert f"from .{stem} import " in table, f"{family}/__init__.py does not name {stem}"
    classes = [cls for readings in caffe_layers.LAYERS.values() for cls in readings.values()]
    assert len(classes) > 150
    for cls in classes:
        assert getattr(caffe_layers, cls.__name__) is cls, f"caffe_layers has no {cls.__name__}"


def test_layers_write_through_typed_interfaces() -> None:
    for path in (ROOT / "caffe_layers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.arg) and node.arg in ("op", "py"):
                annotation = ast.unparse(node.annotation) if node.annotation else None
                assert annotation == node.arg.capitalize(), f"{path}: {node.arg}: {annotation}"


@pytest.mark.parametrize("name", LAYERS)
def test_no_layer_imports_another(name: str) -> None:
    others = LAYERS.keys() - {name}
    wrong = [other for other in imported(LAYERS[name]) if other in others]
    assert not wrong, f"{name} must not know {wrong}: what both need has a module of its own"


def test_every_layer_is_there_once_caffe_layers_is_imported() -> None:
    code = "import sys, caffe_layers; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    python = {module_name(p) for p in FILES if "\n@register_python(" in p.read_text("utf-8")}
    assert len(python) > 5
    missing = (LAYERS.keys() | python) - set(ran.stdout.split())
    assert not missing, f"the `__init__` of their families does not name {missing}"


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

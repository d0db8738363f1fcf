"""The API can be looked up: docstrings name every parameter, and the site of them builds."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
from typing_extensions import get_type_hints

from converter.commands import COMMANDS
from tests.support.paths import ROOT

PACKAGES = (
    "converter",
    "converter.evaluation",
    "converter.sknet",
    "converter.training",
    "prototxt",
)
WIDE = 5
"""Of so many parameters on, a docstring's sentences no longer say what each one is."""


def public(package: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Give the functions and classes of a package's `__all__`."""
    module = import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isfunction(value) or (inspect.isclass(value) and value.__init__ is not object):
            yield f"{package}.{name}", value


def parameters(function: Callable[..., Any]) -> Iterator[str]:
    """Give the names that a call may use, those of a TypedDict among them."""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            for kind in get_args(get_type_hints(function)[parameter.name]):
                yield from kind.__annotations__
        else:
            yield parameter.name


FUNCTIONS = [pair for package in PACKAGES for pair in public(package)]
WIDE_ONES = [
    pytest.param(function, id=name)
    for name, function in FUNCTIONS
    if inspect.isfunction(function) and len(list(parameters(function))) >= WIDE
]


@pytest.mark.parametrize("function", WIDE_ONES)
def test_help_names_every_parameter(function: Callable[..., Any]) -> None:
    said = inspect.getdoc(function) or ""
    if function.__name__ == "convert":
        said += inspect.getdoc(import_module("converter").load) or ""  # whose options it takes
    for name in parameters(function):
        listed = re.search(rf"^ +{name}:|`{name}`", said, re.MULTILINE)
        assert listed, f"help({function.__name__}) does not say what {name!r} is"


def test_wide_functions_are_looked_at() -> None:
    names = {case.id for case in WIDE_ONES}
    assert names > {"converter.load", "converter.convert", "converter.verify"}


class Anchors(HTMLParser):
    """The ids of a page's elements."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for name, value in attrs if name == "id" and value}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built site; a warning is an error."""
    pytest.importorskip("mkdocs", reason="the site wants the extra `docs`")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_site_has_every_guide_command_and_layer(site: Path) -> None:
    for guide in (ROOT / "docs").glob("*.md"):
        assert (site / guide.stem / "index.html").is_file(), guide.name
    commands = Anchors(site / "reference" / "commands" / "index.html").found
    assert commands >= set(COMMANDS)
    anchors: set[str] = set()
    for page in (site / "reference" / "layers").rglob("index.html"):
        anchors |= {name.rsplit(".", 1)[-1] for name in Anchors(page).found}
    layers = import_module("caffe_layers").LAYERS
    classes = {cls.__name__ for readings in layers.values() for cls in readings.values()}
    assert len(classes) > 200
    assert anchors >= classes


def signatures(page: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield the classes of a page, each with the words of its signature."""
    heading = re.compile(r'id="[\w.]+\.(\w+)" class="doc doc-heading"')
    _, *parts = heading.split(page.read_text(encoding="utf-8"))
    for name, part in zip(parts[::2], parts[1::2], strict=True):
        said, bases, _ = re.sub(r"<[^>]+>", "", part).partition("Bases:")
        if bases:
            yield name, set(re.findall(r"\w+", said))


def test_site_names_all_that_a_layer_takes(site: Path) -> None:
    pages = (site / "reference" / "layers").rglob("index.html")
    said = dict(pair for page in pages for pair in signatures(page))
    layers = import_module("caffe_layers").LAYERS
    for cls in {cls for readings in layers.values() for cls in readings.values()}:
        words = said[cls.__name__]
        assert words >= set(inspect.signature(cls).parameters), cls.__name__
        assert "Unpack" not in words


@pytest.mark.parametrize("package", PACKAGES)
def test_site_has_every_public_name(site: Path, package: str) -> None:
    anchors = Anchors(site / "reference" / package / "index.html").found
    assert anchors >= {f"{package}.{name}" for name in import_module(package).__all__}

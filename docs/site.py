"""What the site is made of beside the guides: the start from README, and the reference.

MkDocs calls it (`mkdocs.yml`). The reference comes from docstrings and from the commands' own help,
so it has no page of its own to keep: a new family of layers or command is there by itself.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
LAYERS = "converter/layer_table.md"
PYTHON = {
    "converter": "Networks: load, run, convert, verify",
    "converter.training": "Training",
    "converter.evaluation": "Evaluation and features",
    "converter.sknet": "SKNet",
    "prototxt": "Caffe's files",
}
"""The packages whose `__all__` is for users, by what they are for."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the reference to the navigation."""
    assert config.nav is not None
    pages = [{title: name} for name, (title, _) in reference().items()]
    config.nav.append({"Reference": pages})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file in `docs` holds."""
    files.append(File.generated(config, "index.md", content=start()))
    for name, (title, body) in reference().items():
        files.append(File.generated(config, name, content=f"# {title}\n\n{body}"))
    return files


def start() -> str:
    """Return README, its links to where the site has the pages."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.replace("](docs/", "](").replace(f"]({LAYERS})", "](reference/layers.md)")


def reference() -> dict[str, tuple[str, str]]:
    """Return title and text of each page of the reference, by its file."""
    layers = (ROOT / LAYERS).read_text(encoding="utf-8")
    pages = {
        "reference/commands.md": ("The command line", "\n".join(commands())),
        "reference/layers.md": ("All layers", layers),
    }
    for package, title in PYTHON.items():
        pages[f"reference/{package}.md"] = (title, members_of(package))
    for package in families():
        name = package.removeprefix("caffe_layers.").removeprefix("forks.")
        pages[f"reference/layers/{name}.md"] = (f"Layers: {name}", members_of(package))
    return pages


def commands() -> Iterator[str]:
    """Give each command's help, as the program prints it."""
    from converter.commands import COMMANDS, get_command

    for name in COMMANDS:
        command = get_command(name)
        parser = ArgumentParser(prog=f"caffeport {name}", description=command.HELP)
        command.add_arguments(parser)
        yield f"## {name}\n\n```text\n{parser.format_help()}```\n"


def families() -> Iterator[str]:
    """Give the packages of layers, BVLC's first."""
    folder = ROOT / "caffe_layers"
    for pattern in ("*/__init__.py", "forks/*/__init__.py"):
        for path in sorted(folder.glob(pattern)):
            package = path.parent.relative_to(ROOT)
            if any(line.startswith("__all__") for line in path.read_text().splitlines()):
                yield ".".join(package.parts)


def members_of(package: str) -> str:
    """Return what makes mkdocstrings write a package's `__all__`, one by one."""
    from importlib import import_module

    module: Any = import_module(package)
    said = (module.__doc__ or "").strip()
    blocks = [f"::: {package}.{name}" for name in module.__all__]
    return "\n\n".join([said, *blocks]) + "\n"

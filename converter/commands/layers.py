"""`caffeport layers`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from caffe_layers import LAYERS
from converter.text import format_markdown

HELP = "list the layer types that are here, as a Markdown table"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""


def run(args: Namespace) -> int:
    """Print the table."""
    print(format_layers())
    return 0


def format_layers() -> str:
    """Return the types by family; a fork's carry its name."""
    families: dict[str, list[str]] = {}
    for name, readings in sorted(LAYERS.items(), key=lambda item: item[0].lower()):
        for fork, cls in sorted(readings.items()):
            family = cls.__module__.split(".")[-2]
            families.setdefault(family, []).append(name if fork == "bvlc" else f"{name} ({fork})")
    rows = [(family, ", ".join(types)) for family, types in sorted(families.items())]
    return format_markdown(("family", "layers"), rows)

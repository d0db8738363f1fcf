"""`caffeport layers`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from prototxt.errors import UsageError

from ._options import add_layers

HELP = "list the layer types that are here, as a Markdown table"
WRITTEN = Path(__file__).parents[1] / "layer_table.md"
"""The table of the shipped layers, as `python -m converter.layer_table` wrote it."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_layers(parser)


def run(args: Namespace) -> int:
    """Print the table."""
    if args.proto and not args.layers:
        raise UsageError("--proto says messages, no layers", fix="name their code with --layers")
    print(_with_own(args) if args.layers else WRITTEN.read_text(encoding="utf-8"), end="")
    return 0


def _with_own(args: Namespace) -> str:
    from converter.layer_table import format_layers
    from converter.loading.user_layers import registry_of

    return f"{format_layers(registry_of(args.layers, proto=args.proto))}\n"

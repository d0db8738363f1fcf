"""`caffeport show`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prototxt.errors import CaffeError

from ._options import add_net, load_options

if TYPE_CHECKING:
    from prototxt import Net

HELP = "print the layer table: shapes, parameters, multiply-adds, totals"


def dialects(definition: Net) -> str:
    """Say which dialects a definition is of, and what gave them away."""
    given = [f"{name} (given)" for name in definition.schema.given]
    return ", ".join([*given, *map(str, definition.dialects)]) or "bvlc"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser)


def run(args: Namespace) -> int:
    """Print the table; where not all of it is known, the status is 1 and the reasons stand below.

    What has no table at all is an error alone.
    """
    from converter.loading.known.survey import survey
    from converter.network.summary import format_summary, summarize
    from converter.verification.report import Report

    found = survey(args.net, args.weights, **load_options(args))
    try:
        net = found.load()
    except CaffeError:
        print_table(args, found.definition, format_summary(found.summary()), found.notes)
        for cause in found.causes():
            print(cause)
        raise
    print_table(args, found.definition, format_summary(summarize(net)), Report.of(net).notes)
    return 0


def print_table(args: Namespace, definition: Net, table: str, notes: Iterable[str]) -> None:
    """Print what was recognized, the table, and the notes."""
    print(f"dialect: {args.dialect or dialects(definition)}\n")
    print(table)
    for note in notes:
        print(f"note: {note}")

"""`caffeport show`."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from prototxt.errors import CaffeError

from ._options import COMPUTING, add_json, add_net, load_options
from ._start import start

if TYPE_CHECKING:
    from converter.network.summary import Summary
    from prototxt import Net

HELP = "print the layer table: shapes, parameters, multiply-adds, totals"


def dialects(definition: Net) -> str:
    """Say which dialects a definition is of, and what gave them away."""
    given = [f"{name} (given)" for name in definition.schema.given]
    return ", ".join([*given, *map(str, definition.dialects)]) or "bvlc"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser, without=COMPUTING)
    add_json(parser)


def run(args: Namespace) -> int:
    """Print the table; where not all of it is known, the status is 1 and the reasons stand below.

    What has no table at all is an error alone.
    """
    start("converter.verification.report")
    from converter.loading.known.survey import survey
    from converter.network.summary import format_summary, summarize
    from converter.verification.report import Report

    found = survey(args.net, args.weights, **load_options(args))
    try:
        net = found.load()
    except CaffeError:
        summary, causes = found.summary(), found.causes()
        if args.json:
            _print_json(args, found.definition, summary, found.notes, causes)
        elif not args.quiet:
            print_table(args, found.definition, format_summary(summary), found.notes)
            for cause in causes:
                print(cause)
        raise
    summary, notes = summarize(net), Report.of(net).notes
    if args.json:
        _print_json(args, found.definition, summary, notes, [])
    elif not args.quiet:
        print_table(args, found.definition, format_summary(summary), notes)
    return 0


def _print_json(
    args: Namespace,
    definition: Net,
    summary: Summary,
    notes: Iterable[str],
    unknown: Sequence[str],
) -> None:
    """Print the table as JSON: an unknown shape is null, its reason is among `unknown`."""
    said = {
        "dialect": args.dialect or dialects(definition),
        **asdict(summary),
        "multiply_adds": summary.multiply_adds,
        "notes": list(notes),
        "unknown": list(unknown),
    }
    print(json.dumps(said, indent=1))


def print_table(args: Namespace, definition: Net, table: str, notes: Iterable[str]) -> None:
    """Print what was recognized, the table, and the notes."""
    print(f"dialect: {args.dialect or dialects(definition)}\n")
    print(table)
    for note in notes:
        print(f"note: {note}")

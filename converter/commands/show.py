"""`caffeport show`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..report import Report
from ..summary import format_summary, summarize
from .options import add_net, load_net

HELP = "print the layer table: shapes, parameters, multiply-adds, totals"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser)


def run(args: Namespace) -> int:
    """Print the table."""
    net = load_net(args)
    print(format_summary(summarize(net)))
    for note in Report.of(net).notes:
        print(f"note: {note}")
    return 0

"""`caffeport show`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ._options import add_net, load_net

if TYPE_CHECKING:
    from converter.network.net import CaffeNet

HELP = "print the layer table: shapes, parameters, multiply-adds, totals"


def dialects(net: CaffeNet) -> str:
    """Say which dialects the definition is of, and what gave them away."""
    found = net.definition.dialects if net.definition else []
    return ", ".join(map(str, found)) or "bvlc"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser)


def run(args: Namespace) -> int:
    """Print the table."""
    from converter.network.summary import format_summary, summarize
    from converter.verification.report import Report

    net = load_net(args, weightless=True)
    print(f"dialect: {args.dialect or dialects(net)}\n")
    print(format_summary(summarize(net)))
    for note in Report.of(net).notes:
        print(f"note: {note}")
    return 0

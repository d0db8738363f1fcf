"""`caffeport table`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

HELP = "print parameters and multiply-adds of SKNet's Table 2 beside the paper's"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--markdown", action="store_true", help="as Markdown")


def run(args: Namespace) -> int:
    """Print the table."""
    from converter.sknet.table2 import count, format_table

    print(format_table(count(), markdown=args.markdown))
    return 0

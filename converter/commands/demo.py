"""`caffeport demo`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ._start import start

HELP = "convert the network that comes along, verify it, classify held-out digits with it"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("-o", "--out", default="out/demo", metavar="DIR", help="default: out/demo")


def run(args: Namespace) -> int:
    """Run the demo."""
    start("converter.demo.run")
    from converter.demo import run_demo

    return run_demo(args.out, quiet=False)

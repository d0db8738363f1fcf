"""`caffeport completion`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from . import COMMANDS, get_command
from ._completion import bash

HELP = 'print what completes commands and options in bash: eval "$(caffeport completion bash)"'
SHELLS = {"bash": bash}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("shell", choices=SHELLS)


def run(args: Namespace) -> int:
    """Print the script: it names every option itself, so that no key starts Python."""
    print(SHELLS[args.shell]("caffeport", dict(_parsers())), end="")
    return 0


def _parsers() -> Iterator[tuple[str, ArgumentParser]]:
    for name in COMMANDS:
        parser = ArgumentParser()
        get_command(name).add_arguments(parser)
        yield name, parser

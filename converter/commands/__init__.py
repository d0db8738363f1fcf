"""The command line's commands: one file each, found by themselves.

A command is a module with `HELP`, `add_arguments(parser)` and `run(args)`, which returns the exit
status; its name is the module's. What its arguments need it imports at its head, and in `run` what
it runs: no command needs torch to say its help.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

COMMANDS: tuple[str, ...] = tuple(
    module.name for module in iter_modules(__path__) if not module.name.startswith("_")
)


class Command(Protocol):
    """What a module of this package holds."""

    HELP: str

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, args: Namespace) -> int:
        """Do it; return 0 when done, 1 when a verification failed."""


def get_command(name: str) -> Command:
    """Return a command by its name."""
    module: Command = import_module(f"{__name__}.{name}")
    return module

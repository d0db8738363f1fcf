"""The command line: it parses and prints, the rest is the library's."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from prototxt.errors import CaffeError

from .commands import COMMANDS, get_command
from .commands._signals import StoppedError, raising_on_signals, stopped
from .version import VERSION


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when done, 1 when a file is at fault or a verification failed, 128 + n on a signal.

    Wrong usage exits with 2, as argparse does.
    """
    try:
        with raising_on_signals():
            args = _parsed(sys.argv[1:] if argv is None else argv)
            return get_command(args.command).run(args)
    except StoppedError as error:
        return stopped(error.number)
    except KeyboardInterrupt:  # of a handler that somebody else set
        return stopped(signal.SIGINT)
    except CaffeError as error:
        print(f"caffeport: {error}", file=sys.stderr)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"caffeport: {place}{error.strerror or error}", file=sys.stderr)
    return 1


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="caffeport", description="Caffe models to PyTorch and ONNX, verified blob by blob."
    )
    parser.add_argument("--version", action="version", version=f"caffeport {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        command = get_command(name)
        own = commands.add_parser(name, help=command.HELP, description=command.HELP)
        if name in argv[:1]:  # the others' arguments would import what they alone need
            command.add_arguments(own)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())

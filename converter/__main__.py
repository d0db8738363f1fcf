"""The command line: it parses and prints, the rest is the library's."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from prototxt.errors import CaffeError

from .commands import COMMANDS, get_command
from .version import VERSION


class TerminatedError(BaseException):
    """SIGTERM came."""


@contextmanager
def raising_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise TerminatedError inside the block, as SIGINT raises KeyboardInterrupt.

    So what writes files takes back what is half done. Other processes that begin inside, workers,
    end by the signal itself. Nothing changes in a thread that may set no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = os.getpid()

    def terminate(number: int, frame: Any) -> None:
        if os.getpid() == ours:
            raise TerminatedError
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when done, 1 when a file is at fault or a verification failed, 128 + n on a signal.

    Wrong usage exits with 2, as argparse does.
    """
    parser = argparse.ArgumentParser(
        prog="caffeport", description="Caffe models to PyTorch and ONNX, verified blob by blob."
    )
    parser.add_argument("--version", action="version", version=f"caffeport {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    argv = sys.argv[1:] if argv is None else argv
    for name in COMMANDS:
        command = get_command(name)
        own = commands.add_parser(name, help=command.HELP, description=command.HELP)
        if name in argv[:1]:  # the others' arguments would import what they alone need
            command.add_arguments(own)
    args = parser.parse_args(argv)
    try:
        with raising_on_sigterm():
            return get_command(args.command).run(args)
    except KeyboardInterrupt:
        return _stopped("interrupted", signal.SIGINT)
    except TerminatedError:
        return _stopped("terminated", signal.SIGTERM)
    except CaffeError as error:
        print(f"caffeport: {error}", file=sys.stderr)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"caffeport: {place}{error.strerror or error}", file=sys.stderr)
    return 1


def _stopped(how: str, number: int) -> int:
    """Say what ended the command; return the status that shells give for the signal."""
    print(f"caffeport: {how}", file=sys.stderr)
    return 128 + number


if __name__ == "__main__":
    sys.exit(main())

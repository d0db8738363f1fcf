"""`caffeport define`."""

from __future__ import annotations

import ast
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

HELP = "write the definition of a network of SKNet's Table 2, or of a variant of it"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    from prototxt.nets.networks import NETWORKS

    parser.add_argument("name", metavar="NAME", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument(
        "options",
        nargs="*",
        type=_option,
        metavar="OPTION=VALUE",
        help="an option of the builder: branches=3, 'groups=(32,64)', dilated=False",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="default: standard output")


def run(args: Namespace) -> int:
    """Write the prototxt."""
    from prototxt.atomic import writing
    from prototxt.nets.networks import build

    text = str(build(args.name, **dict(args.options)))
    if args.output is None:
        print(text, end="")
        return 0
    with writing(Path(args.output)) as file:
        file.write(text.encode())
    return 0


def _option(text: str) -> tuple[str, Any]:
    name, found, value = text.partition("=")
    try:
        return name, ast.literal_eval(value.strip() if found else "")
    except (SyntaxError, ValueError):
        raise ArgumentTypeError(f"{text!r} wants OPTION=VALUE, as branches=3") from None

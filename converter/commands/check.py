"""`caffeport check`."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from converter.keywords import only
from converter.onnx.options import GraphOptions

from ._options import add_json, add_net, add_options, load_options, say
from ._start import start

HELP = "say what is supported, in torch and in ONNX, what is not and why"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser, without=("--device", "--seed"))
    add_json(parser)
    add_options(parser.add_argument_group("ONNX, as for `convert`"), GraphOptions)


def run(args: Namespace) -> int:
    """Print the table; the status is 1 if something is not supported."""
    start("converter.check")
    from converter.check import check

    found = check(args.net, args.weights, **only(GraphOptions, vars(args)), **load_options(args))
    if args.json:
        print(json.dumps({"passed": found.passed, **asdict(found)}, indent=1))
    else:
        say(args, found.text())
    return 0 if found.passed else 1

"""`caffeport verify`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

import torch

from ..inputs import read_inputs
from ..verify import verify
from .options import add_golden, add_inputs, add_net, load_net, say

HELP = "compare torch, ONNX Runtime and Caffe's own blobs, and name the first that differs"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser)
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="an ONNX file (default: one made for the purpose)"
    )
    add_inputs(parser)
    add_golden(parser)


def run(args: Namespace) -> int:
    """Verify; the status is 1 if a blob is out of tolerance."""
    half = args.dtype == "float16"
    report = verify(
        load_net(args, dtype=torch.float32) if half else load_net(args),
        args.model,
        inputs=read_inputs(args.input),
        golden=args.golden,
        golden_float=args.golden_float,
        tolerance=args.tolerance,
        half=half,
        seed=args.seed,
        quiet=args.quiet,
    )
    say(args, report.text())
    return 0 if report.passed else 1

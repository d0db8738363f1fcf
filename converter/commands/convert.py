"""`caffeport convert`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from converter.formats import DEFAULT_FORMATS, FORMATS

from ._options import (
    add_export,
    add_golden,
    add_inputs,
    add_net,
    add_preprocessing,
    export_options,
    load_options,
    preprocessing_options,
    say,
)

HELP = "write ONNX, safetensors and other formats, verify them, and report"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser)
    parser.add_argument("-o", "--out", required=True, metavar="DIR")
    parser.add_argument(
        "--format",
        default=",".join(DEFAULT_FORMATS),
        help=f"of {', '.join(FORMATS)} (default: {','.join(DEFAULT_FORMATS)})",
    )
    parser.add_argument("--no-verify", action="store_true")
    add_inputs(parser)
    add_golden(parser)
    add_export(parser)
    parser.add_argument(
        "--embed-preprocessing",
        action="store_true",
        help="let the ONNX model take RGB images, N x H x W x 3 bytes of any size",
    )
    add_preprocessing(parser)


def run(args: Namespace) -> int:
    """Convert; the status is 1 if a verification failed."""
    from converter.conversion import convert
    from converter.preprocessing.inputs import read_fed

    report = convert(
        args.net,
        args.weights,
        args.out,
        formats=[name for name in args.format.split(",") if name],
        verify_it=not args.no_verify,
        inputs=read_fed(args.input),
        golden=args.golden,
        golden_float=args.golden_float,
        tolerance=args.tolerance,
        embed_preprocessing=args.embed_preprocessing,
        preprocessing=preprocessing_options(args),
        quiet=args.quiet,
        **load_options(args),
        **export_options(args),
    )
    say(args, report.text())
    for file in report.written:
        say(args, f"wrote {file.path} ({file.size:,} bytes)")
    say(args, f"wrote {Path(args.out, 'report.md')}: what was compared, and how the files are used")
    return 0 if report.passed else 1

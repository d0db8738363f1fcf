"""`caffeport convert`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from converter.formats import DEFAULT_FORMATS, FORMATS
from prototxt.errors import UsageError

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
from ._start import start

if TYPE_CHECKING:
    from converter.conversions import Model
    from converter.verification.report import Report

HELP = "write ONNX, safetensors and other formats, verify them, and report"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser, several=True, int8=True)
    parser.add_argument("-o", "--out", required=True, metavar="DIR")
    parser.add_argument(
        "--format",
        default=",".join(DEFAULT_FORMATS),
        help=f"of {', '.join(FORMATS)} (default: {','.join(DEFAULT_FORMATS)})",
    )
    parser.add_argument(
        "--name",
        metavar="STEM",
        help="of the files, in place of the definition's; the report is then STEM.report.md",
    )
    parser.add_argument(
        "--from",
        dest="list",
        metavar="LIST",
        help="convert what a file lists, NET [WEIGHTS [NAME]] in each line",
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
    start("converter.conversion", "converter.conversions", asleep=True)
    from converter.conversions import Model, convert_all, models_of, read_list, table

    words = [word for word in (args.net, args.weights, *args.more) if word is not None]
    if bool(words) == bool(args.list):
        raise UsageError("which network?", fix="give NET [WEIGHTS] ..., or --from LIST")
    # A .caffemodel before a .prototxt, or one file twice, is a slip rather than two networks.
    two = len(set(words)) == 2 and all(word.endswith(".prototxt") for word in words)
    several = args.list or args.more or two
    if not several:
        report = _converted(args, Model(args.net, args.weights, args.name or ""))
        _tell(args, report)
        return 0 if report.passed else 1
    if args.name is not None:
        raise UsageError("--name is one network's", fix="name each in a list for --from")
    models = read_list(args.list) if args.list else models_of(words)
    outcomes = convert_all(models, args.out, lambda model: _converted(args, model))
    say(args, table(outcomes))
    say(args, f"wrote {Path(args.out, 'summary.json')}")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _converted(args: Namespace, model: Model) -> Report:
    from converter.conversion import convert
    from converter.preprocessing.inputs import read_fed

    return convert(
        model.net,
        model.weights,
        args.out,
        formats=[name for name in args.format.split(",") if name],
        verify_it=not args.no_verify,
        inputs=read_fed(args.input),
        golden=args.golden,
        golden_float=args.golden_float,
        tolerance=args.tolerance,
        embed_preprocessing=args.embed_preprocessing,
        preprocessing=preprocessing_options(args),
        name=model.name or args.name,
        quiet=args.quiet,
        **load_options(args),
        **export_options(args),
    )


def _tell(args: Namespace, report: Report) -> None:
    say(args, report.text())
    for file in report.written:
        say(args, f"wrote {file.path} ({file.size:,} bytes)")
    told = Path(args.out, f"{args.name}.report.md" if args.name else "report.md")
    say(args, f"wrote {told}: what was compared, and how the files are used")
    for caveat in report.caveats:
        say(args, caveat)

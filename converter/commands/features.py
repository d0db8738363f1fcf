"""`caffeport features`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ._options import add_net, say
from ._start import start
from .eval import add_data

HELP = "write blobs of a network for many images, as Caffe's extract_features did"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser)
    add_data(parser)
    parser.add_argument("--blobs", required=True, metavar="A,B", help="whose values are written")
    parser.add_argument(
        "-o",
        "--out",
        required=True,
        metavar="FILE",
        help=".npz, .h5 or .csv; what was cut off goes on from the folder FILE.state",
    )


def run(args: Namespace) -> int:
    """Write the file; say what is in it."""
    start("converter.evaluation.features")
    from converter.evaluation.features import extract
    from converter.evaluation.samples import open_samples
    from converter.text import format_shape
    from prototxt.errors import UsageError

    from ._classifier import load_classifier

    if args.end:
        raise UsageError("--end is said by --blobs here")
    args.end = [name for name in args.blobs.split(",") if name]
    if not args.end:
        raise UsageError("--blobs names no blob", fix="name those whose values are wanted: fc7")
    net, preprocessing = load_classifier(args)
    samples = open_samples(args.data, labels=args.labels, root=args.root, labelled=False)
    shapes = extract(
        net,
        samples,
        preprocessing,
        Path(args.out),
        batch=args.batch,
        workers=args.workers,
        quiet=args.quiet,
    )
    say(args, f"preprocessing: {preprocessing}")
    for name, shape in shapes.items():
        say(args, f"{name} {format_shape(shape)}")
    say(args, f"wrote {args.out}")
    return 0

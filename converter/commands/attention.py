"""`caffeport attention`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ._options import add_net, say
from ._start import start
from .eval import add_data

HELP = "show what an SKNet's units select, over images, classes and scales"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser)
    add_data(parser)
    parser.add_argument(
        "--scales", type=float, nargs="+", default=[1.0, 1.5, 2.0], help="of the central object"
    )
    parser.add_argument("-o", "--out", required=True, metavar="DIR")


def run(args: Namespace) -> int:
    """Measure, write tables and pictures."""
    start("converter.sknet.attention")
    from converter.evaluation.samples import is_tree, open_samples, read_labels
    from converter.sknet.attention import draw_attention, measure_attention, write_tables
    from prototxt.atomic import filling

    from ._classifier import load_classifier

    net, preprocessing = load_classifier(args)
    folders = args.labels if is_tree(args.data) else None  # of a list they name the tables alone
    samples = open_samples(args.data, labels=folders, root=args.root)
    attention = measure_attention(
        net,
        samples,
        preprocessing,
        scales=args.scales,
        batch=args.batch,
        workers=args.workers,
        quiet=args.quiet,
    )
    say(args, f"preprocessing: {preprocessing}")
    names = read_labels(args.labels) if args.labels else []
    with filling(Path(args.out)) as folder:
        written = write_tables(attention, folder, names) + draw_attention(attention, folder, names)
    for unit in attention.units:
        means = [attention.difference(i, unit).mean() for i in range(len(args.scales))]
        said = "  ".join(f"{s:g}x {m:+.4f}" for s, m in zip(args.scales, means, strict=True))
        say(args, f"{unit.name:10}  {said}")
    for path in written:
        say(args, f"wrote {Path(args.out, path.name)}")
    return 0

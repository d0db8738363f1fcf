"""`caffeport run`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from prototxt.errors import UsageError

from ._options import ASKING, LEAST, add_inputs, add_net, add_preprocessing, say
from ._start import start

SUFFIX = ".npz"
HELP = "run the network: say what is on a photo, draw it there, write every blob by name"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser)
    add_inputs(parser)
    add_preprocessing(parser)
    parser.add_argument("--output", metavar="FILE.npz")
    parser.add_argument(
        "--backward",
        action="store_true",
        help="write Caffe's diffs too: diff|BLOB and pdiff|LAYER[i]",
    )
    group = parser.add_argument_group(
        "photo", "what the network says of the one that is fed: boxes, a map of classes or the best"
    )
    group.add_argument("--draw", metavar="OUT.png", help="draw it on the photo")
    group.add_argument("--labels", metavar="FILE", help="names of the classes, one a line")
    group.add_argument("--blob", help="the output that says it, of several")
    group.add_argument("--least", type=float, help=f"the least score of a box (default: {LEAST})")


def run(args: Namespace) -> int:
    """Run, and write the blobs; without --input the inputs are seeded random numbers.

    NET may be an ONNX file: then its outputs are what there is to write and to draw.
    """
    if not (args.output or args.draw or args.input):
        raise UsageError("nothing is asked for", fix=ASKING)
    if args.output and Path(args.output).suffix not in ("", SUFFIX):
        raise UsageError(f"--output {args.output}: blobs are written as {SUFFIX}")
    start("converter.commands._running")
    from converter.evaluation.samples import read_labels
    from converter.npz import write_npz
    from converter.text import format_shape
    from prototxt.atomic import writing

    from ._running import answer, compute, draw

    computed = compute(args)
    for name, blob in computed.outputs.items():
        say(args, f"{name} {format_shape(blob.shape)}")
    labels = read_labels(args.labels) if args.labels else []
    result = answer(args, computed, labels)
    if args.output:
        with writing(Path(args.output)) as file:
            write_npz(file, computed.blobs)
        say(args, f"wrote {args.output} ({len(computed.blobs)} arrays)")
    if args.draw:
        assert computed.photo is not None  # `compute` has seen to it
        assert result is not None
        draw(args, result, computed.photo, labels)
    return 0

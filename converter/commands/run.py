"""`caffeport run`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from prototxt.errors import UsageError

from ._options import add_inputs, add_net, add_preprocessing, say

HELP = "run the network: write every blob by name, draw on the photo what it says"


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
        "drawing", "boxes, a map of classes or the best classes, on the photo that is fed"
    )
    group.add_argument("--draw", metavar="OUT.png")
    group.add_argument("--labels", metavar="FILE", help="names of the classes, one a line")
    group.add_argument("--blob", help="the output to draw, of several")
    group.add_argument(
        "--least", type=float, default=0.5, help="the least score of a box (default: 0.5)"
    )


def run(args: Namespace) -> int:
    """Run, and write the blobs; without --input the inputs are seeded random numbers.

    NET may be an ONNX file: then its outputs are what there is to write and to draw.
    """
    if not (args.output or args.draw):
        raise UsageError("nothing is asked for", fix="give --output FILE.npz, --draw OUT.png")
    from converter.npz import write_npz
    from converter.text import format_shape
    from prototxt.atomic import writing

    from ._running import compute, draw

    computed = compute(args)
    for name, blob in computed.outputs.items():
        say(args, f"{name} {format_shape(blob.shape)}")
    if args.output:
        with writing(Path(args.output)) as file:
            write_npz(file, computed.blobs)
        say(args, f"wrote {args.output} ({len(computed.blobs)} arrays)")
    if args.draw:
        assert computed.drawn is not None  # `compute` has seen to it
        draw(args, computed.outputs, computed.drawn)
    return 0

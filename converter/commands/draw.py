"""`caffeport draw`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ._options import COMPUTING, add_net, load_and_tell, say
from ._start import start

HELP = "draw the network as a picture: layers by type, shapes, blocks"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser, without=COMPUTING)
    parser.add_argument(
        "-o", "--out", required=True, metavar="FILE", help="the .svg, .png or .pdf to write"
    )


def run(args: Namespace) -> int:
    """Write the picture."""
    start("converter.loading.load")
    from converter.drawing.picture import write_picture
    from converter.drawing.svg import draw

    write_picture(draw(load_and_tell(args)), Path(args.out))
    say(args, f"wrote {args.out}")
    return 0

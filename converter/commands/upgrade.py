"""`caffeport upgrade`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ._options import add_reading, add_values, say

if TYPE_CHECKING:
    from prototxt.schema import Schema

HELP = "rewrite a definition or weights of any generation in today's form"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("source", metavar="IN", help="text or binary: V0, V1, V2")
    parser.add_argument(
        "target",
        metavar="OUT",
        help="text if it ends in .prototxt, binary in .caffemodel, else as IN is",
    )
    add_values(parser)
    add_reading(parser)
    parser.add_argument(
        "--allow-unknown", action="store_true", help="leave out unknown fields, and say so"
    )
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def run(args: Namespace) -> int:
    """Write the file; say what was left out."""
    from prototxt.upgrade_file import upgrade_file

    schema = _schema(args)
    done = upgrade_file(
        args.source,
        args.target,
        allow_unknown=args.allow_unknown,
        dialect=args.dialect,
        values=dict(args.values),
        schema=schema,
    )
    before = "today's form" if done.up_to_date else done.generation
    say(args, f"wrote {args.target}: {done.form}, today's form; {args.source} was {before}")
    for note in schema.notes:
        say(args, f"note: {note}")
    for what in done.left_out:
        say(args, f"note: left out {what}")
    return 0


def _schema(args: Namespace) -> Schema:
    """Return the schema that files are read by: layers of one's own bring theirs, and torch."""
    from prototxt.schema import SHIPPED
    from prototxt.schema.protos import with_protos

    if not args.layers:
        return with_protos(SHIPPED, args.proto, args.source)
    from converter.loading.user_layers import registry_of

    return registry_of(args.layers, proto=args.proto, near=args.source).schema

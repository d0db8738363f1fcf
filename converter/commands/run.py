"""`caffeport run`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

import torch

from prototxt.atomic import writing

from ..arrays import array_of, random_inputs, tensors_of, write_npz
from ..backward import backward
from ..inputs import read_inputs
from .options import add_inputs, add_net, load_net, say

HELP = "run the network and write every blob by name"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser)
    add_inputs(parser)
    parser.add_argument("--output", required=True, metavar="FILE.npz")
    parser.add_argument(
        "--backward",
        action="store_true",
        help="write Caffe's diffs too: diff|BLOB and pdiff|LAYER[i]",
    )


def run(args: Namespace) -> int:
    """Run, and write the blobs; without --input the inputs are seeded random numbers."""
    net = load_net(args)
    given = read_inputs(args.input)
    fed = tensors_of(net, given) if given else random_inputs(net, args.seed, losses=True)
    if args.backward:
        got = backward(net, fed)
        blobs = {name: array_of(blob) for name, blob in got.blobs.items()}
        blobs |= {f"diff|{name}": array_of(diff) for name, diff in got.diffs.items()}
        for layer, diffs in got.params.items():
            blobs |= {f"pdiff|{layer}[{i}]": array_of(diff) for i, diff in enumerate(diffs)}
    else:
        with torch.no_grad():
            blobs = {name: array_of(blob) for name, blob in net.blobs(fed).items()}
    with writing(Path(args.output)) as file:
        write_npz(file, blobs)
    outputs = net.plan(fed).outputs
    for name in outputs:
        say(args, f"{name} {'x'.join(map(str, blobs[name].shape)) or 'scalar'}")
    say(args, f"wrote {args.output} ({len(blobs)} arrays)")
    return 0

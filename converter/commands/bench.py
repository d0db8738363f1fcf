"""`caffeport bench`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ._options import INT8, add_net, load_net, say
from ._start import start

HELP = "time a network: as converted, optimised, compiled, and in ONNX Runtime, in eight bits too"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser, without=("--seed",), int8=True)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=7, help="of each batch (default: 7)")
    parser.add_argument("--compiled", action="store_true", help="compile with torch too")


def run(args: Namespace) -> int:
    """Print the table."""
    start("converter.bench")
    import torch

    from converter.bench import bench, format_timings

    int8 = args.dtype == INT8
    net = load_net(args, dtype=torch.float32) if int8 else load_net(args)
    timings = bench(
        net,
        batches=args.batch,
        rounds=args.rounds,
        compiled=args.compiled,
        int8=int8,
        quiet=args.quiet,
    )
    for note in net.optimize().notes:
        say(args, f"note: {note}")
    say(args, f"{net.device}, {torch.get_num_threads()} threads, medians of {args.rounds} rounds")
    print(format_timings(timings))
    return 0

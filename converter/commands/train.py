"""`caffeport train`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ._options import add_matching, add_reading, add_shapes, add_values, say, tell_passed_over
from ._start import start

HELP = "train a network as its solver's file says, and write snapshots, a log and a loss curve"

TRAINED_IN = ("float32", "float64")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("solver", metavar="SOLVER", help="a solver.prototxt")
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--weights",
        metavar="A,B",
        help="weights to start from, later ones win; in place of those that the solver names",
    )
    start.add_argument("--snapshot", metavar="FILE", help="a .solverstate to go on from")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: what the solver wants)")
    parser.add_argument("--dtype", choices=TRAINED_IN, default="float32")
    parser.add_argument("--amp", action="store_true", help="multiply matrices in bfloat16")
    parser.add_argument("--seed", type=int, help="in place of the solver's random_seed")
    parser.add_argument("--workers", type=int, default=0, help="processes that read data ahead")
    parser.add_argument(
        "--log", metavar="FILE", help="JSON lines (default: <snapshot_prefix>_log.jsonl)"
    )
    add_matching(parser)
    add_shapes(parser)
    add_values(parser)
    add_reading(parser)
    parser.add_argument(
        "--allow-unknown", action="store_true", help="pass over unknown fields of the networks"
    )
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def run(args: Namespace) -> int:
    """Train; the status is 0, or 128 and a signal's number if one stopped it."""
    start("converter.training.run")
    import torch

    from converter.loading.user_layers import registry_of
    from converter.parallel import join, leave
    from converter.training import Solver
    from converter.training.run import run as train
    from converter.training.settings import MEASURES
    from converter.training.solver import solver_device
    from prototxt.read import read_solver_file

    layers = registry_of(args.layers, proto=args.proto, near=args.solver)
    solver = read_solver_file(args.solver, schema=layers.schema, heeded=MEASURES).param
    device = join(args.device or solver_device(solver))
    try:
        if device.startswith("cuda"):
            torch.backends.cudnn.benchmark = True  # batches have one size
        solver = Solver(
            args.solver,
            weights=args.weights,
            snapshot=args.snapshot,
            device=device,
            dtype=getattr(torch, args.dtype),
            amp=args.amp,
            seed=args.seed,
            workers=args.workers,
            dialect=args.dialect,
            allow_unknown=args.allow_unknown,
            layers=layers,
            proto=args.proto,
            values=dict(args.values),
            input_shapes=dict(args.input_shape),
            rename=dict(args.map),
            ignore=args.ignore,
        )
        tell_passed_over(args, solver.net, *solver.test_nets)
        return train(solver, log=args.log, quiet=args.quiet, say=lambda line: say(args, line))
    finally:
        leave()

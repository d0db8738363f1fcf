"""`caffeport test`."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from ._options import add_net, load_and_tell, say
from ._start import start

HELP = "run a network on its own data and print the mean of every output"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser)
    parser.add_argument("--iterations", type=_positive, default=50, help="batches (default: 50)")
    parser.add_argument(
        "--ap-version",
        metavar="11point|MaxIntegral|Integral",
        help="judge the detections of all batches by their mean average precision, averaged so; "
        "for networks that end with DetectionEvaluate",
    )


def run(args: Namespace) -> int:
    """Print each batch's outputs, then the loss and the means, as Caffe's tool does."""
    start("converter.training")
    import torch

    from converter.training import Outputs, mean_outputs
    from converter.training.networks import check_fed, reading

    with reading():
        net = load_and_tell(args)
    check_fed(net)
    torch.manual_seed(args.seed)  # of what data layers draw

    def seen(batch: int, outputs: Outputs) -> None:
        for line in outputs.lines():
            say(args, f"Batch {batch}, {line.partition(' (* ')[0]}")

    means = mean_outputs(net, args.iterations, seen=seen, ap_version=args.ap_version)
    assert means is not None
    if means.loss is not None:
        print(f"Loss: {means.loss:g}")
    for line in means.lines():
        print(line)
    return 0


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r} is no number of batches")
    return int(text)

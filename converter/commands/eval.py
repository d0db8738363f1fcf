"""`caffeport eval`."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ._options import add_net, add_preprocessing, say
from ._start import start

HELP = "measure a classifier's top-1 and top-5 error on labelled images"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser)
    add_data(parser)
    parser.add_argument("--engine", choices=("torch", "onnx"), default="torch")
    parser.add_argument("--scores", metavar="BLOB", help="the output with the scores, of several")
    parser.add_argument(
        "--output",
        metavar="FILE.json",
        help="the result; an evaluation that was cut off goes on from FILE.json.state",
    )


def add_data(parser: ArgumentParser) -> None:
    """Declare the labelled images and how they are read."""
    parser.add_argument(
        "--data",
        required=True,
        metavar="DIR|LIST|DATABASE",
        help="a folder with a folder for each class, a list of `path label` lines, or a database",
    )
    parser.add_argument("--labels", metavar="FILE", help="names of the classes, one a line")
    parser.add_argument("--root", metavar="DIR", help="what a list's paths begin at")
    parser.add_argument(
        "--size",
        type=int,
        help="the crop in place of the input's; the image is resized in proportion, and an average "
        "pool over a whole map follows",
    )
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2, help="processes that decode images")
    add_preprocessing(parser)


def run(args: Namespace) -> int:
    """Evaluate; under torchrun each process takes its part and the first one reports."""
    start("converter.evaluation.evaluate")
    from converter.evaluation.evaluate import evaluate
    from converter.evaluation.samples import open_samples
    from converter.parallel import Processes, join, leave
    from prototxt.atomic import writing

    from ._classifier import load_classifier

    args.device = join(args.device)
    try:
        net, preprocessing = load_classifier(args)
        samples = open_samples(args.data, labels=args.labels, root=args.root)
        result = evaluate(
            net,
            samples,
            preprocessing,
            engine=args.engine,
            output=args.scores,
            batch=args.batch,
            workers=args.workers,
            state=f"{args.output}.state" if args.output else None,
            quiet=args.quiet,
        )
        if Processes.joined().is_primary:
            say(args, f"{result}\npreprocessing: {result.preprocessing}")
            if args.output:
                with writing(Path(args.output)) as file:
                    file.write(json.dumps(result.as_dict(), indent=1).encode() + b"\n")
    finally:
        leave()
    return 0

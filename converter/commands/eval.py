"""`caffeport eval`."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from converter.evaluation.evaluate import ENGINES, evaluate
from converter.evaluation.samples import open_samples
from converter.loading.load import load
from converter.network.net import CaffeNet
from converter.parallel import Processes, join, leave
from converter.preprocessing import Preprocessing, image_input, preprocessing_of
from prototxt.atomic import writing

from ._options import (
    add_net,
    add_preprocessing,
    load_options,
    preprocessing_options,
    say,
    tell_passed_over,
)

HELP = "measure a classifier's top-1 and top-5 error on labelled images"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser)
    add_data(parser)
    parser.add_argument("--engine", choices=ENGINES, default="torch")
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
        metavar="DIR|LIST|LMDB",
        help="a folder with a folder for each class, a list of `path label` lines, or an LMDB",
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


def load_classifier(args: Namespace) -> tuple[CaffeNet, Preprocessing]:
    """Load the network for one image at a time, of `--size` if that is given, and its needs."""
    options = load_options(args)
    net = load(args.net, args.weights, **options)
    tell_passed_over(args, net)
    settings = preprocessing_options(args)
    wanted = preprocessing_of(net, **settings)
    data = image_input(net)
    _, channels, *size = net.input_shapes[data]
    if args.size is None or size == [args.size, args.size]:
        return net, wanted
    shapes = {name: (1, *shape[1:]) for name, shape in net.input_shapes.items() if shape}
    shapes[data] = (1, channels, args.size, args.size)
    options = {**options, "input_shapes": shapes, "global_pool": True}
    resize = wanted.resize if "resize" in settings else _grown(wanted.resize, args.size, size[0])
    larger = replace(wanted, resize=resize, crop=(args.size, args.size))
    return load(args.net, args.weights, **options), larger


def _grown(resize: Any, size: int, before: int) -> Any:
    if isinstance(resize, tuple):
        return tuple(round(side * size / before) for side in resize)
    return None if resize is None else round(resize * size / before)

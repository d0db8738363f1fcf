"""`caffeport verify`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from prototxt.errors import UsageError

from ._options import (
    INT8,
    add_golden,
    add_inputs,
    add_net,
    add_preprocessing,
    load_net,
    preprocessing_options,
    say,
)
from ._start import start

HELP = "compare torch, ONNX Runtime and Caffe's own blobs, and name the first that differs"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_net(parser, int8=True)
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="an ONNX file (default: one made for the purpose)"
    )
    parser.add_argument(
        "--engine",
        metavar="NAME",
        help="run the model in this engine too, where it is installed (pip install "
        "caffeport[NAME])",
    )
    add_inputs(parser)
    add_golden(parser)
    add_preprocessing(parser)


def run(args: Namespace) -> int:
    """Verify; the status is 1 if a blob is out of tolerance."""
    start("converter.verification.verify", asleep=True)
    import torch

    from converter.onnx.model import OnnxModel
    from converter.preprocessing.inputs import as_arrays, photos_among, photos_said, read_fed
    from converter.verification.feed import embedded_preprocessing
    from converter.verification.verify import verify

    half, int8 = args.dtype == "float16", args.dtype == INT8
    net = load_net(args, dtype=torch.float32) if half or int8 else load_net(args)
    settings = preprocessing_options(args)
    inputs = read_fed(args.input)
    takes_images = bool(args.model and OnnxModel(args.model).inputs.image)
    if settings and not takes_images and not photos_among(inputs):
        raise UsageError(
            f"{', '.join(f'--{name}' for name in settings)}: nothing to prepare, since "
            f"{args.model or 'a model made for the check'} takes no images and no photo is fed",
            fix="give a photo with --input, or a model of `convert --embed-preprocessing`",
        )
    embedded = embedded_preprocessing(net, args.model, **settings) if takes_images else None
    if embedded is not None:
        say(args, f"the model prepares images so: {embedded}")
    for said in photos_said(net, inputs, settings, whole=takes_images):
        say(args, said)
    report = verify(
        net,
        args.model,
        inputs=as_arrays(net, inputs, settings, whole=takes_images),
        golden=args.golden,
        golden_float=args.golden_float,
        tolerance=args.tolerance,
        preprocessing=embedded,
        half=half,
        int8=int8,
        engine=args.engine,
        seed=args.seed,
        quiet=args.quiet,
    )
    say(args, str(report))
    return 0 if report.passed else 1

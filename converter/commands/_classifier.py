"""The classifier that `eval` and `attention` look at, and what its images need."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import Any

from converter.loading.load import load
from converter.network.global_pool import fixed_pools
from converter.network.net import CaffeNet
from converter.preprocessing import Preprocessing, image_input, preprocessing_of

from ._options import load_options, preprocessing_options, tell_passed_over


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
    pools = fixed_pools(net.steps, net.layers, net.shapes())
    options = {**options, "input_shapes": shapes, "global_pool": bool(pools)}
    resize = wanted.resize if "resize" in settings else _grown(wanted.resize, args.size, size[0])
    larger = replace(wanted, resize=resize, crop=(args.size, args.size))
    return load(args.net, args.weights, **options), larger


def _grown(resize: Any, size: int, before: int) -> Any:
    if isinstance(resize, tuple):
        return tuple(round(side * size / before) for side in resize)
    return None if resize is None else round(resize * size / before)

"""Letting a network's last average pool follow the size of its input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from caffe_layers import Shape
from prototxt import Net
from prototxt.errors import CaffeError, ShapeError

if TYPE_CHECKING:
    from .net import CaffeNet


def make_pools_global(net: Net, built: CaffeNet) -> Net:
    """Return the network with every average pool over a whole map turned into a global one.

    `built` is the network at its own input size, where such a pool's kernel is its bottom's size.
    Raises ShapeError if there is none.
    """
    layers = list(net.layers)
    pools = whole_pools(built)
    if not pools:
        raise ShapeError("--global-pool: no average pool of the network covers its whole map")
    for index, step in enumerate(built.steps):
        if step.key in pools:
            layer = type(step.layer)()
            layer.CopyFrom(step.layer)
            param = layer.pooling_param
            engine = param.engine
            param.Clear()
            param.pool, param.global_pooling, param.engine = 1, True, engine
            layers[index] = layer
    return Net(net.header, layers, net.source, net.lines, net.unknown)


def whole_pools(built: CaffeNet) -> dict[str, Shape]:
    """Return the kernels of the average pools that cover their whole map, by the steps' keys."""
    shapes = built.shapes()
    pools = {}
    for step in built.steps:
        if step.layer.type != "Pooling" or step.layer.pooling_param.pool != 1:
            continue
        bottom, top = shapes[step.bottoms[0]], shapes[step.tops[0]]
        window = built.layers[step.key].window
        whole = window is not None and window.kernel == bottom[2:] and window.pad == (0, 0)
        if whole and top[2:] == (1, 1):
            pools[step.key] = bottom[2:]
    return pools


def blame_pools(error: CaffeError, pools: Mapping[str, Shape]) -> None:
    """Add to an error that fixed pools are why the input's size does not fit."""
    which = " and ".join(
        f"{key!r} has a fixed kernel of {'x'.join(map(str, kernel))}"
        for key, kernel in pools.items()
    )
    error.fix = f"average pool {which}; --global-pool lets it follow the input's size"


def would_fit(net: CaffeNet, inputs: Mapping[str, Shape], pools: Mapping[str, Shape]) -> bool:
    """Tell whether inputs of these shapes fit the network once `pools` are global."""
    shapes = dict(inputs)
    try:
        for step in net.plan(shapes).steps:
            bottoms = [shapes[name] for name in step.bottoms]
            if step.key in pools:
                shapes[step.tops[0]] = (*bottoms[0][:2], 1, 1)
            else:
                tops = net.layers[step.key].checked_shapes(*bottoms)
                shapes.update(zip(step.tops, tops, strict=True))
    except CaffeError:
        return False
    return True

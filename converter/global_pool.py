"""Letting a network's last average pool follow the size of its input."""

from __future__ import annotations

from prototxt import Net
from prototxt.errors import ShapeError

from .module import CaffeNet


def make_pools_global(net: Net, built: CaffeNet) -> Net:
    """Return the network with every average pool over a whole map turned into a global one.

    `built` is the network at its own input size, where such a pool's kernel is its bottom's size.
    Raises ShapeError if there is none.
    """
    shapes = built.shapes()
    layers = list(net.layers)
    changed = 0
    for index, step in enumerate(built.steps):
        if step.layer.type != "Pooling" or step.layer.pooling_param.pool != 1:
            continue
        bottom, top = shapes[step.bottoms[0]], shapes[step.tops[0]]
        window = built.layers[step.key].window
        whole = window is not None and window.kernel == bottom[2:] and window.pad == (0, 0)
        if whole and top[2:] == (1, 1):
            layer = type(step.layer)()
            layer.CopyFrom(step.layer)
            param = layer.pooling_param
            engine = param.engine
            param.Clear()
            param.pool, param.global_pooling, param.engine = 1, True, engine
            layers[index] = layer
            changed += 1
    if not changed:
        raise ShapeError("--global-pool: no average pool of the network covers its whole map")
    return Net(net.header, layers, net.source, net.lines, net.unknown)

"""Average pools over a whole map, which a global one lets follow the size of the input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from caffe_layers import Shape
from caffe_layers.vision.pooling import Pooling
from prototxt import Net
from prototxt.errors import CaffeError, ShapeError

from .layers import Layers
from .shapes import shapes_of
from .steps import Step


def make_pools_global(net: Net, steps: Iterable[Step], pools: Mapping[str, Shape]) -> Net:
    """Return the network with `pools`, as `fixed_pools` finds them, turned into global ones.

    Raises ShapeError if there is none.
    """
    if not pools:
        raise ShapeError("--global-pool: no average pool of the network covers its whole map")
    layers = list(net.layers)
    for index, step in enumerate(steps):
        if step.key in pools:
            layer = type(step.layer)()
            layer.CopyFrom(step.layer)
            param = layer.pooling_param
            engine = param.engine
            param.Clear()
            param.pool, param.global_pooling, param.engine = 1, True, engine
            layers[index] = layer
    return replace(net, layers=layers)


def whole_pools(
    steps: Iterable[Step], layers: Layers, shapes: Mapping[str, Shape]
) -> dict[str, Shape | None]:
    """Return the average pools that cover their whole map, by the steps' keys.

    With each is its kernel, None for a global one, at values of these shapes.
    """
    pools: dict[str, Shape | None] = {}
    for step in steps:
        layer = layers[step.key]
        if not isinstance(layer, Pooling) or layer.pool != "AVE":
            continue
        window = layer.window
        whole = shapes[step.bottoms[0]][2:]
        if window is None or (window.kernel == whole and window.pad == (0, 0)):
            pools[step.key] = window and window.kernel
    return pools


def fixed_pools(
    steps: Iterable[Step], layers: Layers, shapes: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Return the kernels of the average pools that cover their whole map, and no larger one."""
    pools = whole_pools(steps, layers, shapes)
    return {key: kernel for key, kernel in pools.items() if kernel is not None}


def advice(pools: Mapping[str, Shape]) -> str:
    """Say that fixed pools are why an input's size does not fit."""
    which = " and ".join(
        f"{key!r} has a fixed kernel of {'x'.join(map(str, kernel))}"
        for key, kernel in pools.items()
    )
    return f"average pool {which}; --global-pool lets it follow the input's size"


def would_fit(
    steps: Iterable[Step], layers: Layers, inputs: Mapping[str, Shape], pools: Iterable[str]
) -> bool:
    """Tell whether steps take inputs of these shapes once `pools` are global."""
    layers = Layers(layers.items())
    for key in pools:
        layers.add(key, Pooling(pool="AVE", global_pooling=True))
    try:
        shapes_of(steps, layers, inputs)
    except CaffeError:
        return False
    return True

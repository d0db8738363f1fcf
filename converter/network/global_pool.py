"""Average pools over a whole map, which a global one lets follow the size of the input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from caffe_layers import Layer, Shape
from caffe_layers.vision.pooling import Pooling
from prototxt.errors import CaffeError

from .layers import Layers
from .shapes import shapes_of
from .steps import Step


def averages_all(layer: Layer, bottom: Shape) -> bool:
    """Tell whether a layer is an average pool over the whole map of a bottom of this shape."""
    if not isinstance(layer, Pooling) or layer.pool != "AVE":
        return False
    window = layer.window
    return window is None or (window.kernel == bottom[2:] and not any(window.pad))


def fixed_kernel(layer: Layer, bottom: Shape) -> Shape | None:
    """Return the kernel of an average pool over the whole map, None of every other layer."""
    whole = isinstance(layer, Pooling) and averages_all(layer, bottom)
    return layer.window.kernel if whole and layer.window is not None else None


def global_pool(message: Any) -> Any:
    """Return an average pool's message with its kernel turned into global pooling."""
    made = type(message)()
    made.CopyFrom(message)
    param = made.pooling_param
    engine = param.engine
    param.Clear()
    param.pool, param.global_pooling, param.engine = 1, True, engine
    return made


def advice(kernels: Mapping[str, Shape]) -> str:
    """Return what to do where the fixed kernels of pools are why an input's size does not fit."""
    which = " and ".join(
        f"{key!r} has a fixed kernel of {'x'.join(map(str, kernel))}"
        for key, kernel in kernels.items()
    )
    return f"average pool {which}; --global-pool lets it follow the input's size"


def fixed_pools(
    steps: Iterable[Step], layers: Layers, shapes: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Return the fixed kernels that cover their whole map in values of these shapes, by step."""
    kernels = {
        step.key: fixed_kernel(layers[step.key], shapes[step.bottoms[0]])
        for step in steps
        if step.bottoms
    }
    return {key: kernel for key, kernel in kernels.items() if kernel is not None}


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

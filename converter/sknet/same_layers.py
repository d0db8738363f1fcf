"""Is a network one that we know? Layer by layer, but for what changes no score."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any

from caffe_layers import Layer
from caffe_layers.base.layer import DEFAULT
from converter.network.global_pool import averages_all
from converter.network.net import CaffeNet
from prototxt.errors import UnsupportedError
from prototxt.net import copied

IGNORED_FIELDS = {
    *("param", "phase", "include", "exclude", "blobs", "propagate_down", "loss_weight"),
    *("engine", "momentum", "frozen", "weight_filler", "bias_filler", "scale_filler", "filler"),
    *("use_global_stats", "moving_average_fraction"),
}
"""Fields that change no score; a layer's own and its message's."""

EPS = 1e-5  # of torch's normalisation; Caffe's default, and what cuDNN lifts a smaller one to

AVE = 1  # PoolingParameter.PoolMethod


def require_same(net: CaffeNet, wanted: Sequence[Any], name: str) -> None:
    """Raise UnsupportedError, naming the first layer that differs, unless these are net's layers.

    `name` is what the wanted network is called. Average poolings are equal where both are over
    the whole map, and a Softmax at the end does not count.
    """
    assert net.definition is not None
    pools = [layer.name for layer in wanted if _averages(layer)]
    ours = list(_computing_layers(wanted, pools))
    theirs = list(_computing_layers(net.definition.layers, _whole_pools(net)))
    for our, their in zip(ours, theirs, strict=False):
        if our != their:
            raise UnsupportedError(
                f"no {name}: layer {their.name!r} ({their.type}) is not as {name}'s "
                f"{our.name!r} ({our.type})"
            )
    if len(ours) != len(theirs):
        longer = max(ours, theirs, key=len)[min(len(ours), len(theirs))]
        what = f"is not {name}'s" if len(theirs) > len(ours) else "is missing"
        raise UnsupportedError(f"no {name}: layer {longer.name!r} ({longer.type}) {what}")


def _computing_layers(layers: Sequence[Any], whole_pools: Container[str]) -> Iterator[Any]:
    """Yield the layers that make the scores, with only those fields that matter to them."""
    source: dict[str, str] = {}
    used = {bottom for layer in layers for bottom in layer.bottom}
    for layer in layers:
        cls = _class_of(layer)
        if cls.is_copy:
            source |= dict.fromkeys(layer.top, source.get(layer.bottom[0], layer.bottom[0]))
        last = layer.type == "Softmax" and used.isdisjoint(layer.top)
        if last or cls.is_source or cls.is_loss or cls.is_metric or cls.is_copy:
            continue
        kept = copied(layer)
        kept.bottom[:] = [source.get(bottom, bottom) for bottom in layer.bottom]
        for name in IGNORED_FIELDS.intersection(kept.DESCRIPTOR.fields_by_name):
            kept.ClearField(name)
        for field, message in kept.ListFields():
            if field.message_type is not None:
                for name in IGNORED_FIELDS.intersection(field.message_type.fields_by_name):
                    message.ClearField(name)
        lifted = layer.type == "CuDNNBatchNorm" and layer.batch_norm_param.eps <= EPS
        if lifted or (layer.type == "BatchNorm" and _is_torchs(layer.batch_norm_param.eps)):
            kept.batch_norm_param.ClearField("eps")
        if layer.name in whole_pools:
            kept.pooling_param.Clear()
        yield kept


def _class_of(layer: Any) -> type[Layer]:
    """Return what the type is everywhere: readings differ in formulas, not in what they are for."""
    readings = DEFAULT.layers.get(layer.type, {})
    return next(iter(readings.values()), Layer)


def _is_torchs(eps: float) -> bool:
    return abs(eps - EPS) < 1e-6 * EPS  # Caffe's is the nearest float32 number


def _whole_pools(net: CaffeNet) -> set[str]:
    """Return the names of the average poolings over the whole map."""
    shapes = net.shapes()
    return {
        step.layer.name
        for step in net.steps
        if step.bottoms and averages_all(net.layers[step.key], shapes[step.bottoms[0]])
    }


def _averages(layer: Any) -> bool:
    return bool(layer.type == "Pooling" and layer.pooling_param.pool == AVE)

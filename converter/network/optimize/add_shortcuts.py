"""The sum of a convolution and a shortcut, and the ReLU after it, done by the convolution."""

from __future__ import annotations

from dataclasses import replace

from caffe_layers.activation.relu import ReLU
from caffe_layers.common.eltwise import Eltwise
from caffe_layers.fused.packed_convolution import PackedConvolution
from caffe_layers.fused.shortcut_convolution import HAS_SUMS, ShortcutConvolution
from converter.network.steps import Step

from .wiring import Wiring


def add_shortcuts(wiring: Wiring) -> str:
    """Let every packed convolution add what is added to its top: the top is not written twice."""
    added = 0
    for step in wiring.steps if HAS_SUMS else ():
        layer = wiring.layers.get(step.key)
        if type(layer) is not PackedConvolution or layer.relu or len(step.tops) != 1:
            continue
        conv = wiring.current(step)
        total = wiring.index.reader(conv.tops[0])
        if total is None or len(total.bottoms) != 2 or not _adds(wiring.layers[total.key]):
            continue
        (other,) = (bottom for bottom in total.bottoms if bottom != conv.tops[0])
        last, removed = total, [conv]
        relu = wiring.index.reader(total.tops[0])
        if relu is not None and _rectifies(wiring.layers[relu.key]):
            last, removed = relu, [conv, total]
        made = ShortcutConvolution(layer, rectifies=last is not total)
        wiring.put(last, _joined(conv, other, last), made, removed)
        added += 1
    return f"let {added} convolutions add the shortcut beside them" if added else ""


def _joined(conv: Step, other: str, last: Step) -> Step:
    return replace(conv, bottoms=(*conv.bottoms, other), tops=last.tops, blobs=last.blobs)


def _adds(layer: object) -> bool:
    if not isinstance(layer, Eltwise) or layer.in_place or layer.operation != "SUM":
        return False
    return layer.coeff in ((), (1.0, 1.0))


def _rectifies(layer: object) -> bool:
    return isinstance(layer, ReLU) and not layer.negative_slope

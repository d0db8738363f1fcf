"""Scales that a file itself has: those of Intel Caffe's layers of eight bits.

intel/caffe, src/caffe/layers/mkldnn_convolution_layer.cpp at 3c75c6f: a convolution in the TEST
phase rounds `x * scale_in` to unsigned eight bits, to signed ones with `is_negative_input`, and its
weights, channel by channel, `w * scale_params` to signed ones; sums and bias have 32 bits and the
product of both scales. With `bw_layer_out: 8` they are rounded as `scale_out` says, unsigned after
a ReLU and signed otherwise, else they stay floats. Zeros are 0.

Its compiler may fuse a convolution with the Eltwise after it, and `scale_out` is then that one's:
so what an Eltwise reads is not rounded here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from caffe_layers.base.message import is_set
from converter.network.net import CaffeNet
from converter.onnx.graph import Graph, readers

from .numbers import Rounding
from .units import Unit, Units


@dataclass(frozen=True)
class LayerScales:
    """What one convolution's `quantization_param` says; scales are what numbers are divided by."""

    source: Rounding
    weights: np.ndarray
    """One for each output channel, or one for all."""
    target: float | None
    """None where the sums stay floats."""


def scales_of(net: CaffeNet) -> dict[str, LayerScales]:
    """Return the scales that a network's file has, by its layers' keys; none where it has none."""
    found = {}
    for step in net.steps:
        if not is_set(step.layer, "quantization_param"):
            continue
        param = step.layer.quantization_param
        known = "scale_in" in param.DESCRIPTOR.fields_by_name
        if not known or not (param.scale_in and param.scale_params) or param.bw_layer_in != 8:
            continue
        kind = np.int8 if param.is_negative_input else np.uint8
        inverse = np.array(param.scale_params, np.float64)
        weights = np.divide(1, inverse, out=np.ones_like(inverse), where=inverse > 0)
        found[step.key] = LayerScales(
            Rounding(np.float32(1 / param.scale_in[0]), kind(0)),
            weights.astype(np.float32),
            1 / param.scale_out[0] if param.bw_layer_out == 8 and param.scale_out else None,
        )
    return found


def by_file(
    graph: Graph, units: Units, scales: Mapping[str, LayerScales]
) -> tuple[Units, dict[str, Rounding], list[str]]:
    """Return the units that a file has scales for, how it rounds their values, and other layers.

    These are products of which the file says nothing, and those whose input is rounded otherwise
    by another one.
    """
    reading = readers(graph.nodes)
    roundings: dict[str, Rounding] = {}
    taken: dict[int, LayerScales] = {}
    others = []
    for at, unit in enumerate(units.units):
        if not unit.product:
            continue
        said = scales.get(_key(unit, scales))
        (read,) = unit.reads
        if said is None or roundings.setdefault(read, said.source) != said.source:
            others.append(unit.layer)
            continue
        taken[at] = said
    kept = []
    for at, unit in enumerate(units.units):
        if at in taken:
            kept.append(unit)
            unit.scales = taken[at].weights
            unit.makes = [name for name in unit.makes if _rounds(unit, name, taken[at], reading)]
            for name in unit.makes:
                kind = np.uint8 if len(unit.nodes) > 1 else np.int8
                target = taken[at].target
                assert target is not None
                roundings.setdefault(name, Rounding(np.float32(target), kind(0)))
        elif not unit.product and _told(unit, roundings):
            kept.append(unit)
    return Units(kept), roundings, others


def _key(unit: Unit, scales: Mapping[str, LayerScales]) -> str:
    """Return the key of the layer that a product is of."""
    name = unit.nodes[0].name
    return name if name in scales else name.removesuffix(f"/{unit.nodes[0].op_type}")


def _rounds(
    unit: Unit, name: str, said: LayerScales, reading: Mapping[str, list[onnx.NodeProto]]
) -> bool:
    """Tell whether it is certain how a convolution's sums are rounded."""
    return said.target is not None and all(
        node.op_type not in ("Add", "Mul", "Max", "Sum") for node in reading.get(name, [])
    )


def _told(unit: Unit, roundings: dict[str, Rounding]) -> bool:
    """Tell whether it is said how a unit's values are rounded; those that it moves keep it."""
    if unit.keeps and unit.reads[0] in roundings:
        before = roundings[unit.reads[0]]
        return all(roundings.setdefault(name, before) == before for name in unit.makes)
    return all(name in roundings for name in (*unit.reads, *unit.makes))

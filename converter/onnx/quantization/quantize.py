"""From a graph of float32 to one of eight bits: what is measured, decided and written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from onnx import TensorProto

from converter.onnx.dtypes import dtypes_of
from converter.onnx.file import write_onnx
from converter.onnx.graph import Graph, rounds
from converter.onnx.runtime import Arrays, open_onnx
from prototxt.errors import UnsupportedError

from .agreement import Agreement, agreements
from .alone import alone, copied
from .batches import batches_for
from .calibration import Calibration, Range, ranges_of
from .file_scales import LayerScales, by_file
from .numbers import Rounding
from .pairs import PairsWriter
from .roundings import roundings_of
from .units import Units, find_units, with_sums_inside

LEAST_ALONE = 20.0
"""Decibels: a layer is float32 whose own rounding makes noise of more than a tenth of it."""
STEP, MOST_ALONE, LEAST_OUTPUT = 5.0, 35.0, 10.0
"""So is what is below more, by steps, while an output's noise is more than a third of it. Classes
are no measure: any noise swaps two that are near each other."""
MOST_FEEDS_ALONE = 8
"""Layers by themselves are measured on so many of the feeds."""
NEWEST_OPSET = 27
"""ONNX Runtime 1.32 has no QuantizeLinear of opset 28."""
SUMS_INSIDE = ("openvino",)
"""Engines that add to products before they are rounded, and want zeros that are 0."""
NAMED = 6
"""Layers in a sentence."""


@dataclass(frozen=True)
class Trial:
    """A graph in eight bits, and how its outputs compare with the float network's."""

    graph: Graph
    units: Units
    floats: Mapping[str, float]
    """The layers that stay float32 since they are no better by themselves, in decibels."""
    outputs: Sequence[Agreement]

    @property
    def worst(self) -> float:
        """The worst output's signal-to-noise ratio."""
        return min(one.decibels for one in self.outputs)


def quantize(graph: Graph, calibration: Calibration, target: str | None = None) -> list[str]:
    """Put a graph into eight bits, for one engine if so; return what was done, a sentence each.

    Ranges are those of the float graph on the calibration's feeds. Every layer is measured by
    itself: those below LEAST_ALONE stay float32, and more of them where the whole graph's outputs
    are far from the float graph's.
    """
    if graph.opset > NEWEST_OPSET:
        raise UnsupportedError(
            f"ONNX Runtime runs no eight bits of opset {graph.opset}",
            fix=f"an opset up to {NEWEST_OPSET}",
        )
    taken = {name: dims for name, (_, dims) in graph.inputs.items()}
    calibration = replace(calibration, feeds=batches_for(taken, calibration.feeds))
    with TemporaryDirectory() as folder:
        path = Path(folder, "float.onnx")
        write_onnx(graph, path, "")
        dtypes = dtypes_of(graph)
        units = _units(graph, dtypes, target)
        if not any(unit.product for unit in units.units):
            raise UnsupportedError(
                "there is nothing to compute in eight bits: no convolution, and no inner product "
                "along axis 1, of float32 weights"
            )
        ranges = ranges_of(path, units, calibration)
        plain = target in SUMS_INSIDE
        roundings = roundings_of(units, ranges, signed=calibration.signed, plain=plain)
        some = calibration.feeds[:MOST_FEEDS_ALONE]
        measured = _by_layer(units, alone(graph, units, roundings, some))
        wanted = [*map(open_onnx(path), calibration.feeds)]
        _check_finite(wanted)
        best = None
        least = LEAST_ALONE
        while least <= MOST_ALONE and (best is None or best.worst < LEAST_OUTPUT):
            floats = {layer: found for layer, found in measured.items() if found < least}
            least += STEP
            if best is not None and floats == best.floats:
                continue
            units = _units(mine := copied(graph), dtypes, target, floats)
            rounded = roundings_of(units, ranges, signed=calibration.signed, plain=plain)
            found = _try(mine, units, rounded, floats, calibration, wanted, Path(folder))
            if found is None:
                break
            best = found if best is None or _better(found, best) else best
    if best is None:
        raise UnsupportedError(
            "eight bits do harm to every layer: "
            f"none is above {LEAST_ALONE:g} dB by itself on the calibration data",
            fix="calibrate on inputs that the network is made for, or stay in float32",
        )
    for name, value in vars(best.graph).items():
        setattr(graph, name, value)
    said = _sentences(graph, best, dtypes, calibration)
    return said + _unknown(best.units, ranges)


def _check_finite(outputs: Sequence[Arrays]) -> None:
    """Raise UnsupportedError where the float network itself makes NaN or infinity."""
    for made in outputs:
        if broken := [name for name, value in made.items() if not np.isfinite(value).all()]:
            raise UnsupportedError(
                f"in float32 too {broken[0]!r} is not finite on the calibration data",
                fix="calibrate on inputs that the network is made for",
            )


def quantize_by_file(graph: Graph, scales: Mapping[str, LayerScales]) -> list[str]:
    """Put a graph into eight bits by the scales that its file has; return what was done."""
    dtypes = dtypes_of(graph)
    units, roundings, others = by_file(graph, find_units(graph, dtypes), scales)
    if not any(unit.product for unit in units.units):
        raise UnsupportedError("the file's scales of eight bits are for none of the layers")
    PairsWriter(graph, roundings).write(units)
    eight = _layers(graph, units)
    said = [f"{len(eight)} layers compute in eight bits, with the file's own scales"]
    if others:
        said.append(f"in float32, since the file says no scales of theirs: {_listed(others)}")
    return said


def _by_layer(units: Units, found: Sequence[float]) -> dict[str, float]:
    """Return the worst of each layer's ratios."""
    worst: dict[str, float] = {}
    for unit, decibels in zip(units.units, found, strict=True):
        worst[unit.layer] = min(decibels, worst.get(unit.layer, decibels))
    return worst


def _units(
    graph: Graph, dtypes: Mapping[str, int], target: str | None, floats: Collection[str] = ()
) -> Units:
    """Return what computes in eight bits, in the forms that an engine has kernels for."""
    units = find_units(graph, dtypes, floats)
    return with_sums_inside(units, graph) if target in SUMS_INSIDE else units


def _try(
    mine: Graph,
    units: Units,
    roundings: Mapping[str, Rounding],
    floats: Mapping[str, float],
    calibration: Calibration,
    wanted: Sequence[Arrays],
    folder: Path,
) -> Trial | None:
    """Write a graph with these layers in float32 and measure it; None without products."""
    if not any(unit.product for unit in units.units):
        return None
    PairsWriter(mine, roundings).write(units)
    path = folder / "eight.onnx"
    write_onnx(mine, path, "")
    run = open_onnx(path)
    return Trial(mine, units, floats, agreements(wanted, map(run, calibration.feeds)))


def _better(one: Trial, other: Trial) -> bool:
    """Tell whether a trial's outputs are nearer."""
    return one.worst > other.worst


def _sentences(
    graph: Graph, best: Trial, dtypes: Mapping[str, int], calibration: Calibration
) -> list[str]:
    eight = _layers(graph, best.units)
    others = _others(graph, best.units, dtypes)
    count = len(calibration.feeds)
    said = [
        f"{len(eight)} of {len(eight | others.keys())} layers compute in eight bits, their ranges "
        f"by {calibration.method} of {count} {'batch' if count == 1 else 'batches'}"
    ]
    if best.floats:
        names = [f"{layer} ({value:.0f} dB by itself)" for layer, value in best.floats.items()]
        said.append(f"in float32 by measurement: {_listed(names)}")
    if rest := [f"{layer} ({kind})" for layer, kind in others.items() if layer not in best.floats]:
        said.append(f"in float32 for other reasons: {_listed(rest)}")
    return [*said, *(f"on the calibration data {one}" for one in best.outputs)]


def _unknown(units: Units, ranges: Mapping[str, Range]) -> list[str]:
    """Say which values the calibration data tell nothing of."""
    if names := [name for name in units.values if not any(ranges.get(name, (1,)))]:
        return [f"0 throughout on the calibration data, so of unknown range: {_listed(names)}"]
    return []


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _others(graph: Graph, units: Units, dtypes: Mapping[str, int]) -> dict[str, str]:
    """Return the layers that compute in float32, with the operator for which they do."""
    taken = {id(node) for unit in units.units for node in unit.nodes}
    eight = _layers(graph, units)
    found: dict[str, str] = {}
    for node in graph.nodes:
        layer = graph.layers.get(node.output[0])
        computes = any(
            dtypes.get(name) == TensorProto.FLOAT for name in (*node.input, *node.output)
        )
        apart = layer not in eight and id(node) not in taken
        if layer is not None and apart and computes and not rounds(node):
            found.setdefault(layer, node.op_type)
    return found


def _layers(graph: Graph, units: Units) -> set[str]:
    """Return the layers that compute in eight bits, those within another's unit included."""
    made = (name for unit in units.units for node in unit.nodes for name in node.output)
    own = {graph.layers[name] for name in made if name in graph.layers}
    return own | {unit.layer for unit in units.units}

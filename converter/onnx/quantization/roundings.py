"""How each value of a graph is rounded to eight bits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from .calibration import Range
from .numbers import Rounding, rounding_of
from .units import Units


def roundings_of(
    units: Units, ranges: Mapping[str, Range], *, signed: bool = False, plain: bool = False
) -> dict[str, Rounding]:
    """Return the rounding of each value by its range.

    What only moves values keeps theirs. What is read by a Concat alone has that one's: it would be
    rounded twice otherwise. With `plain`, for OpenVINO, zeros are 0: what goes below it is signed.
    Not so beside a Concat: OpenVINO 2026.4 is wrong of signed numbers that are joined.
    """
    unsigned = _beside_concats(units) if plain else set()

    def rounding(name: str) -> Rounding:
        least, most = ranges[name]
        below = (signed or (plain and least < 0)) and name not in unsigned
        return rounding_of(least, most, signed=below)

    joined = _joined(units)
    found: dict[str, Rounding] = {}
    for unit in units.units:
        for name in unit.reads:
            if name not in found:
                found[name] = rounding(name)
        for name in unit.makes:
            if unit.keeps:
                found[name] = found[unit.reads[0]]
            else:
                found[name] = rounding(joined.get(name, name))
    return found


def _beside_concats(units: Units) -> set[str]:
    """Return what Concats read and make, and what that is moved from."""
    found: set[str] = set()
    for unit in reversed(units.units):
        joins = unit.nodes[0].op_type == "Concat"
        if joins or (unit.keeps and not found.isdisjoint(unit.makes)):
            found.update(unit.reads, unit.makes)
    return found


def _joined(units: Units) -> dict[str, str]:
    """Return for each value that only a Concat reads what that one makes, or what that joins."""
    reading = Counter(name for unit in units.units for name in unit.reads)
    found: dict[str, str] = {}
    for unit in reversed(units.units):
        if unit.nodes[0].op_type == "Concat":
            (made,) = unit.makes
            whole = found.get(made, made)
            found |= {name: whole for name in unit.reads if reading[name] == 1}
    return found

"""Layers that hand on what they get."""

from __future__ import annotations

from .wiring import Wiring


def drop_identities(wiring: Wiring) -> str:
    """Take away every layer that is the identity in testing, unless it makes an output."""
    dropped = 0
    for step in wiring.steps:
        step = wiring.current(step)
        if not wiring.layers[step.key].is_identity or len(step.bottoms) != 1:
            continue
        if not all(wiring.index.readers(top) for top in step.tops):
            continue
        if not wiring.kept.isdisjoint(step.tops):
            continue
        (bottom,) = step.bottoms
        wiring.remove([step])
        for top in step.tops:
            wiring.rename(top, bottom)
        dropped += 1
    return f"left out {dropped} layers that do nothing in testing" if dropped else ""

"""Which steps of a network run, what comes out, and how long each value is needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .layers import Layers
from .steps import Step


@dataclass(frozen=True)
class Plan:
    """What runs for a set of fed blobs; `outputs` maps the blobs that come out to their values.

    `last_uses` are, for each step, the values that no later one reads.
    """

    steps: tuple[Step, ...]
    outputs: dict[str, str]
    last_uses: tuple[tuple[str, ...], ...]


def make_plan(steps: Sequence[Step]) -> Plan:
    """Return the plan of steps, whose outputs are the blobs that none of them consumes."""
    used = {bottom for step in steps for bottom in step.bottoms}
    made = {
        blob: top
        for step in steps
        for blob, top in zip(step.blobs, step.tops, strict=True)
        if top not in used
    }
    return Plan(tuple(steps), dict(sorted(made.items())), tuple(_last_uses(steps)))


def running_steps(steps: Iterable[Step], layers: Layers, fed: Iterable[str]) -> list[Step]:
    """Return the steps that can run when these blobs are fed."""
    known = set(fed)
    running = []
    for step in steps:
        if not known.isdisjoint(step.tops):
            continue  # fed, or fed in part: a batch of its own would not belong to it
        if layers[step.key].makes_tops and known.issuperset(step.bottoms):
            known.update(step.tops)
            running.append(step)
    return running


def _last_uses(steps: Sequence[Step]) -> list[tuple[str, ...]]:
    """Return for each step the values that it is the last to read, but for losses."""
    needed = {
        top
        for step in steps
        for top, weight in zip(step.tops, step.loss_weights, strict=True)
        if weight
    }
    last = []
    for step in reversed(steps):
        last.append(tuple({name for name in step.bottoms if name not in needed}))
        needed.update(step.bottoms)
    return last[::-1]

"""Which steps of a network run, what comes out, and how long each value is needed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from .layers import Layers
from .steps import Step


@dataclass(frozen=True)
class Plan:
    """What runs for a set of fed blobs; `outputs` maps the blobs that come out to their values.

    `last_uses` are, for each step, the values that no later one reads. `silenced` says that nothing
    comes out by itself: the outputs are what sinks swallow, which Caffe's users read by name.
    """

    steps: tuple[Step, ...]
    outputs: dict[str, str]
    last_uses: tuple[tuple[str, ...], ...]
    silenced: bool = False


def make_plan(steps: Sequence[Step], named: Collection[str] = ()) -> Plan:
    """Return the plan of steps, whose outputs are the blobs that none of them consumes.

    Where there are none, they are those that sinks alone consume (Silence). With `named` they are
    the blobs of these names, as they are at the end.
    """
    if named:
        outputs = {name: top for name, top in _made(steps).items() if name in named}
        return Plan(tuple(steps), outputs, tuple(_last_uses(steps, outputs.values())))
    outputs = _unread(steps, steps)
    silenced = not outputs
    if silenced:
        outputs = _unread(steps, [step for step in steps if not step.cls.is_sink])
    kept = outputs.values() if silenced else ()
    return Plan(tuple(steps), outputs, tuple(_last_uses(steps, kept)), silenced and bool(outputs))


def _unread(steps: Iterable[Step], readers: Iterable[Step]) -> dict[str, str]:
    """Return the blobs that steps make and none of the readers reads, with their values, sorted."""
    used = {bottom for step in readers for bottom in step.bottoms}
    return _made(steps, used)


def _made(steps: Iterable[Step], used: Collection[str] = ()) -> dict[str, str]:
    """Return the blobs that steps make, with their last values that are not used, sorted."""
    made = {
        blob: top
        for step in steps
        for blob, top in zip(step.blobs, step.tops, strict=True)
        if top not in used
    }
    return dict(sorted(made.items()))


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


def _last_uses(steps: Sequence[Step], kept: Iterable[str]) -> list[tuple[str, ...]]:
    """Return for each step the values that it is the last to read, but for losses and the kept."""
    needed = set(kept) | {
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

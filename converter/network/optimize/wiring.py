"""A network's steps while they are rewritten: who reads a value, and putting others in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from caffe_layers import Layer, Shape
from converter.network.layers import Layers
from converter.network.steps import Step, StepIndex


class Wiring:
    """The steps of a network that may be changed, and their layers.

    `shapes` are those of the values before anything was changed, `kept` the values that come out
    though layers read them too. `index` says who makes and who reads each value as the steps are
    now.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        layers: Layers,
        shapes: Mapping[str, Shape],
        kept: Iterable[str] = (),
    ) -> None:
        self._steps = list(steps)
        self.layers: dict[str, Layer] = dict(layers.items())
        self.shapes = shapes
        self.kept = frozenset(kept)
        self._changed()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps as they are now."""
        return tuple(self._steps)

    def current(self, step: Step) -> Step:
        """Return a step as it is now: what it reads may have another name since."""
        return self._steps[self._place(step)]

    def put(self, old: Step, new: Step, layer: Layer, removed: Iterable[Step] = ()) -> None:
        """Put a step, and its layer, in the place of another; others are removed."""
        self._drop(removed)
        del self.layers[old.key]
        self.layers[new.key] = layer
        self._steps[self._place(old)] = new
        self._changed()

    def insert(self, before: Step, new: Step, layer: Layer) -> None:
        """Put a step, and its layer, in front of another."""
        self.layers[new.key] = layer
        self._steps.insert(self._place(before), new)
        self._changed()

    def remove(self, removed: Iterable[Step]) -> None:
        """Take steps away."""
        self._drop(removed)
        self._changed()

    def rename(self, old: str, new: str) -> None:
        """Let whoever reads one value read another."""
        self._steps = [
            replace(step, bottoms=tuple(new if name == old else name for name in step.bottoms))
            for step in self._steps
        ]
        self._changed()

    def _drop(self, removed: Iterable[Step]) -> None:
        for step in removed:
            del self._steps[self._place(step)]
            del self.layers[step.key]

    def _place(self, step: Step) -> int:
        return next(at for at, now in enumerate(self._steps) if now.key == step.key)

    def _changed(self) -> None:
        self.index = StepIndex(self._steps, self.kept)

"""A network's steps while they are rewritten: who reads a value, and putting others in place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from caffe_layers import Layer, Shape
from converter.network.layers import Layers
from converter.network.steps import Step


class Wiring:
    """The steps of a network that may be changed, and their layers.

    `shapes` are those of the values before anything was changed.
    """

    def __init__(self, steps: Iterable[Step], layers: Layers, shapes: Mapping[str, Shape]) -> None:
        self.steps = list(steps)
        self.layers: dict[str, Layer] = dict(layers.items())
        self.shapes = shapes

    @property
    def readers(self) -> Counter[str]:
        """How often each value is read."""
        return Counter(name for step in self.steps for name in step.bottoms)

    def reader(self, value: str) -> Step | None:
        """Return the step that alone reads a value, once; None if there is none, or several."""
        reading = [step for step in self.steps if value in step.bottoms]
        alone = len(reading) == 1 and reading[0].bottoms.count(value) == 1
        return reading[0] if alone else None

    def current(self, step: Step) -> Step:
        """Return a step as it is now: what it reads may have another name since."""
        return next(now for now in self.steps if now.key == step.key)

    def put(self, old: Step, new: Step, layer: Layer, gone: Iterable[Step] = ()) -> None:
        """Put a step, and its layer, in the place of another; others go."""
        self.remove(gone)
        del self.layers[old.key]
        self.layers[new.key] = layer
        self.steps[self.steps.index(old)] = new

    def insert(self, before: Step, new: Step, layer: Layer) -> None:
        """Put a step, and its layer, in front of another."""
        self.layers[new.key] = layer
        self.steps.insert(self.steps.index(before), new)

    def remove(self, gone: Iterable[Step]) -> None:
        """Take steps away."""
        for step in gone:
            self.steps.remove(step)
            del self.layers[step.key]

    def rename(self, old: str, new: str) -> None:
        """Let whoever reads one value read another."""
        self.steps = [
            replace(step, bottoms=tuple(new if name == old else name for name in step.bottoms))
            for step in self.steps
        ]

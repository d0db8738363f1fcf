"""The part of a network that an exported model computes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from caffe_layers import Shape
from prototxt.errors import UnsupportedError

from .layers import Layers
from .plan import Plan, make_plan, running_steps
from .shapes import shapes_of
from .steps import Step


@dataclass(frozen=True)
class Exported:
    """What an exported model computes: its plan, the shapes of its inputs and of all its values."""

    plan: Plan
    inputs: dict[str, Shape]
    shapes: dict[str, Shape]

    def at(self, input_shapes: Mapping[str, Shape], layers: Layers) -> Exported:
        """Return the same plan with other shapes of inputs; those not among these stay."""
        inputs = {name: input_shapes.get(name, shape) for name, shape in self.inputs.items()}
        if inputs == self.inputs:
            return self
        return replace(self, inputs=inputs, shapes=shapes_of(self.plan.steps, layers, inputs))


def exported_part(
    steps: Iterable[Step],
    layers: Layers,
    input_shapes: Mapping[str, Shape],
    *,
    with_losses: bool = False,
    named: Collection[str] = (),
) -> Exported:
    """Return what an exported model computes; losses and accuracies only `with_losses`.

    Its outputs are the `named` blobs, if there are such (`make_plan`). Constants of the network's
    own (DummyData) are inputs only where it has no others, and what is fed for Silence alone is
    none. Raises UnsupportedError where nothing is left.
    """
    fed = _fed(steps, layers, input_shapes)
    known = set(fed)
    kept: list[Step] = []
    running = list(running_steps(steps, layers, fed))
    for step in running:
        dropped = not with_losses and (step.cls.is_loss or step.cls.is_metric)
        if not dropped and known.issuperset(step.bottoms):
            known.update(step.tops)
            kept.append(step)
    read = {bottom for step in kept if not step.cls.is_sink for bottom in step.bottoms}
    silenced = fed.keys() - read
    kept = [step for step in kept if not (step.cls.is_sink and silenced.issuperset(step.bottoms))]
    plan = make_plan(kept, named)
    if not plan.outputs:
        losses = any(step.cls.is_loss or step.cls.is_metric for step in running)
        fix = "--with-losses keeps the loss layers" if losses and not with_losses else ""
        raise UnsupportedError("nothing is left to export: no layer makes an output", fix=fix)
    used = {bottom for step in kept for bottom in step.bottoms}
    inputs = {name: shape for name, shape in fed.items() if name in used}
    return Exported(plan, inputs, shapes_of(kept, layers, inputs))


def _fed(
    steps: Iterable[Step], layers: Layers, input_shapes: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Return the inputs that are no constants; where all are, those."""
    constants = {
        top
        for step in steps
        if step.cls.is_source and layers[step.key].constant_tops
        for top in step.tops
    }
    fed = {name: shape for name, shape in input_shapes.items() if name not in constants}
    return fed or dict(input_shapes)

"""A Caffe network as a PyTorch module."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from caffe_layers import Layer, Shape
from prototxt.errors import CaffeError, ShapeError, within

from .global_pool import blame_pools, whole_pools, would_fit
from .origin import Source
from .parameters import parameter_groups
from .steps import Step

if TYPE_CHECKING:
    from converter.loading.weights import Loaded
    from prototxt import Net

Inputs = Mapping[str, Tensor] | Tensor


class Layers(nn.Module):
    """The layer modules by Caffe's names: a bare mapping, since a layer may be called `loss`."""

    def add(self, name: str, layer: Layer) -> None:
        """Put a layer under its name, quoted as in state_dict: dots as `%2E`."""
        self._modules[quote(name)] = layer

    def __getitem__(self, name: str) -> Layer:
        layer = self._modules[quote(name)]
        assert isinstance(layer, Layer)
        return layer

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and quote(name) in self._modules

    def __iter__(self) -> Iterator[str]:
        return map(unquote, self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def keys(self) -> list[str]:
        """Return the layers' names in the network's order."""
        return list(self)

    def items(self) -> list[tuple[str, Layer]]:
        """Return names and layers in the network's order."""
        return [(name, self[name]) for name in self]

    def values(self) -> list[Layer]:
        """Return the layers in the network's order."""
        return [self[name] for name in self]


ATTRIBUTES = frozenset(dir(Layers()))
"""A layer of such a name would hide what torch looks up on the container (`type`, `training`)."""


def quote(name: str) -> str:
    """Return a layer's name as a module's name, which holds no dot and is not empty."""
    key = name.replace("%", "%25").replace(".", "%2E")
    return f"%{ord(key[0]):02X}{key[1:]}" if key in ATTRIBUTES else key or "%"


def unquote(key: str) -> str:
    """Return the layer's name of a module's name."""
    return "" if key == "%" else urllib.parse.unquote(key)


@dataclass(frozen=True)
class Plan:
    """What runs for a set of fed blobs; `outputs` maps the blobs that come out to their values.

    `spent` are the values that nobody needs any more after each step.
    """

    steps: tuple[Step, ...]
    outputs: dict[str, str]
    spent: tuple[tuple[str, ...], ...]


def make_plan(steps: Sequence[Step]) -> Plan:
    """Return the plan of steps, whose outputs are the blobs that none of them consumes."""
    used = {bottom for step in steps for bottom in step.bottoms}
    made = {
        blob: top
        for step in steps
        for blob, top in zip(step.blobs, step.tops, strict=True)
        if top not in used
    }
    return Plan(tuple(steps), dict(sorted(made.items())), tuple(_spent(steps)))


def _spent(steps: Sequence[Step]) -> list[tuple[str, ...]]:
    """Return after each step the values that it was the last to read, but for losses."""
    needed = {
        top
        for step in steps
        for top, weight in zip(step.tops, step.loss_weights, strict=True)
        if weight
    }
    spent = []
    for step in reversed(steps):
        spent.append(tuple({name for name in step.bottoms if name not in needed}))
        needed.update(step.bottoms)
    return spent[::-1]


class CaffeNet(nn.Module):
    """A Caffe network: call it with `{input blob: tensor}`, get `{output blob: tensor}`.

    Inputs may be left out: layers that need a missing one are skipped, and the outputs are the
    computed blobs that no computed layer consumes, in sorted order as in pycaffe. A bare tensor
    goes to the first input. Built by `converter.load`.
    """

    def __init__(self, name: str, steps: list[Step], layers: Mapping[str, Layer]) -> None:
        super().__init__()
        self.name = name
        self.steps = tuple(steps)
        self.layers = Layers()
        for step in steps:
            self.layers.add(step.key, layers[step.key])
        self.phase = "TEST"
        self.optimized = False
        self.force_backward = False
        self.source = ""
        self.sources: list[Source] = []
        self.template: dict[str, str] = {}
        self.definition: Net | None = None
        self.loaded: Loaded | None = None
        self.notes: list[str] = []
        self.input_shapes: dict[str, Shape] = {}
        self._plans: dict[frozenset[str], Plan] = {}
        self._channels_last = False
        self._checked: set[tuple[tuple[str, Shape], ...]] = set()

    @property
    def dtype(self) -> torch.dtype:
        """The type of the network's numbers; of half ones too, whose sums of statistics stay."""
        dtypes = {blob.dtype for blob in self._blobs()}
        return min(dtypes, key=lambda dtype: dtype.itemsize, default=torch.get_default_dtype())

    @property
    def device(self) -> torch.device:
        """Where the network's blobs are."""
        return next((blob.device for blob in self._blobs()), torch.device("cpu"))

    def _blobs(self) -> Iterator[Tensor]:
        return (blob for layer in self.layers.values() for blob in layer.blobs)

    @property
    def inputs(self) -> list[str]:
        """The names of the blobs that are fed from outside, in the network's order."""
        return [top for step in self.steps if step.cls.is_source for top in step.tops]

    @property
    def params(self) -> dict[str, list[Tensor]]:
        """Each layer's blobs as Caffe holds them; layers without blobs are left out."""
        return {name: layer.blobs for name, layer in self.layers.items() if layer.blob_names}

    def forward(self, inputs: Inputs | None = None) -> dict[str, Tensor]:
        """Return the output blobs.

        Raises ShapeError where the inputs do not fit the network.
        """
        fed = self.feed(inputs)
        plan = self.plan(fed)
        values = self.run(fed, plan, sparing=True)
        return {blob: values[value] for blob, value in plan.outputs.items()}

    def blobs(self, inputs: Inputs | None = None) -> dict[str, Tensor]:
        """Return every computed blob by Caffe's name; one written in place as it was last."""
        fed = self.feed(inputs)
        plan = self.plan(fed)
        return self.blobs_of(plan, self.run(fed, plan))

    def blobs_of(self, plan: Plan, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the blobs among a plan's values, by Caffe's names and in the network's order."""
        blobs = {name: values[name] for name in self.inputs if name in values}
        for step in plan.steps:
            blobs.update(zip(step.blobs, (values[top] for top in step.tops), strict=True))
        return blobs

    def values(self, inputs: Inputs | None = None) -> dict[str, Tensor]:
        """Return every computed value: blobs, and as `blob@layer` their other versions (`Step`)."""
        fed = self.feed(inputs)
        return self.run(fed, self.plan(fed))

    def loss(self, inputs: Inputs | None = None) -> Tensor:
        """Return the sum of all tops with a loss weight, weighted: what Caffe's training minimises.

        Raises ShapeError if no loss can be computed from these inputs.
        """
        fed = self.feed(inputs)
        plan = self.plan(fed)
        values = self.run(fed, plan, sparing=True)
        return self.weighted_loss(plan, values)

    def weighted_loss(self, plan: Plan, values: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted loss of values that `plan` computed."""
        terms = [
            _weighted(values[top], weight)
            for step in plan.steps
            for top, weight in zip(step.tops, step.loss_weights, strict=True)
            if weight
        ]
        if not terms:
            self._blame_data(plan)
            raise ShapeError(
                "no loss is computed from these inputs", fix=f"the inputs are {self.inputs}"
            )
        return torch.stack(terms).sum() if len(terms) > 1 else terms[0]

    def parameter_groups(
        self, lr: float | None = None, weight_decay: float = 0.0
    ) -> list[dict[str, Any]]:
        """Return the blobs in groups, by their `lr_mult` and `decay_mult`, for an optimizer.

        Without arguments the groups carry `lr_mult` and `decay_mult`, which `converter.training`'s
        optimizers multiply in; running statistics are among them, with `lr_mult` 0. With `lr` they
        are any torch optimizer's: rate and decay multiplied, and only what learns.
        """
        return parameter_groups(self, lr, weight_decay)

    def _blame_data(self, plan: Plan) -> None:
        """Raise the error of the first source whose data are not there."""
        for step in self.steps:
            lacks = self.layers[step.key].lacks
            if lacks is not None and step not in plan.steps:
                with within(step.place):
                    raise deepcopy(lacks)

    def optimize(self, *, channels_last: bool = True, compile: bool = False) -> CaffeNet:
        """Return a network that computes the same outputs faster; see `converter.optimize`."""
        from .optimize import optimize

        return optimize(self, channels_last=channels_last, compile=compile)

    def use_channels_last(self) -> None:
        """Lay out weights of four axes, and from now on inputs too, with the channels last."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        self._channels_last = True

    def reset_state(self) -> None:
        """Let the next pass start anew: recurrent states at 0, data files at their first row."""
        for layer in self.layers.values():
            layer.reset_state()

    def seed_data(self, seed: int, *, rank: int = 0, world: int = 1, workers: int = 0) -> None:
        """Let the data layers start anew, by this seed (0 or more).

        Their shuffles, crops and mirrors depend on it alone. Of `world` processes each reads its
        own samples: number `rank` those whose place is `rank` modulo `world`; in TEST all of them.
        With `workers` each layer reads ahead in so many processes, with the same outcome.
        """
        for index, layer in enumerate(self.layers.values()):
            layer.seed_data(seed, index, rank=rank, world=world, workers=workers)

    def plan(self, fed: Mapping[str, object]) -> Plan:
        """Return what runs when these blobs are fed."""
        if torch.compiler.is_compiling():
            return self._make_plan(fed)
        names = frozenset(fed)
        if names not in self._plans:
            self._plans[names] = self._make_plan(fed)
        return self._plans[names]

    def _make_plan(self, fed: Mapping[str, object]) -> Plan:
        known = set(fed)
        steps = []
        for step in self.steps:
            if not known.isdisjoint(step.tops):
                continue  # fed, or fed in part: a batch of its own would not belong to it
            if self.layers[step.key].makes_tops and known.issuperset(step.bottoms):
                known.update(step.tops)
                steps.append(step)
        return make_plan(steps)

    def shapes(self, inputs: Mapping[str, Shape] | None = None) -> dict[str, Shape]:
        """Return the shape of every value for inputs of these shapes (default: the file's).

        Raises ShapeError, naming the layer, where Caffe would refuse them.
        """
        shapes = dict(self.input_shapes if inputs is None else inputs)
        for step in self.plan(shapes).steps:
            with within(step.place):
                bottoms = [shapes[name] for name in step.bottoms]
                tops = self.layers[step.key].checked_shapes(*bottoms)
            shapes.update(zip(step.tops, tops, strict=True))
        return shapes

    def admits(self, inputs: Mapping[str, Shape]) -> bool:
        """Tell whether inputs of these shapes fit the network."""
        try:
            self.shapes(inputs)
        except CaffeError:
            return False
        return True

    def feed(self, inputs: Inputs | None) -> dict[str, Tensor]:
        """Return the inputs by name; raises ShapeError for a stray one or a wrong shape."""
        names = self.inputs
        if isinstance(inputs, Tensor):
            if not names:
                raise ShapeError("the network has no inputs, got a tensor")
            inputs = {names[0]: inputs}
        fed = dict(inputs or {})
        for name in fed:
            if name not in names:
                raise ShapeError(f"{name!r} is no input", fix=f"the inputs are {', '.join(names)}")
        if not torch.compiler.is_compiling():
            self._check({name: tuple(value.shape) for name, value in fed.items()})
        if self._channels_last:
            fed = {name: _channels_last(value) for name, value in fed.items()}
        return fed

    def _check(self, shapes: dict[str, Shape]) -> None:
        signature = tuple(shapes.items())
        if signature not in self._checked:
            try:
                self.shapes(shapes)
            except ShapeError as error:
                pools = whole_pools(self)
                if pools and would_fit(self, shapes, pools):
                    blame_pools(error, pools)
                raise
            self._checked.add(signature)

    def run(
        self,
        fed: Mapping[str, Tensor],
        plan: Plan,
        *,
        sparing: bool = False,
        every_diff: bool = False,
    ) -> dict[str, Tensor]:
        """Return the values of a plan's steps and of the fed blobs.

        `sparing` lets go of each value after its last use: outputs and losses are left.
        `every_diff` lets also those have a gradient from which nothing learns, but Caffe has one.
        """
        values = dict(fed)
        for step, spent in zip(plan.steps, plan.spent, strict=True):
            bottoms = [values[name] for name in step.bottoms]
            for index, row in enumerate(step.propagate_down):
                if not row:
                    bottoms[index] = bottoms[index].detach()
            if step.cls.is_source:
                values.update(self._read(step, values))
                continue
            tops = self._compute(step, bottoms)
            if every_diff and self._has_diffs(step, values):
                _ask_diffs([tops] if isinstance(tops, Tensor) else tops)
            if len(step.tops) == 1 and isinstance(tops, Tensor):
                values[step.tops[0]] = tops
            else:
                values.update(zip(step.tops, tops, strict=True))
            if sparing:
                for name in spent:
                    del values[name]
        return values

    def _compute(self, step: Step, bottoms: list[Tensor]) -> Any:
        """Return a step's tops; ShapeError if values gave a bottom rows that do not fit."""
        try:
            return self.layers[step.key](*bottoms)
        except RuntimeError:
            with within(step.place):
                self.layers[step.key].checked_shapes(*(tuple(value.shape) for value in bottoms))
            raise

    def _has_diffs(self, step: Step, values: Mapping[str, Tensor]) -> bool:
        """Tell whether Caffe computes diffs of a step's tops that none of its bottoms gets.

        So it does above `propagate_down: false`, and above statistics without `param` rows.
        """
        layer = self.layers[step.key]
        if len(step.layer.param) < len(layer.blob_names):
            return True
        return not all(step.propagate_down) and any(
            values[name].requires_grad for name in step.bottoms
        )

    def _read(self, step: Step, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what a source makes; ShapeError if its images have grown out of the network."""
        layer = self.layers[step.key]
        with within(step.place):
            tops = layer()
        made = dict(zip(step.tops, [tops] if isinstance(tops, Tensor) else tops, strict=True))
        shapes = {name: tuple(top.shape) for name, top in made.items()}
        if list(shapes.values()) != layer.checked_shapes():
            known = {name: tuple(value.shape) for name, value in values.items()}
            self._check({name: known[name] for name in self.inputs if name in known} | shapes)
        return made


def _ask_diffs(tops: Sequence[Tensor]) -> None:
    for top in tops:
        if top.is_floating_point() and not top.requires_grad:
            top.requires_grad_()


def _weighted(top: Tensor, weight: float) -> Tensor:
    total = top.sum() if top.dim() else top
    return total if weight == 1 else weight * total


def _channels_last(value: Tensor) -> Tensor:
    return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value

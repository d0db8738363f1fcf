"""A Caffe network as a PyTorch module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypedDict, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import Unpack

from caffe_layers import Layer, Shape
from caffe_layers.limits import running
from caffe_layers.memory import is_lack_of_memory
from prototxt import Net
from prototxt.errors import CaffeError, ShapeError, UnsupportedError, advising, within

from . import global_pool
from .arrays import as_given, as_tensor
from .exported import Exported, exported_part
from .layers import Layers
from .optimize import LAYOUT_PASSES, PASSES, Wiring
from .origin import Loaded, Origin, SourceFile
from .parameters import parameter_groups
from .plan import Plan, make_plan, running_steps
from .quick.cache import Quick
from .quick.calls import laid_out
from .quick.own_code import with_own_code
from .quick.traced import has_followed_rows
from .shapes import shapes_of
from .steps import Step

Inputs = Mapping[str, Tensor] | Tensor
ArrayInputs = Mapping[str, NDArray[Any]] | NDArray[Any]


class CompileOptions(TypedDict, total=False):
    """What `torch.compile` of every supported release is told."""

    fullgraph: bool
    dynamic: bool | None
    backend: str | Callable[..., Any]
    mode: str | None
    options: dict[str, Any] | None
    disable: bool


class CaffeNet(nn.Module):
    """A Caffe network: call it with `{input blob: tensor}`, get `{output blob: tensor}`.

    Inputs may be left out: layers that need a missing one are skipped, and the outputs are the
    computed blobs that no computed layer consumes, in sorted order as in pycaffe. A bare tensor
    goes to the first input. Built by `converter.load`.
    """

    def __init__(
        self,
        name: str,
        steps: Iterable[Step],
        layers: Layers | Mapping[str, Layer],
        *,
        definition: Net | None = None,
        input_shapes: Mapping[str, Shape] | None = None,
        phase: str = "TEST",
        origin: Origin | None = None,
        force_backward: bool = False,
        optimized: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        self.steps = tuple(steps)
        self.layers = Layers((step.key, layers[step.key]) for step in self.steps)
        self.definition = definition
        self.input_shapes = dict(input_shapes or {})
        self.phase = phase
        self.origin = origin or Origin()
        self.force_backward = force_backward
        self.optimized = optimized
        self._plans: dict[frozenset[str], Plan] = {}
        self._exported: dict[bool, Exported] = {}
        self._quick = Quick()
        self._channels_last = False
        self._checked: set[tuple[tuple[str, Shape], ...]] = set()
        self.train(phase == "TRAIN")

    def rewired(
        self,
        steps: Iterable[Step],
        layers: Layers | Mapping[str, Layer],
        *,
        notes: Iterable[str] = (),
        optimized: bool = False,
        definition: Net | None = None,
    ) -> CaffeNet:
        """Return the network of other steps and layers, which is of the same origin.

        `notes` say what was rewritten; `definition` is given where it says the same.
        """
        made = CaffeNet(
            self.name,
            steps,
            layers,
            definition=definition or self.definition,
            input_shapes=self.input_shapes,
            phase=self.phase,
            origin=self.origin.noting(*notes),
            force_backward=self.force_backward,
            optimized=optimized or self.optimized,
        )
        made._channels_last = self._channels_last
        return made.train(self.training)

    @property
    def source(self) -> str:
        """How error messages call the definition."""
        return self.origin.definition.source if self.origin.definition else ""

    @property
    def sources(self) -> list[SourceFile]:
        """The files that the network was loaded from, its definition's first."""
        return self.origin.files

    @property
    def template(self) -> dict[str, str]:
        """The values of the definition's placeholders."""
        return dict(self.origin.values)

    @property
    def loaded(self) -> Loaded | None:
        """What became of the weights' layers and of the network's."""
        return self.origin.loaded

    @property
    def notes(self) -> list[str]:
        """What loading and rewriting did that a reader should know."""
        return list(self.origin.notes)

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
    def outputs(self) -> list[str]:
        """The names of the blobs that come out where every input is fed, sorted as they are."""
        return list(self.plan(dict.fromkeys(self.inputs)).outputs)

    @property
    def named_outputs(self) -> tuple[str, ...]:
        """The blobs that the caller ended the network with; none where nobody did."""
        return self.definition.outputs if self.definition else ()

    @property
    def params(self) -> dict[str, list[Tensor]]:
        """Each layer's blobs as Caffe holds them; layers without blobs are left out."""
        return {name: layer.blobs for name, layer in self.layers.items() if layer.blob_names}

    @overload
    def forward(self, inputs: Inputs | None = None) -> dict[str, Tensor]: ...

    @overload
    def forward(self, inputs: ArrayInputs) -> dict[str, NDArray[Any]]: ...

    def forward(self, inputs: Any = None) -> dict[str, Any]:
        """Return the output blobs; of NumPy's arrays as arrays.

        Arrays are fed in the network's own type. Raises ShapeError where the inputs do not fit the
        network.
        """
        made = self._quick.outputs(self, inputs)
        if made is not None:
            return made
        fed = self.feed(inputs)
        plan = self.plan(fed)
        values = self.run(fed, plan, until_last_use=True)
        return as_given({blob: values[value] for blob, value in plan.outputs.items()}, inputs)

    @overload
    def blobs(self, inputs: Inputs | None = None) -> dict[str, Tensor]: ...

    @overload
    def blobs(self, inputs: ArrayInputs) -> dict[str, NDArray[Any]]: ...

    def blobs(self, inputs: Any = None) -> dict[str, Any]:
        """Return every computed blob by Caffe's name; one written in place as it was last.

        Of NumPy's arrays it returns arrays, as `forward` does.
        """
        fed = self.feed(inputs)
        plan = self.plan(fed)
        return as_given(self.blobs_of(plan, self.run(fed, plan)), inputs)

    def blobs_of(self, plan: Plan, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the blobs among a plan's values, by Caffe's names and in the network's order."""
        blobs = {name: values[name] for name in self.inputs if name in values}
        for step in plan.steps:
            blobs.update(zip(step.blobs, (values[top] for top in step.tops), strict=True))
        return blobs

    def values(self, inputs: Inputs | None = None) -> dict[str, Tensor]:
        """Return every computed value: blobs, and as `blob/by/layer` other versions (`Step`)."""
        fed = self.feed(inputs)
        return self.run(fed, self.plan(fed))

    def loss(self, inputs: Inputs | None = None) -> Tensor:
        """Return the sum of all tops with a loss weight, weighted: what Caffe's training minimises.

        Raises ShapeError if no loss can be computed from these inputs.
        """
        fed = self.feed(inputs)
        plan = self.plan(fed)
        values = self.run(fed, plan, until_last_use=True)
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
            self._raise_read_error(plan)
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
        return parameter_groups(self.layers, lr, weight_decay)

    def _raise_read_error(self, plan: Plan) -> None:
        """Raise the error of the first source whose data could not be read."""
        for step in self.steps:
            error = self.layers[step.key].read_error
            if error is not None and step not in plan.steps:
                with within(step.place):
                    raise deepcopy(error)

    def optimize(self, *, channels_last: bool = True, compile: bool = False) -> CaffeNet:
        """Return a network that computes the same outputs faster, for inference alone.

        Layers that do nothing in testing go, convolutions take in the normalisation and the ReLU
        after them, the selection of SK units becomes one layer, sums are averaged before they are
        added. For torch's sake memory is laid out with the channels last; on a CPU weights are kept
        packed as well, which takes their memory twice, and convolutions add the shortcut beside
        them: not so without `channels_last`, for what is exported. With `compile` torch compiles
        the whole. The network itself stays as it is. What was done stands in the result's `notes`;
        values by Caffe's names of what was folded away are gone, outputs stay.

        Raises UnsupportedError for a network of the TRAIN phase.
        """
        if self.phase == "TRAIN":
            raise UnsupportedError(
                "a network of the TRAIN phase cannot be optimized", fix="load the TEST phase"
            )
        source = deepcopy(self).eval()
        named = self.named_outputs
        kept = make_plan(self.steps, named).outputs.values() if named else ()
        wiring = Wiring(source.steps, source.layers, source.shapes(), kept)
        passes = (*PASSES, *(LAYOUT_PASSES if channels_last else ()))
        done = [said for rewrite in passes if (said := rewrite(wiring))]
        if channels_last:
            done.append("laid out memory with the channels last")
        if compile:
            done.append("compiled by torch at the first call")
        notes = [f"optimized: {said}" for said in done]
        faster = source.rewired(wiring.steps, wiring.layers, notes=notes, optimized=True)
        if channels_last:
            faster.use_channels_last()
        if compile:
            faster.compile(fullgraph=has_followed_rows(step.cls for step in faster.steps))
        return faster.requires_grad_(False)

    def compile(self, **options: Unpack[CompileOptions]) -> None:
        """Let torch compile the passes from now on, each network apart from the others.

        `options` are those of `torch.compile`: `fullgraph`, `dynamic`, `backend`, `mode`,
        `options` and `disable`.
        """
        self.__dict__["forward"] = with_own_code(self.forward)
        super().compile(**options)

    def use_channels_last(self) -> None:
        """Lay out weights of four axes, and from now on inputs too, with the channels last."""
        for blob in (*self.parameters(), *self.buffers()):
            blob.data = laid_out(blob.data)
        for layer in self.layers.values():
            layer.lay_out_shared()
        self._channels_last = True

    @property
    def is_channels_last(self) -> bool:
        """Tell whether memory is laid out with the channels last."""
        return self._channels_last

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
        return make_plan(running_steps(self.steps, self.layers, fed), self.named_outputs)

    def exported(self, *, with_losses: bool = False) -> Exported:
        """Return what an exported model computes; see `exported_part`."""
        if with_losses not in self._exported:
            self._exported[with_losses] = exported_part(
                self.steps,
                self.layers,
                self.input_shapes,
                with_losses=with_losses,
                named=self.named_outputs,
            )
        return self._exported[with_losses]

    def shapes(self, inputs: Mapping[str, Shape] | None = None) -> dict[str, Shape]:
        """Return the shape of every value for inputs of these shapes (default: the file's).

        Raises ShapeError, naming the layer, where Caffe would refuse them.
        """
        inputs = self.input_shapes if inputs is None else inputs
        return shapes_of(self.plan(inputs).steps, self.layers, inputs)

    def admits(self, inputs: Mapping[str, Shape]) -> bool:
        """Tell whether inputs of these shapes fit the network."""
        try:
            self.shapes(inputs)
        except CaffeError:
            return False
        return True

    def feed(self, inputs: Inputs | ArrayInputs | None) -> dict[str, Tensor]:
        """Return the inputs by name, arrays as tensors of the network's type and device.

        Raises ShapeError for an unexpected one or a wrong shape, UsageError for what is neither
        tensor nor array.
        """
        names = self.inputs
        if isinstance(inputs, (Tensor, np.ndarray)):
            if not names:
                raise ShapeError("the network has no inputs, got a tensor")
            fed: dict[str, Any] = {names[0]: inputs}
        else:
            fed = dict(inputs or {})
        for name in fed:
            if name not in names:
                raise ShapeError(f"{name!r} is no input", fix=f"the inputs are {', '.join(names)}")
        if not torch.compiler.is_compiling():
            fed = {name: as_tensor(name, value, self) for name, value in fed.items()}
            self._check({name: tuple(value.shape) for name, value in fed.items()})
        if self._channels_last:
            fed = {name: laid_out(value) for name, value in fed.items()}
        return fed

    def _check(self, shapes: dict[str, Shape]) -> None:
        signature = tuple(shapes.items())
        if signature not in self._checked:
            with advising(lambda _: self._advice(shapes)):
                self.shapes(shapes)
            self._checked.add(signature)

    def _advice(self, inputs: Mapping[str, Shape]) -> str:
        """Say what would let inputs of these shapes fit; "" where nothing known would."""
        pools = global_pool.fixed_pools(self.steps, self.layers, self.shapes())
        steps = self.plan(inputs).steps
        fits = pools and global_pool.would_fit(steps, self.layers, inputs, pools)
        return global_pool.advice(pools) if fits else ""

    def run(
        self,
        fed: Mapping[str, Tensor],
        plan: Plan,
        *,
        until_last_use: bool = False,
        every_diff: bool = False,
    ) -> dict[str, Tensor]:
        """Return the values of a plan's steps and of the fed blobs.

        With `until_last_use` each value is freed after its last use: outputs and losses are left.
        `every_diff` lets also those have a gradient from which nothing learns, but Caffe has one.
        """
        values = dict(fed)
        for step, last_used in zip(plan.steps, plan.last_uses, strict=True):
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
            if until_last_use:
                for name in last_used:
                    del values[name]
        return values

    def _compute(self, step: Step, bottoms: list[Tensor]) -> Any:
        """Return a step's tops; what stops its layer is an error that names it.

        ShapeError if values gave a bottom rows that do not fit.
        """
        layer = self.layers[step.key]
        try:
            return layer(*bottoms)
        except Exception as error:
            with within(step.place), running(type(layer)):
                if isinstance(error, RuntimeError) and not is_lack_of_memory(error):
                    layer.checked_shapes(*(tuple(value.shape) for value in bottoms))
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
        with within(step.place), running(type(layer)):
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

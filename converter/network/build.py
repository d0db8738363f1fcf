"""From a filtered definition to a network whose blobs are not yet set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

import caffe_layers
from caffe_layers import Layer, Shape
from caffe_layers.base.checks import require
from caffe_layers.base.layer import DEFAULT, Registry
from caffe_layers.data.input import Input
from prototxt import Net, Weights
from prototxt.errors import CaffeError, FormatError, ShapeError, within

from .global_pool import fixed_kernel, global_pool
from .layers import Layers
from .net import CaffeNet
from .origin import Origin
from .sharing import share
from .steps import Step, build_steps


class UnsaidShapeError(ShapeError):
    """An input whose shape neither the definition nor the caller says.

    `unread` is why its layer does not read its data, which would say it; None where it reads none.
    """

    def __init__(self, message: str, *, fix: str = "", unread: CaffeError | None = None) -> None:
        super().__init__(message, fix=fix)
        self.unread = unread


def build(net: Net, input_shapes: Mapping[str, Shape] | None = None) -> CaffeNet:
    """Return the network of a filtered definition, its blobs not yet set."""
    draft = draft_of(net, input_shapes=input_shapes)
    draft.build()
    return draft.network(Origin.of(net))


def draft_of(
    net: Net,
    files: Sequence[Weights] = (),
    input_shapes: Mapping[str, Shape] | None = None,
    dialect: str | None = None,
    registry: Registry = DEFAULT,
    *,
    global_pools: bool = False,
) -> Draft:
    """Return the draft of a filtered network, none of whose layers is built yet.

    The weights' `files` help to tell what its types stand for.
    """
    blobs = {
        layer.name: [blob.shape for blob in layer.blobs if blob is not None]
        for weights in files
        for layer in weights.layers
    }
    steps = build_steps(net, blobs=blobs, dialect=dialect, registry=registry)
    return Draft(net, steps, input_shapes or {}, global_pools=global_pools)


class Draft:
    """A network whose layers are built in their order, each for the shapes that reach it.

    `shapes` are those of its values where the inputs have the `given` ones, and `file_shapes`
    where they have the file's, as far as that is known. `kernels` are those of the average pools
    that cover their whole map at the file's size; with `global_pools` these become global. `step`
    is the one that is built.
    """

    def __init__(
        self,
        definition: Net,
        steps: Iterable[Step],
        given: Mapping[str, Shape],
        *,
        global_pools: bool = False,
    ) -> None:
        self.definition = definition
        self.steps = list(steps)
        self.given = dict(given)
        self.global_pools = global_pools
        self.layers = Layers()
        self.shapes: dict[str, Shape] = {}
        self.file_shapes: dict[str, Shape | None] = {}
        self.kernels: dict[str, Shape] = {}
        self.step: Step | None = None

    @property
    def input_shapes(self) -> dict[str, Shape]:
        """The shapes of the inputs that are there so far, in the network's order."""
        inputs = [top for step in self.steps if step.cls.is_source for top in step.tops]
        return {name: self.shapes[name] for name in inputs if name in self.shapes}

    def bottoms_of(self, step: Step) -> list[Shape]:
        """Return the shapes that reach a step."""
        return [self.shapes[name] for name in step.bottoms]

    def build(self, reused: Draft | None = None) -> None:
        """Build the layers; those of another draft stand for ones that get the same bottoms.

        Raises ShapeError, naming the layer, where Caffe would refuse them.
        """
        self._check_given()
        for index, step in enumerate(self.steps):
            self.step = step
            with within(step.place):
                self._build(index, step, reused)
        self.step = None
        if self.global_pools and not self.kernels:
            raise ShapeError("--global-pool: no average pool of the network covers its whole map")
        share(self.steps, self.layers)
        if not self.definition.header.force_backward:
            _freeze(self.layers)

    def network(self, origin: Origin) -> CaffeNet:
        """Return the network of these parts."""
        header = self.definition.header
        return CaffeNet(
            header.name,
            self.steps,
            self.layers,
            definition=self.definition,
            input_shapes=self.input_shapes,
            phase=self.definition.phase or "TEST",
            origin=origin,
            force_backward=header.force_backward,
        )

    def with_global_pools(self) -> Draft:
        """Return the draft of the same network with global pools, as far as possible of its layers.

        Raises ShapeError where that does not fit either.
        """
        draft = Draft(self.definition, self.steps, self.given, global_pools=True)
        draft.build(reused=self)
        return draft

    def fails_by_file(self, step: Step) -> bool:
        """Tell whether a step is known not to fit the shapes that the file says either."""
        bottoms = self._file_bottoms(step)
        if len(bottoms) < len(step.bottoms):
            return False
        try:
            self._layer(step, bottoms, {}).checked_shapes(*bottoms)
        except CaffeError:
            return True
        return False

    def _check_given(self) -> None:
        inputs = {top for step in self.steps if step.cls.is_source for top in step.tops}
        if unexpected := self.given.keys() - inputs:
            known = ", ".join(sorted(inputs)) or "none"
            raise ShapeError(f"{min(unexpected)!r} is no input", fix=f"the inputs are {known}")

    def _build(self, index: int, step: Step, reused: Draft | None) -> None:
        bottoms = self.bottoms_of(step)
        if reused and step.key in reused.layers and reused.bottoms_of(step) == bottoms:
            layer = reused.layers[step.key]
        else:
            layer = self._layer(step, bottoms, self.given)
        whole = self.file_shapes.get(step.bottoms[0]) if step.bottoms else None
        kernel = fixed_kernel(layer, whole) if whole else None
        if kernel is not None:
            self.kernels[step.key] = kernel
            if self.global_pools:
                layer = self._make_global(index, step, bottoms)
        tops = tops_of(layer, bottoms, len(step.tops))
        file_tops = self._tops_by_file(step, layer, bottoms, tops)
        self.file_shapes.update(zip(step.tops, file_tops, strict=True))
        self.shapes.update(zip(step.tops, self._known(step, layer, tops), strict=True))
        self.layers.add(step.key, layer)

    def _make_global(self, index: int, step: Step, bottoms: list[Shape]) -> Layer:
        """Put a global pool in the place of a step that is built, and in the definition."""
        layers = list(self.definition.layers)
        layers[index] = global_pool(step.layer)
        self.definition = replace(self.definition, layers=layers)
        self.steps[index] = replace(step, layer=layers[index])
        return self._layer(self.steps[index], bottoms, self.given)

    def _layer(self, step: Step, bottoms: list[Shape], given: Mapping[str, Shape]) -> Layer:
        training = self.definition.phase == "TRAIN"
        return build_layer(step.layer, step.cls, bottoms, given, training=training)

    def _tops_by_file(
        self, step: Step, layer: Layer, bottoms: list[Shape], tops: Sequence[Shape | None]
    ) -> Sequence[Shape | None]:
        """Return the tops' shapes where the inputs have the file's."""
        file_bottoms = self._file_bottoms(step)
        if file_bottoms == bottoms:
            return tops
        unknown = [None] * len(tops)
        try:
            known = len(file_bottoms) == len(bottoms)
            return layer.checked_shapes(*file_bottoms) if known else unknown
        except CaffeError:
            return unknown

    def _file_bottoms(self, step: Step) -> list[Shape]:
        """Return those shapes that reach a step at the file's size that are known."""
        found = [self.file_shapes.get(name) for name in step.bottoms]
        return [shape for shape in found if shape is not None]

    def _known(self, step: Step, layer: Layer, tops: Sequence[Shape | None]) -> list[Shape]:
        """Return the tops' shapes, an input's as it is given."""
        known = []
        for name, top in zip(step.tops, tops, strict=True):
            shape = self.given.get(name, top)
            if shape is None:
                why = f", and {layer.read_error.args[0]}" if layer.read_error else ""
                raise UnsaidShapeError(
                    f"the file does not say the shape of {name!r}{why}",
                    fix=f"give it with --input-shape {name}=...",
                    unread=layer.read_error,
                )
            known.append(shape)
        return known


def tops_of(layer: Layer, bottoms: Sequence[Shape], number: int) -> Sequence[Shape | None]:
    """Return the shapes of a layer's tops; ShapeError where it makes more or fewer than named."""
    tops: Sequence[Shape | None] = layer.checked_shapes(*bottoms)
    require(len(tops) == number, f"{number} tops, wants {len(tops)} of these parameters")
    return tops


def _freeze(layers: Layers) -> None:
    """Ask no gradient for blobs whose learning rate is 0; of shared ones the owner's counts."""
    seen: set[int] = set()
    for layer in layers.values():
        for index, blob in enumerate(layer.blobs):
            if isinstance(blob, nn.Parameter) and id(blob) not in seen:
                seen.add(id(blob))
                blob.requires_grad_(layer.lr_mult(index) != 0)


def build_layer(
    layer: Any,
    cls: type[Layer],
    bottoms: list[Shape],
    given: Mapping[str, Shape],
    *,
    training: bool = False,
) -> Layer:
    """Build one layer, its blobs not yet set; `given` are the shapes that the caller says.

    It comes in the network's phase: a few layers' shapes depend on that.
    """
    try:
        with caffe_layers.unfilled():
            built = caffe_layers.build(layer, bottoms, cls)
    except FormatError:
        # Its file cannot be read, and need not be where the caller says what will be fed.
        if not cls.is_source or given.keys().isdisjoint(layer.top):
            raise
        built = Input(*(given.get(top) for top in layer.top))
    built.train(training)
    return built

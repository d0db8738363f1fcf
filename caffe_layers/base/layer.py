"""The contract of a layer: the base class, whose class statement registers a reading of a type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from caffe_layers.limits import is_own, running
from caffe_layers.memory import new_blob, new_blobs_are_filled
from prototxt import Blob
from prototxt.errors import CaffeError, UnsupportedError
from prototxt.schema import SHIPPED, Schema

from .checks import require_axes, require_countable, require_values
from .count import Count
from .fields import SignatureOfClass, arguments_of, read_fields
from .filler import Filler
from .message import is_set
from .op import Values
from .param_spec import ParamSpec
from .shape import Shape

Family = Literal[
    "",
    "convolution",
    "inner product",
    "normalization",
    "scale",
    "activation",
    "dropout",
    "pooling",
    "sum",
    "shape",
]

Asked = Literal["cont", "regions", "image info"]


class Layer(nn.Module):
    """A Caffe layer: built from its message, a shape rule, a torch forward, an ONNX form.

    The class statement registers it: `class Axpy(Layer, type="Axpy", fork="senet", bottoms=3)`.
    `bottoms` and `tops` are a number or `(least, most)`, with None for no upper limit. A class
    without `type` is a base for others.

    `param` names the field of LayerParameter that has its parameters, as `param="lrn_param"`; bases
    hand it on. An argument of `__init__` that is called as a field of that message is read from it.

    A layer's blobs are declared in Caffe's order with `add_blob` and hold Caffe's shapes: they are
    what `.caffemodel` files store.
    """

    __signature__ = SignatureOfClass()

    caffe_type: ClassVar[str]
    fork: ClassVar[str]
    bottoms: ClassVar[Count]
    tops: ClassVar[Count]
    param: ClassVar[str] = ""
    is_loss: ClassVar[bool] = False
    """It is one of Caffe's LossLayers: its first top weighs 1 unless `loss_weight` says otherwise,
    and tops that the definition leaves out are made up."""
    is_metric: ClassVar[bool] = False
    """It only measures (Accuracy): an exported model leaves it out, as it does losses."""
    applies: ClassVar[str] = ""
    """What a loss does to its first bottom before it compares: softmax or sigmoid."""
    is_sink: ClassVar[bool] = False
    """It swallows its bottoms: they are no outputs of a network on its account (Silence)."""
    is_copy: ClassVar[bool] = False
    """Every top is its bottom (Split)."""
    is_view: ClassVar[bool] = False
    """Its top is its bottom in another shape, in Caffe the very memory (Flatten, Reshape)."""
    is_source: ClassVar[bool] = False
    """Its tops are fed from outside by name (Input and the data layers)."""
    family: ClassVar[Family] = ""
    """What it is akin to, which a picture shows by its colour."""
    own_values: ClassVar[bool] = False
    """It reads nothing, and yet its tops are no data: they are the definition's (DummyData)."""
    makes_tops: bool = True
    """False for a source that has nothing of its own where it is not fed."""
    time_first: ClassVar[bool] = False
    """Axis 0 of its bottoms is time, and the batch is axis 1 (LSTM, RNN)."""
    unrolled: ClassVar[bool] = False
    """Caffe makes a network of its own of its steps, which knows no `lr_mult` (LSTM, RNN)."""
    read_error: CaffeError | None = None
    """Why a source that reads files has nothing of its own."""
    constant_tops: bool = False
    """True for a source whose own tops are always the same."""
    fixed_bottoms: ClassVar[tuple[int, ...]] = ()
    """Bottoms that never receive a gradient (labels)."""

    asks: ClassVar[Mapping[int, Asked]] = {}
    """What bottoms hold, by their places, that noise is not: a continuation indicator (0 where a
    sequence begins), regions of images (rows of image, x1, y1, x2, y2), an image's height, width
    and scale. So inputs are made up that mean something."""

    fork_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that it reads beyond those of BVLC's schema and of its own fork's, as
    `convolution_param.tf_pad`; a message's name stands for all that is in it."""

    replaces_bvlc: ClassVar[bool] = False
    """True where its fork means nothing else by the type, unless the weights say so: then naming
    the fork decides. Other forks' own meanings stand beside BVLC's."""

    only_by_name: ClassVar[bool] = False
    """True where nothing in its message tells of its fork: naming that means it, or what else the
    file has."""

    adds_blobs: ClassVar[bool] = False
    """Told by its code, which calls `add_blob`; a class whose helpers do that says so itself."""

    free_axis: ClassVar[int | None] = None
    """The axis along which its tops are as long as values say; the shape rule says how long at
    most."""
    is_traced_whole: ClassVar[bool] = False
    """Whether torch's compiler can follow its forward pass though values say how long tops are."""
    first_free_top: ClassVar[int] = 0
    """The first top of which that is true: those before it are as their shapes say."""

    draws: bool = False
    """True where the tops are random also in TEST: no two passes agree."""

    shapes: Callable[..., list[Shape]]
    """Bottoms' shapes -> tops' shapes; raises ShapeError where Caffe refuses."""
    onnx: Callable[..., Values]
    """(op, *bottoms' names) -> the name of the top's value, or those of several tops; see `Op`."""
    python: Callable[..., str]
    """(py, *bottoms' variables) -> an expression of the tops, in source that needs torch alone.

    It may be left out; a class does not inherit it.
    """
    bound: Callable[..., Callable[..., Any] | None]
    """(*bottoms' shapes) -> what does with bottoms of these shapes as `forward` does, and sooner.

    It reads the blobs anew at each call. None where it has nothing better; it may be left out, and
    a class does not inherit it.
    """

    def __init_subclass__(
        cls,
        *,
        type: str | None = None,
        fork: str = "bvlc",
        bottoms: int | tuple[int, int | None] = 1,
        tops: int | tuple[int, int | None] = 1,
        param: str | None = None,
    ) -> None:
        super().__init_subclass__()
        cls.adds_blobs = cls.adds_blobs or _calls_add_blob(cls)
        cls.bottoms, cls.tops = Count.of(bottoms), Count.of(tops)
        if param is not None:
            cls.param = param
        if type is None:
            return
        registering().add(cls, type, fork)
        cls.caffe_type, cls.fork = type, fork

    def __init__(self) -> None:
        super().__init__()
        self.blob_names: tuple[str, ...] = ()
        self.param_specs: tuple[ParamSpec, ...] = ()
        self.phase: str | None = None
        self._fillers: dict[str, Filler] = {}
        self._shared: dict[str, tuple[Layer, str, Shape]] = {}

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        """Tell whether this is the meaning of the layer's type in its file.

        `blobs` are the shapes of the weights, None where there are none. Only types that mean
        different things in different forks need to look.
        """
        return True

    @classmethod
    def learns(cls, layer: Any) -> bool:
        """Tell whether a layer of this message has blobs, before its bottoms' shapes are known."""
        return cls.adds_blobs

    @classmethod
    def does_without_labels(cls, layer: Any) -> bool:
        """Tell whether in testing a layer of this message may lack its `fixed_bottoms`.

        So it is with margins, which only training adds to the label's score.
        """
        return False

    @classmethod
    def meant_by(cls, layer: Any, registry: Registry) -> type[Layer]:
        """Return the class that a layer of this reading is, if it is another one of the registry's.

        So it is for type Python.
        """
        return cls

    @classmethod
    def undecided(cls) -> type[Layer]:
        """Return the class of a layer whose fork nobody named, if its bottoms' shapes tell it."""
        return cls

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Layer:
        """Build the layer from its LayerParameter, for bottoms of these shapes."""
        if is_own(cls):
            cls._refuse_unread(layer)
        return cls(**cls.fields(layer))

    @classmethod
    def _refuse_unread(cls, layer: Any) -> None:
        """Raise UnsupportedError for a field that is set and that no argument is read from.

        Classes that read their message themselves know what they leave. An `engine` says only what
        computes.
        """
        if not cls.param or not is_set(layer, cls.param):
            return
        for one, _ in getattr(layer, cls.param).ListFields():
            if one.name not in cls._arguments() and one.name != "engine":
                raise UnsupportedError(
                    f"{cls.param}.{one.name} is set, and nothing of {cls.__name__} reads it",
                    fix=f"give __init__ an argument of that name: `*, {one.name}: ...`",
                )

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        """Return the arguments of `__init__` that are fields of the message `param` (see above).

        What is `computed` takes a field's place. A dialect may lack the message, or a field of it:
        then nothing is said there, and the arguments' own defaults stand.
        """
        if cls.param not in layer.DESCRIPTOR.fields_by_name:
            return computed
        return cls.fields_of(getattr(layer, cls.param), **computed)

    @classmethod
    def fields_of(cls, message: Any, **computed: object) -> dict[str, Any]:
        """Return the arguments that are fields of one more message, as `fields` does."""
        return read_fields(message, cls._arguments()) | computed

    @classmethod
    @cache
    def _arguments(cls) -> Mapping[str, Any]:
        return arguments_of(cls)

    def checked_shapes(self, *bottoms: Shape) -> list[Shape]:
        """Return what `shapes` does, after checking what Caffe asks of every blob.

        Raises ShapeError for a blob of more than 32 axes, and for an empty one that the layer
        reads or computes, where Caffe aborts.
        """
        for bottom in bottoms:
            require_axes(bottom, "bottom")
            require_values(bottom, "bottom")
            require_countable(bottom, "bottom")
        with running(type(self)):
            tops = self.shapes(*bottoms)
        for top in tops:
            if top is None:  # a source whose file does not say it
                continue
            require_axes(top, "top")
            require_countable(top, "top")
            if not self.is_source:
                require_values(top, "top")
        return tops

    def add_blob(self, name: str, shape: Shape, filler: Filler, *, learnable: bool = True) -> None:
        """Declare the next blob: a Parameter, or a buffer where training never updates it."""
        filler.check(shape)
        blob = new_blob(name, shape)
        if learnable:
            self.register_parameter(name, nn.Parameter(blob))
        else:
            self.register_buffer(name, blob)
        self.blob_names = (*self.blob_names, name)
        self._fillers[name] = filler
        if new_blobs_are_filled():
            filler.fill(blob)

    def admits(self, name: str, shape: Shape) -> bool:
        """Tell whether a file's blob of another shape holds the same numbers in the same order."""
        return False

    @property
    def blobs(self) -> list[Tensor]:
        """The blobs in Caffe's order, of Caffe's shapes and raw values."""
        return [getattr(self, name) for name in self.blob_names]

    @property
    def live_blobs(self) -> Mapping[str, Any]:
        """Its own blobs that learn, by name: a mapping that shows what they are at any time."""
        return self._parameters

    @property
    def stored_blobs(self) -> list[Tensor]:
        """The tensors that hold the blobs: for one that is a view, its owner's."""
        owners = {name: (owner, owned) for name, (owner, owned, _) in self._shared.items()}
        return [getattr(*owners.get(name, (self, name))) for name in self.blob_names]

    def adapted(self, blobs: Sequence[Blob | None]) -> Sequence[Blob | None]:
        """Return a file's blobs as this layer takes them: a few layers resize theirs."""
        return blobs

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Fill every blob as Caffe does before training."""
        for name, filler in self._fillers.items():
            filler.fill(getattr(self, name).data, generator)

    def draw_statistics(self) -> bool:
        """Set statistics that no data have filled to mean 0 and variance 1; tell if there are any.

        The fillers' variance of 0 makes every value 316 times as large, layer after layer.
        """
        return False

    @property
    def unknown_fillers(self) -> list[Filler]:
        """Fillers that cannot fill its blobs, one of each type: weights have to."""
        return list({one.type: one for one in self._fillers.values() if not one.is_known}.values())

    def share_blob(self, name: str, owner: Layer, owned: str) -> None:
        """Let a blob be another layer's: the same Parameter, or a view in this blob's shape."""
        theirs, shape = getattr(owner, owned), tuple(getattr(self, name).shape)
        del self._fillers[name]
        if tuple(theirs.shape) == shape:
            setattr(self, name, theirs)
        else:
            delattr(self, name)
            self._shared[name] = (owner, owned, shape)

    def lay_out_shared(self) -> None:
        """Lay out in Caffe's order what a blob of another shape is a view of."""
        for owner, owned, _ in self._shared.values():
            theirs = getattr(owner, owned)
            theirs.data = theirs.data.contiguous()

    def take_blobs(self, other: Layer) -> None:
        """Hold the very blobs of a layer of the same sizes, shared and trained as there."""
        for name in other.blob_names:
            if name in other._shared:
                delattr(self, name)
            else:
                setattr(self, name, getattr(other, name))
        self._fillers, self._shared = dict(other._fillers), dict(other._shared)
        self.param_specs, self.phase = other.param_specs, other.phase
        super().train(other.training)

    def shares_blob(self, name: str) -> bool:
        """Tell whether a blob is another layer's."""
        return name in self.blob_names and name not in self._fillers

    def __getattr__(self, name: str) -> Any:
        shared = self.__dict__.get("_shared", {}).get(name)
        if shared is None:
            return super().__getattr__(name)
        owner, owned, shape = shared
        return getattr(owner, owned).view(shape)

    def lr_mult(self, blob: int) -> float:
        """Return the learning rate's factor of a blob; 0 for what training never updates."""
        if not isinstance(self.blobs[blob], nn.Parameter):
            return 0.0
        spec = self._spec(blob)
        return 1.0 if spec.lr_mult is None else spec.lr_mult

    def decay_mult(self, blob: int) -> float:
        """Return the weight decay's factor of a blob.

        Caffe lets even blobs that never learn decay: it shows in a solver's history of them.
        """
        spec = self._spec(blob)
        return 1.0 if spec.decay_mult is None else spec.decay_mult

    def set_spec(
        self, blob: int, *, lr_mult: float | None = None, decay_mult: float | None = None
    ) -> None:
        """Change those multipliers of one blob that are given."""
        rows = [*self.param_specs, *[ParamSpec()] * (blob + 1 - len(self.param_specs))]
        old = rows[blob]
        rows[blob] = replace(
            old,
            lr_mult=old.lr_mult if lr_mult is None else lr_mult,
            decay_mult=old.decay_mult if decay_mult is None else decay_mult,
        )
        self.param_specs = tuple(rows)

    def _spec(self, blob: int) -> ParamSpec:
        return self.param_specs[blob] if blob < len(self.param_specs) else ParamSpec()

    def wants_channels_last(self, *bottoms: Shape) -> bool:
        """Tell whether bottoms of these shapes had better lie with their channels last."""
        return False

    def reset_state(self) -> None:
        """Forget what earlier forward passes left for the next (recurrent layers, readers)."""

    def seed_data(self, *seed: int, rank: int = 0, world: int = 1, workers: int = 0) -> None:
        """Start to read anew, by this seed; of `world` processes as the one numbered `rank`.

        For layers that read data: sample i is process i mod `world`'s in TRAIN, and `workers` are
        processes that read ahead.
        """

    def train(self, mode: bool = True) -> Layer:
        """Set training or test behaviour; a layer with a `phase` of its own keeps it."""
        super().train(mode if self.phase is None else self.phase == "TRAIN")
        return self

    def extra_repr(self) -> str:
        """Return its details and its blobs' shapes, as torch prints a module."""
        blobs = zip(self.blob_names, self.blobs, strict=True)
        sizes = [f"{name} {'x'.join(map(str, blob.shape))}" for name, blob in blobs]
        return ", ".join([*self.details, *sizes])

    @property
    def label(self) -> str:
        """Its type and its details, as a picture shows them: `Convolution 3x3 /2`."""
        return " ".join([self.caffe_type, *self.details])

    @property
    def details(self) -> list[str]:
        """The words that tell it from its like."""
        return []

    @property
    def is_identity(self) -> bool:
        """Tell whether it does nothing in testing: every top is the bottom."""
        return False

    @property
    def is_affine(self) -> bool:
        """Tell whether in testing it is `x * scale + shift`, both fixed, for each channel."""
        return False

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        """Return the multiply-adds of a forward pass; 0 where no weights are multiplied."""
        return 0


def _calls_add_blob(cls: type[Layer]) -> bool:
    codes = (getattr(value, "__code__", None) for value in vars(cls).values())
    return any(code is not None and "add_blob" in code.co_names for code in codes)


@dataclass
class Registry:
    """The layers that a network may have, and the schema that their parameters are in.

    A value, but for the default one, to which every class statement adds that runs outside of a
    user's file of layers.
    """

    schema: Schema = SHIPPED
    layers: dict[str, dict[str, type[Layer]]] = field(default_factory=dict)
    """Caffe type -> fork -> class."""
    python: dict[tuple[str, str], type[Layer]] = field(default_factory=dict)
    """(module, layer) of a python_param -> the class that stands for it."""
    own_forks: frozenset[str] = frozenset()
    """The forks of the user's files: of several readings that fit, theirs is meant."""

    def add(self, cls: type[Layer], type: str, fork: str) -> None:
        """Add a reading of a type; TypeError where the fork has another one."""
        readings = self.layers.setdefault(type, {})
        if readings.get(fork, cls) is not cls:
            raise TypeError(f"{fork}'s {type!r} is taken by {readings[fork].__module__}")
        readings[fork] = cls

    def add_python(self, cls: type[Layer], module: str, layer: str) -> None:
        """Add what stands for a Python layer; TypeError where another class does."""
        if self.python.get((module, layer), cls) is not cls:
            raise TypeError(f"{module}.{layer} is taken by {self.python[module, layer]!r}")
        self.python[module, layer] = cls

    def with_layers(self, more: Registry) -> Registry:
        """Return a registry with the layers of another one too, and with its schema.

        Its Python layers are meant where a shipped one has their name. TypeError for what else is
        taken.
        """
        layers = {kind: dict(readings) for kind, readings in self.layers.items()}
        both = Registry(more.schema, layers, dict(self.python), self.own_forks | more.own_forks)
        for kind, readings in more.layers.items():
            for fork, cls in readings.items():
                both.add(cls, kind, fork)
        for name, cls in more.python.items():
            if both.python.get(name) is DEFAULT.python.get(name):
                both.python.pop(name, None)
            both.add_python(cls, *name)
        return both


DEFAULT = Registry()
"""The shipped layers, and those that the program itself has declared."""

LAYERS = DEFAULT.layers
"""Caffe type -> fork -> class, of the shipped layers."""

_registering: ContextVar[Registry] = ContextVar("registering", default=DEFAULT)


def registering() -> Registry:
    """Return the registry that class statements add to."""
    return _registering.get()


@contextmanager
def filling(registry: Registry) -> Iterator[None]:
    """Let the class statements that run inside add to this registry."""
    token = _registering.set(registry)
    try:
        yield
    finally:
        _registering.reset(token)

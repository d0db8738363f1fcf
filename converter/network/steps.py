"""The network as steps: in-place writes resolved, every value written once; who reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caffe_layers import Layer, Shape
from caffe_layers.base.layer import DEFAULT, Registry
from caffe_layers.base.registry import find
from prototxt import Net
from prototxt.blob_index import NOBODY, BlobIndex, Value
from prototxt.errors import ShapeError, UnsupportedError, within
from prototxt.net import describe
from prototxt.passes.filter import rules_of
from prototxt.schema.defaults import with_defaults
from prototxt.schema.recognize import certain, decisive

AUTOMATIC = "(automatic)"
"""Caffe's name for the top that a loss layer gets when the definition names none."""


class MissingBottomError(ShapeError):
    """A blob that a layer reads and none makes."""


@dataclass(frozen=True)
class Step:
    """One layer of the network.

    `bottoms` and `tops` name values: a blob's last writer keeps the blob's name, earlier ones are
    `blob/by/layer`; but a blob that is fed keeps its name, and what is written over it is
    `blob/by/layer`. `blobs` are the tops as the file names them. `key` is the layer's name, made
    unique: Caffe allows a name twice.
    """

    key: str
    layer: Any
    cls: type[Layer]
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    blobs: tuple[str, ...]
    loss_weights: tuple[float, ...]
    propagate_down: tuple[bool, ...]

    @property
    def place(self) -> str:
        """How error messages call the layer."""
        return f"layer {self.layer.name!r} ({self.layer.type})"


class StepIndex:
    """The maker and the readers of every value; `kept` are those that are read from outside too."""

    def __init__(self, steps: Iterable[Step], kept: Collection[str] = ()) -> None:
        self._kept = kept
        self._makers: dict[str, Step] = {}
        self._readers: dict[str, list[Step]] = defaultdict(list)
        for step in steps:
            for value in step.tops:
                self._makers[value] = step
            for value in step.bottoms:
                self._readers[value].append(step)

    def maker(self, value: str) -> Step | None:
        """Return the step that makes a value; None if it is fed."""
        return self._makers.get(value)

    def readers(self, value: str) -> Sequence[Step]:
        """Return the steps that read a value, in order; one that reads it twice is there twice."""
        return self._readers.get(value, ())

    def reader(self, value: str) -> Step | None:
        """Return the step that alone reads a value, once; None if there is none, or several."""
        readers = self.readers(value) if value not in self._kept else ()
        return readers[0] if len(readers) == 1 else None


def build_steps(
    net: Net,
    *,
    blobs: Mapping[str, Sequence[Shape]] | None = None,
    dialect: str | None = None,
    registry: Registry = DEFAULT,
) -> list[Step]:
    """Return a filtered network's layers as steps in file order.

    `blobs` are the shapes of the weights by layer, where known, and `dialect` a fork's name: both
    help to tell what a type stands for that means different things in different forks. The layers
    are those of the `registry`.

    Raises ShapeError for a bottom that no earlier layer makes, a top made twice and wrong numbers
    of loss weights; UnsupportedError for an unknown layer type and for a field that is not read.
    """
    refuse_unread(net)
    if not net.layers:
        raise ShapeError("the network has no layers", fix="is every layer left out by its phase?")
    makers = BlobIndex.of(net.layers)
    tops = _top_names(net.layers, registry)
    last = {top: index for index, names in enumerate(tops) for top in names}
    now: dict[str, str] = {}
    final = last.copy()
    keys: set[str] = set()
    steps: list[Step] = []
    for index, (layer, names) in enumerate(zip(net.layers, tops, strict=True)):
        key = _unique(layer.name, keys)
        with within(f"layer {layer.name!r} ({layer.type})"):
            shapes = (blobs or {}).get(layer.name)
            cls, layer = read_layer(layer, net, shapes, dialect, registry)
            bottoms = tuple(_read(value, steps, last, net) for value in makers.bottoms[index])
            if cls.is_source:
                final.update(dict.fromkeys(names, index))
            now.update(_written(layer, names, now, final, index, key))
            steps.append(
                Step(
                    key,
                    layer,
                    cls,
                    bottoms,
                    tuple(now[top] for top in names),
                    names,
                    _loss_weights(layer, cls, len(names)),
                    _propagate_down(layer),
                )
            )
    return steps


def refuse_unread(net: Net) -> None:
    """Raise UnsupportedError for a field of the network itself that could change its outputs."""
    for field in net.schema.extra_fields(net.header, phase=net.phase):
        forks = ", ".join(sorted(net.schema.readers(net.header))) or "an unknown fork"
        raise UnsupportedError(f"{field} is set, a field of {forks}, which is not read here")


def read_layer(
    layer: Any,
    net: Net,
    blobs: Sequence[Shape] | None,
    dialect: str | None,
    registry: Registry,
) -> tuple[type[Layer], Any]:
    """Return a layer's class, and its message in the dialect that the class reads."""
    if not layer.type:
        raise UnsupportedError("the layer has no type")
    schema = registry.schema
    cls = find(
        layer,
        blobs,
        registry=registry,
        dialect=dialect,
        phase=net.phase,
        likely=certain(net.dialects, schema),
    )
    own = cls.fork != "bvlc" and schema.is_known(cls.fork)
    # What another fork's message has besides is in `fork_fields`: the class reads it there.
    if own and not any(schema.extra_fields(layer, cls.fork, neutral=True)):
        layer = schema.as_dialect(layer, cls.fork)
    meant = map(schema.dialect, decisive(net.dialects, schema, dialect))
    return cls, with_defaults(layer, meant, cls.param)


def _top_names(layers: Sequence[Any], registry: Registry) -> list[tuple[str, ...]]:
    """Return each layer's tops, those that Caffe makes up for losses included."""
    names: list[tuple[str, ...]] = []
    automatic = 0
    for layer in layers:
        tops = list(layer.top)
        readings = registry.layers.get(layer.type, {})
        least = max((cls.tops.least for cls in readings.values() if cls.is_loss), default=0)
        while len(tops) < least:
            tops.append(f"{AUTOMATIC}{automatic + 1}" if automatic else AUTOMATIC)
            automatic += 1
        names.append(tuple(tops))
    return names


def _unique(name: str, keys: set[str]) -> str:
    key, number = name, 2
    while key in keys:
        key, number = f"{name}#{number}", number + 1
    keys.add(key)
    return key


def _read(value: Value, steps: Sequence[Step], last: Collection[str], net: Net) -> str:
    """Return the name of a value that a layer reads."""
    if value.maker != NOBODY:
        return steps[value.maker].tops[value.number]
    if value.blob in last:
        raise ShapeError(
            f"bottom {value.blob!r} is a later layer's top",
            fix="layers stand in the order in which they run",
        )
    raise unmade(value.blob, net)


def unmade(blob: str, net: Net) -> MissingBottomError:
    """Return the error of a bottom that nobody makes: who would, by other rules."""
    makers = [layer for layer in net.left_out if blob in layer.top]
    why = "is it misspelt?"
    if makers:
        why = f"{_left_out(makers)}; --phase, --stage and --level pick others."
    return MissingBottomError(
        f"bottom {blob!r} is no layer's top",
        fix=f"{why} An input's shape can be given: --input-shape {blob}=1,3,224,224",
    )


def _left_out(makers: Sequence[Any]) -> str:
    """Say which layers would make a blob, and the rules by which they are left out."""
    named = ", ".join(f"{describe(layer)} by {rules_of(layer)}" for layer in makers)
    return f"what makes it is left out: {named}"


def _written(
    layer: Any,
    names: tuple[str, ...],
    now: dict[str, str],
    final: dict[str, int],
    index: int,
    key: str,
) -> dict[str, str]:
    written: dict[str, str] = {}
    for position, top in enumerate(names):
        in_place = position < len(layer.bottom) and layer.bottom[position] == top
        if top in written or (top in now and not in_place):
            raise ShapeError(
                f"top {top!r} is already the top of an earlier layer",
                fix="a layer writes in place only where top and bottom of one position are equal",
            )
        written[top] = top if final[top] == index else _earlier(top, key, final)
    return written


def _earlier(blob: str, layer: str, blobs: Container[str]) -> str:
    """Return the name of what a layer makes of a blob that others write after it: no blob's own."""
    name = f"{blob}/by/{layer}"
    while name in blobs:
        name += "_"
    return name


def _loss_weights(layer: Any, cls: type[Layer], tops: int) -> tuple[float, ...]:
    weights = tuple(layer.loss_weight)
    if not weights:
        first = 1.0 if cls.is_loss else 0.0
        return (first, *(0.0,) * (tops - 1)) if tops else ()
    if len(weights) != tops:
        raise ShapeError(f"{len(weights)} loss weights for {tops} tops, wants none or one for each")
    return weights


def _propagate_down(layer: Any) -> tuple[bool, ...]:
    rows = tuple(layer.propagate_down)
    if rows and len(rows) != len(layer.bottom):
        raise ShapeError(
            f"{len(rows)} propagate_down for {len(layer.bottom)} bottoms, wants none or one each"
        )
    return rows

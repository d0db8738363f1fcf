"""Shapes for the inputs whose shapes a definition does not say, all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from math import inf, prod
from typing import Any

import caffe_layers
from caffe_layers import Layer, Shape
from caffe_layers.data.fed import Fed
from converter.loading.passes import Request
from converter.loading.source_inputs import Reading
from converter.network.build import UnsaidShapeError
from converter.network.steps import MissingBottomError
from prototxt import Net, Weights, filter_net
from prototxt.blob_index import NOBODY, BlobIndex
from prototxt.errors import CaffeError, ShapeError
from prototxt.upgrade import declare_shapeless

from .walk import Part, walk

COLOURS = 3

IMAGES = (224, 227, 299, 300)
"""The sizes of images that are tried where nothing says one."""
LEARNT = (28, 32, 64, 96, 112, 128, 12, 24, 48, 160, 192, 256, 320, 384, 416, 448, 512)
"""Those that are tried besides where weights tell: MNIST's, CIFAR's and other networks'."""
CLIP = (16, 112, 112)
"""Of a clip of frames."""
MOST = 100
"""Channels of an image, or of several that are one behind another."""
MULTIPLES = (32, 64, 128)
"""To what an assumed size of images is raised where layers want another."""
SIZES = (
    ("crop_size", "crop_size"),
    ("crop_height", "crop_width"),
    ("crop_h", "crop_w"),
    ("new_height", "new_width"),
    ("height", "width"),
)
"""Fields of layers that read images, as they have height and width, those that decide first."""


CUT = ("crop_height", "crop_width")

LACKING = (MissingBottomError, UnsaidShapeError)
"""What is raised for want of a shape that the caller can give."""


@dataclass(frozen=True)
class Suggestions:
    """What would be given for the inputs of a network whose shapes its file does not say.

    `definition` is that of every phase: what a network is trained with says what it is fed.
    """

    definition: Net
    net: Net
    files: Sequence[Weights]
    request: Request

    def advice(self, error: CaffeError) -> str:
        """Return what to do about an input's shape that is lacking or assumed; "" for others."""
        if isinstance(error, LACKING):
            return _asking(error, self.shapes())
        return self._other_size if isinstance(error, ShapeError) and not error.fix else ""

    def advise(self, parts: Iterable[Part]) -> None:
        """Let the errors of layers for want of a shape ask for what each of them lacks."""
        asking = [part for part in parts if isinstance(part.error, ShapeError)]
        shapes = self.shapes() if any(isinstance(part.error, LACKING) for part in asking) else {}
        for part in asking:
            assert part.error is not None
            if not isinstance(part.error, LACKING):
                part.error.fix = part.error.fix or self._other_size
                continue
            blobs = {*part.layer.bottom, *part.layer.top}
            own = {name: shape for name, shape in shapes.items() if name in blobs}
            part.error.fix = _asking(part.error, own)

    def shapes(self) -> dict[str, Shape]:
        """Return a shape for each input that lacks one."""
        given = self.request.input_shapes
        parts = self.parts(given)
        names = [name for name in (*self._missing, *_unsaid(parts)) if name]  # "" cannot be given
        examples = self._replaced(names) | _examples(parts)
        beside = [name for name in names if self._is_beside(name) and name not in examples]
        images = [name for name in names if name not in beside]
        found = self._images(images, {name: examples[name] for name in images if name in examples})
        for name in beside:
            found[name] = self._beside(name, found)
        return {name: found[name] for name in names}

    def _replaced(self, names: Iterable[str]) -> dict[str, Shape]:
        """Return the like of what layers of the definition bring, which inputs now stand for."""
        found: dict[str, Shape] = {}
        for name in names:
            for layer in self._sources(name):
                reading = Reading.of(
                    layer, self.definition, self.request.registry, self.request.dialect
                )
                module = reading.source()
                if isinstance(module, Fed) and module.examples:
                    found[name] = dict(zip(layer.top, module.examples, strict=True))[name]
                    break
        return found

    def parts(self, given: Mapping[str, Shape]) -> list[Part]:
        """Return the network's layers, as far as they are known with these inputs' shapes."""
        net = declare_shapeless(self.net, given)
        return walk(net, given, self._weights, self.request.dialect, self.request.registry)

    # ---- Which ----------------------------------------------------------------------------------

    @cached_property
    def _blobs(self) -> BlobIndex:
        return BlobIndex.of(self.net.layers)

    @cached_property
    def _missing(self) -> list[str]:
        """The blobs that layers read and none makes."""
        made = {top for layer in self.net.layers for top in layer.top}
        read = (
            value.blob
            for bottoms in self._blobs.bottoms
            for value in bottoms
            if value.maker == NOBODY and value.blob not in made
        )
        return list(dict.fromkeys(read))

    @cached_property
    def _weights(self) -> dict[str, list[Shape]]:
        return {
            layer.name: [blob.shape for blob in layer.blobs if blob is not None]
            for file in self.files
            for layer in file.layers
        }

    # ---- What -----------------------------------------------------------------------------------

    def _images(self, names: Sequence[str], examples: Mapping[str, Shape]) -> dict[str, Shape]:
        """Return the shapes of what layers read first: images, of a size that the layers take.

        Of some the layers that bring them know `examples`.
        """
        if len(examples) == len(names):
            return dict(examples)
        said = {name: self._size(name) for name in names}
        counts = {name: self._channels(name) for name in names}
        others = list(dict.fromkeys(size for size in said.values() if size))
        square: list[Shape] = [(size, size) for size in IMAGES]
        sizes = [*others, *square] if None in said.values() else [()]
        best: dict[str, Shape] = {}
        least = inf
        most = max(map(len, counts.values()), default=1)
        ways = [(0, size, False) for size in [*sizes, CLIP]]
        ways += [(way, sizes[0], False) for way in range(1, most)]
        lengths = {name: self._length(name) for name in names}
        ways += [(0, size, True) for size in sizes]
        learnt: list[tuple[int, Shape, bool]] = [(0, (size, size), False) for size in LEARNT]
        told = False
        for way, size, deep in chain(ways, (one for one in learnt if told)):
            tried = {
                name: (
                    self._batch,
                    count[min(way, len(count) - 1)],
                    *(lengths[name] if deep else ()),
                    *(said[name] or size),
                )
                for name, count in counts.items()
            }
            tried.update(examples)
            parts = self.parts({**self.request.input_shapes, **tried})
            faults = self._faults(parts)
            if faults < least:
                best, least = tried, faults
                told = None in said.values() and self._unlike(parts) > 0
            if not faults:
                break
        return best

    def _faults(self, parts: Iterable[Part]) -> int:
        """Count the layers that nothing reaches which they take, and the blobs unlike weights."""
        every = [*parts]
        lost = (isinstance(part.error, ShapeError) or not part.seen for part in every)
        fed = sum(one and bool(part.layer.bottom) for one, part in zip(lost, every, strict=True))
        return fed + self._unlike(every)

    def _unlike(self, parts: Iterable[Part]) -> int:
        """Count the blobs of other sizes than the weights'."""
        found = 0
        for part in parts:
            own = part.module.blobs if part.module is not None else ()
            weights = self._weights.get(part.layer.name, ())
            pairs = zip(own, weights, strict=False)
            found += sum(prod(blob.shape) != prod(shape) for blob, shape in pairs)
        return found

    def _beside(self, name: str, found: Mapping[str, Shape]) -> Shape:
        """Return the shape of what layers read beside something else: labels, an image's numbers.

        It is the first of a few that all of these layers take.
        """
        parts = self.parts({**self.request.input_shapes, **found})
        readers = [part for part in parts if name in part.layer.bottom and part.cls is not None]
        # What writes a blob in place, and does not know its shape, does not undo what is known.
        shapes = {
            blob: shape for part in parts for blob, shape in part.tops.items() if shape is not None
        }
        first = next((shapes.get(part.layer.bottom[0]) for part in readers), None) or ()
        labels: Shape = first[:1] or (self._batch,)
        whole = [first, (*first[:1], 1, *first[2:])] if len(first) > 1 else []
        tried = [*whole, (1, 3), (1, 5), first[:2], labels]
        classes = [part.cls for part in readers if part.cls is not None]
        if not classes or any(cls.is_loss or cls.is_metric for cls in classes):
            tried = [labels, *whole[::-1]]
        for shape in filter(None, tried):
            likely = dict.fromkeys((blob for part in readers for blob in part.layer.bottom), first)
            if all(_takes(part, {**likely, **shapes, name: shape}) for part in readers):
                return shape
        return labels

    @cached_property
    def _other_size(self) -> str:
        """Ask for images of another size than the one that was assumed, if there is such."""
        given = self.request.input_shapes
        parts = self.parts(given)
        assumed = assumed_shapes(((part.layer.top, part.module) for part in parts), given)
        images = {name: shape for name, shape in assumed.items() if len(shape) == len("NCHW")}
        for multiple in MULTIPLES if images else ():
            tried = {
                name: (*shape[:2], *(-(-size // multiple) * multiple for size in shape[2:]))
                for name, shape in images.items()
            }
            if self._faults(self.parts({**given, **tried})) < self._faults(parts):
                names = ", ".join(map(repr, images))
                return f"the size of {names} is assumed, give the data's: {options_for(tried)}"
        return ""

    @cached_property
    def _batch(self) -> int:
        given = (shape[0] for shape in self.request.input_shapes.values() if shape)
        said = (_number(layer, "batch_size") for layer in self._sources())
        known = (
            shape[0]
            for part in self.parts(self.request.input_shapes)
            if not part.layer.bottom
            for shape in part.tops.values()
            if shape
        )
        return next(filter(None, chain(given, said, known)), 1)

    def _channels(self, name: str) -> Sequence[int]:
        """Return how many channels an image may have: what says so, or a few, the likely first."""
        frames = self._frames(name)
        for layer in self._sources(name):
            if count := _number(layer, "channels"):
                return [count]
            if (means := len(_values(layer, "mean_value"))) > 1:
                return frames or [means]
            if _values(layer, "is_color") == [False] or _values(layer, "force_gray") == [True]:
                return [1]
        for layer in self.net.layers:
            own = self._weights.get(layer.name, ())
            if name in layer.bottom and own and len(own[0]) > 2:
                return [own[0][1] * (_number(layer, "group") or 1)]
        return frames or [COLOURS, 1]

    def _frames(self, name: str) -> list[int]:
        """Return other numbers of channels, where a layer that reads the blob does not take 3.

        The first is that of several images, the other the least.
        """
        parts = self.parts(self.request.input_shapes)
        readers = [part for part in parts if name in part.layer.bottom and part.cls is not None]

        def taken(counts: Iterable[int]) -> Iterator[int]:
            for count in counts:
                shape = (self._batch, count, *(self._size(name) or (IMAGES[0],) * 2))
                if all(_takes(part, {name: shape}) for part in readers):
                    yield count
                    return

        if list(taken([COLOURS])):
            return []
        images, least = range(2 * COLOURS, MOST, COLOURS), range(1, MOST)
        return [*taken(images), *taken(least)]

    def _size(self, name: str) -> Shape | None:
        """Return height and width as a layer says them that makes the blob, in whatever phase."""
        for layer in self._sources(name):
            for fields in SIZES:
                size = tuple(_number(layer, field) for field in fields)
                if all(size):
                    return size
        cuts = (tuple(_number(layer, field) for field in CUT) for layer in self.net.layers)
        return next(filter(all, cuts), None)  # what is cut is no smaller

    def _length(self, name: str) -> Shape:
        """Return how many frames a clip has, as the layer that makes a blob says, or of a few."""
        said = (_number(layer, "new_length") for layer in self._sources(name))
        return next(((length,) for length in said if length > 1), CLIP[:1])

    def _sources(self, name: str | None = None) -> Iterator[Any]:
        """Yield the layers that bring a blob, or any, in the network's phase before the others."""
        request = self.request
        own = filter_net(self.definition, request.phase, request.level, request.stages).layers
        for layer in [*own, *self.definition.layers]:
            if not layer.bottom and (name is None or name in layer.top):
                yield layer

    def _is_beside(self, name: str) -> bool:
        """Tell whether layers read a blob beside another one, never first or alone."""
        readers = [layer for layer in self.net.layers if name in layer.bottom]
        if not readers:  # a data layer's second top is a label
            return any(name in layer.top[1:] for layer in self._sources(name))
        return all(layer.bottom[0] != name for layer in readers)


def assumed_shapes(
    sources: Iterable[tuple[Sequence[str], Layer | None]], given: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Return the shapes of the tops that are no more than what their layers' code begins with.

    `sources` are layers' tops and modules; what the caller has `given` is as it is.
    """
    return {
        name: shape
        for tops, module in sources
        if isinstance(module, Fed) and module.assumed
        for name, shape in zip(tops, module.shapes(), strict=True)
        if shape is not None and name not in given
    }


def _unsaid(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        if not part.layer.bottom and (part.cls is None or part.cls.is_source):
            yield from (name for name, shape in part.tops.items() if shape is None)


def _examples(parts: Iterable[Part]) -> dict[str, Shape]:
    """Return what layers that bring data know to be the like of it."""
    known = (part for part in parts if isinstance(part.module, Fed) and part.module.examples)
    return {
        name: shape
        for part in known
        if isinstance(part.module, Fed)
        for name, shape in zip(part.layer.top, part.module.examples, strict=True)
    }


def _asking(error: CaffeError, shapes: Mapping[str, Shape]) -> str:
    """Return the fix of an error that says what the caller may give."""
    if isinstance(error, UnsaidShapeError):
        return f"give {'them' if len(shapes) > 1 else 'it'} with {options_for(shapes)}"
    return error.fix.partition("--input-shape")[0] + options_for(shapes)


def options_for(shapes: Mapping[str, Shape]) -> str:
    """Return the options that give inputs these shapes."""
    return " ".join(
        f"--input-shape {name}={','.join(map(str, shape))}" for name, shape in shapes.items()
    )


def _takes(part: Part, shapes: Mapping[str, Shape | None]) -> bool:
    """Tell whether a layer takes bottoms of these shapes, as far as they are known."""
    bottoms = [shape for name in part.layer.bottom if (shape := shapes.get(name)) is not None]
    if len(bottoms) < len(part.layer.bottom) or part.cls is None:
        return True
    try:
        with caffe_layers.weightless():
            caffe_layers.build(part.layer, bottoms, part.cls).checked_shapes(*bottoms)
    except CaffeError:
        return False
    return True


def _number(message: Any, name: str) -> int:
    """Return a whole number that a layer or a message in it sets; 0 where none does."""
    return int(next(iter(_values(message, name)), 0))


def _values(message: Any, name: str) -> list[Any]:
    """Return what a layer or the messages in it set a field to."""
    found: list[Any] = []
    for field, value in message.ListFields():
        repeated = not isinstance(value, (str, bytes)) and hasattr(value, "__len__")
        if field.name == name and field.message_type is None:
            found += value if repeated else [value]
        elif field.message_type is not None and not repeated:
            found += _values(value, name)
    return found

"""The part of Net that pycaffe writes in Python: names, and passes by names.

Caffe: python/caffe/pycaffe.py
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any, TypeVar

import numpy as np

from .engine.blob import Blob
from .engine.layer import Layer
from .engine.vectors import DtypeVec, IntVec, LayerVec, StringVec

Arrays = dict[str, np.ndarray]
Value = TypeVar("Value")


class Passes:
    """Names for what a network has in order, and passes that start and end at names."""

    layers: LayerVec
    _blobs: Any
    _blob_names: StringVec
    _layer_names: StringVec
    _inputs: IntVec
    _outputs: IntVec
    _blob_loss_weights: DtypeVec
    _cached: dict[str, Any]

    def _forward(self, first: int, last: int) -> float:
        raise NotImplementedError

    def _backward(self, first: int, last: int) -> None:
        raise NotImplementedError

    def _bottom_ids(self, layer: int) -> IntVec:
        raise NotImplementedError

    def _top_ids(self, layer: int) -> IntVec:
        raise NotImplementedError

    def _once(self, name: str, make: Callable[[], Value]) -> Value:
        if name not in self._cached:
            self._cached[name] = make()
        found: Value = self._cached[name]
        return found

    @property
    def blobs(self) -> OrderedDict[str, Blob]:
        """The blobs by name, in the network's order."""
        return self._once(
            "blobs", lambda: OrderedDict(zip(self._blob_names, self._blobs, strict=True))
        )

    @property
    def blob_loss_weights(self) -> OrderedDict[str, float]:
        """The loss weights of the blobs by name."""
        return self._once(
            "weights",
            lambda: OrderedDict(zip(self._blob_names, self._blob_loss_weights, strict=True)),
        )

    @property
    def layer_dict(self) -> OrderedDict[str, Layer]:
        """The layers by name; of several of one name the last."""
        return self._once(
            "layers", lambda: OrderedDict(zip(self._layer_names, self.layers, strict=True))
        )

    @property
    def params(self) -> OrderedDict[str, Any]:
        """The blobs of each layer that has some, by its name."""
        return self._once(
            "params",
            lambda: OrderedDict(
                (name, layer.blobs)
                for name, layer in zip(self._layer_names, self.layers, strict=True)
                if len(layer.blobs)
            ),
        )

    @property
    def inputs(self) -> list[str]:
        """The tops of Input layers."""
        return self._once("inputs", lambda: [self._blob_names[i] for i in self._inputs])

    @property
    def outputs(self) -> list[str]:
        """The blobs that no layer reads, sorted by name."""
        return self._once("outputs", lambda: [self._blob_names[i] for i in self._outputs])

    @property
    def top_names(self) -> OrderedDict[str, list[str]]:
        """The names of each layer's tops."""
        return self._once("tops", lambda: self._names_by(self._top_ids))

    @property
    def bottom_names(self) -> OrderedDict[str, list[str]]:
        """The names of each layer's bottoms."""
        return self._once("bottoms", lambda: self._names_by(self._bottom_ids))

    def _names_by(self, ids: Callable[[int], IntVec]) -> OrderedDict[str, list[str]]:
        return OrderedDict(
            (name, [self._blob_names[i] for i in ids(index)])
            for index, name in enumerate(self._layer_names)
        )

    def forward(
        self,
        blobs: Iterable[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **kwargs: np.ndarray,
    ) -> Arrays:
        """Run forward, from the layer `start` up to and with `end`.

        Return the outputs, or the tops of `end`, and the `blobs` that are named: live arrays.
        Keywords set all inputs.
        """
        first = 0 if start is None else self._layer_names.index(start)
        last = len(self.layers) - 1 if end is None else self._layer_names.index(end)
        wanted = {*(self.outputs if end is None else self.top_names[end]), *(blobs or [])}
        if kwargs:
            if kwargs.keys() != set(self.inputs):
                raise Exception("Input blob arguments do not match net inputs.")
            for name, value in kwargs.items():
                if value.shape[0] != self.blobs[name].shape[0]:
                    raise Exception("Input is not batch sized")
                self.blobs[name].data[...] = value
        self._forward(first, last)
        return {name: self.blobs[name].data for name in wanted}

    def backward(
        self,
        diffs: Iterable[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **kwargs: np.ndarray,
    ) -> Arrays:
        """Run backward, from the layer `start` down to and with `end`.

        Return the gradients of the inputs, or of the bottoms of `end`, and the `diffs` that are
        named. Keywords set those of all outputs.
        """
        first = len(self.layers) - 1 if start is None else self._layer_names.index(start)
        last = 0 if end is None else self._layer_names.index(end)
        wanted = {*(self.inputs if end is None else self.bottom_names[end]), *(diffs or [])}
        if kwargs:
            if kwargs.keys() != set(self.outputs):
                raise Exception("Top diff arguments do not match net outputs.")
            for name, value in kwargs.items():
                if value.shape[0] != self.blobs[name].shape[0]:
                    raise Exception("Diff is not batch sized")
                self.blobs[name].diff[...] = value
        self._backward(first, last)
        return {name: self.blobs[name].diff for name in wanted}

    def forward_all(self, blobs: Iterable[str] | None = None, **kwargs: np.ndarray) -> Arrays:
        """Run forward on as many samples as there are, in batches; return copies of all results."""
        results: dict[str, list[np.ndarray]] = {
            name: [] for name in [*self.outputs, *(blobs or [])]
        }
        for batch in self._batch(kwargs):
            for name, value in self.forward(blobs=blobs, **batch).items():
                results[name].extend(value.copy())
        return _samples(results, _first_length(kwargs))

    def forward_backward_all(
        self,
        blobs: Iterable[str] | None = None,
        diffs: Iterable[str] | None = None,
        **kwargs: np.ndarray,
    ) -> tuple[Arrays, Arrays]:
        """Run forward and backward in batches; return copies of all results and gradients."""
        results: dict[str, list[np.ndarray]] = {
            name: [] for name in [*self.outputs, *(blobs or [])]
        }
        grads: dict[str, list[np.ndarray]] = {name: [] for name in [*self.inputs, *(diffs or [])]}
        fed = self._batch({name: kwargs[name] for name in self.inputs if name in kwargs})
        back = self._batch({name: kwargs[name] for name in self.outputs if name in kwargs})
        nothing: dict[str, Any] = {}
        for inputs, outputs in zip_longest(fed, back, fillvalue=nothing):
            for name, value in self.forward(blobs=blobs, **inputs).items():
                results[name].extend(value.copy())
            for name, value in self.backward(diffs=diffs, **outputs).items():
                grads[name].extend(value.copy())
        count = _first_length(kwargs)
        return _samples(results, count), _samples(grads, count)

    def _batch(self, blobs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield batches of the network's size; the last one is filled up with zeros."""
        if not blobs:
            return
        count, size = _first_length(blobs), next(iter(self.blobs.values())).shape[0]
        for start in range(0, count - count % size, size):
            yield {name: values[start : start + size] for name, values in blobs.items()}
        if rest := count % size:
            yield {
                name: np.concatenate(
                    [values[-rest:], np.zeros((size - rest, *np.shape(values)[1:]))]
                )
                for name, values in blobs.items()
            }


def _first_length(values: Mapping[str, Any]) -> int:
    return len(next(iter(values.values()), ()))


def _samples(rows: Mapping[str, list[np.ndarray]], count: int) -> Arrays:
    """Return the rows of the samples, without those that filled the last batch up."""
    longest = len(next(iter(rows.values()), ()))
    pad = longest - count
    return {name: np.asarray(row[:-pad] if pad > 0 else row) for name, row in rows.items()}

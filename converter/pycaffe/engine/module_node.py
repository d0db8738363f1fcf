"""A layer of this project in a running network, with a graph of its own for its backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import caffe_layers

from .blob import Blob, BlobVec, shapes_of
from .layer import Layer
from .memory import Memory, Shape
from .node import Node


class _Graph(NamedTuple):
    """What one forward pass left: the tensors it read, and the tops it made, still connected."""

    leaves: list[Tensor]
    wanted: list[Tensor]
    outputs: list[Tensor]
    read: list[tuple[Tensor | None, int]]
    shapes: list[Shape]


class ModuleNode(Node):
    """Runs a module on the tensors of its bottoms' memory.

    The graph of a forward pass serves every backward pass until a bottom is written by another
    layer; without one the layer is computed anew from what its bottoms hold, and what that draws
    or counts (dropout's mask, running sums) stays as it was.

    `before` is the layer whose result this one alone reads, if it ran just before: their graphs are
    one then.
    """

    def __init__(
        self,
        layer: Layer,
        step: Any,
        bottoms: list[Blob],
        tops: list[Blob],
        module: caffe_layers.Layer,
    ) -> None:
        super().__init__(layer, step, bottoms, tops)
        self.module = module
        self.graph: _Graph | None = None
        self.in_place = [top in bottoms for top in tops]
        self.draws = module.family == "dropout" or module.draws
        self.drawn: Tensor | None = None
        self.before: ModuleNode | None = None
        self._owned: list[tuple[str, Blob, Tensor | None]] = []
        self._learning: list[tuple[Tensor, Blob]] | None = None
        self._foreign = [buffer.data_ptr() for buffer in module.buffers()]

    def own(self, blobs: BlobVec) -> None:
        """Take blobs for the module's own: it computes with what they hold."""
        self.layer.blobs = blobs
        self._learning = None
        self._owned = [
            (name, blob, None)
            for name, blob in zip(self.module.blob_names, blobs, strict=True)
            if name not in self.module._shared
        ]

    def bind(self) -> None:
        """Let the module compute with the memory that its blobs lie in now."""
        for index, (name, blob, seen) in enumerate(self._owned):
            if blob._values.tensor is not seen or seen is None:
                value = blob.tensor()
                getattr(self.module, name).data = value
                self._owned[index] = (name, blob, blob._values.tensor)
                self.graph = self._learning = None
                self._foreign = [buffer.data_ptr() for buffer in self.module.buffers()]

    def reshape(self) -> None:
        shapes = shapes_of(self.bottoms)
        tops = self.module.checked_shapes(*shapes)
        for top, shape in zip(self.tops, tops, strict=True):
            top.set_shape(shape)
        self.seen = shapes

    def forward(self) -> None:
        if [blob._shape for blob in self.bottoms] != self.seen:
            self.reshape()
        if self._owned:
            self.bind()
        if self.draws:
            self.drawn = torch.get_rng_state()
        if self.needs_backward:
            self._forward_with_graph()
            return
        values = [blob.tensor() for blob in self.bottoms]
        self._keep(self._run(values), values)

    def _run(self, values: Sequence[Tensor]) -> Sequence[Tensor]:
        result = self.module(*values)
        return (result,) if isinstance(result, Tensor) else result

    def _keep(self, results: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        foreign = [value.data_ptr() for value in values]
        if self._foreign:
            foreign += self._foreign
        for top, result, in_place in zip(self.tops, results, self.in_place, strict=True):
            top.take(result, foreign, in_place=in_place)
            foreign.append(result.data_ptr())

    def _forward_with_graph(self) -> None:
        self.graph = None  # its memory serves for what comes
        before, self.before = self.before, None
        leaf = before.connected(self.bottoms[0]) if before and self.bottom_needs[0] else None
        if leaf is not None:
            self.before, leaves = before, [leaf]
        else:
            leaves = self._leaves()
        with torch.enable_grad():
            results = self._run(leaves)
        self._keep(results, leaves)
        self._remember(leaves, results)

    def connected(self, top: Blob) -> Tensor | None:
        """Return this layer's result, so that the next one's graph goes on from it.

        None where it is not the very memory of the top, or an array shows that.
        """
        graph = self.graph
        if graph is None or len(self.tops) != 1 or self.tops[0] is not top:
            return None
        (output,) = graph.outputs
        held = top.tensor()
        same = held.data_ptr() == output.data_ptr() and held.shape == output.shape
        return output if same and output.requires_grad and not top._values.is_shown else None

    def _leaves(self) -> list[Tensor]:
        """Return the bottoms' values, apart from other layers' graphs."""
        leaves = []
        for blob, needed in zip(self.bottoms, self.bottom_needs, strict=True):
            value = blob.tensor()
            if blob in self.tops and blob._values.is_shown:
                value = value.clone()  # it will be written over where it stands
            leaf = value.data
            leaves.append(leaf.requires_grad_() if needed else leaf)
        return leaves

    def _remember(self, leaves: list[Tensor], results: Sequence[Tensor]) -> _Graph:
        wanted = [leaf for leaf, needed in zip(leaves, self.bottom_needs, strict=True) if needed]
        wanted += [tensor for tensor, _ in self._learnt()]
        read = [self._reading(blob) for blob in self.bottoms]
        shapes = [tuple(result.shape) for result in results]
        self.graph = _Graph(leaves, wanted, list(results), read, shapes)
        return self.graph

    def _learnt(self) -> list[tuple[Tensor, Blob]]:
        """Return the own blobs that get a gradient, each with the tensor that computes with it."""
        if self._learning is None:
            stored = self.module.stored_blobs
            self._learning = [
                (tensor, blob)
                for tensor, blob, needed in zip(stored, self.blobs, self.blob_needs, strict=True)
                if needed and isinstance(tensor, nn.Parameter)
            ]
        return self._learning

    def _reading(self, blob: Blob) -> tuple[Tensor | None, int]:
        """Return what tells whether a bottom is still what it was."""
        memory: Memory = blob._values
        return (None if blob in self.tops else memory.tensor), memory.chain

    def is_current(self) -> bool:
        """Tell whether there is a graph of what the bottoms hold."""
        return self.graph is not None and self._is_valid(self.graph)

    def goes_on_from(self, before: Node) -> bool:
        """Tell whether the layer before can be run backward together with this one, if current."""
        theirs = self.before.graph if self.before is not None else None
        if before is not self.before or theirs is None or self.graph is None:
            return False
        connected = self.graph.leaves[0] is theirs.outputs[0]
        return connected and before.needs_backward and self.before._is_valid(theirs)

    def backward(self, chain: Sequence[ModuleNode] = ()) -> None:
        """Run backward, and with it a `chain` of layers before: each is what the last one reads."""
        graph = self.graph
        if graph is None or not (chain or self._is_valid(graph)):
            graph = self._again()
        nodes = [self, *chain]
        graphs = [graph, *(node.graph for node in chain if node.graph is not None)]
        diffs = [top.diff_tensor() for top in self.tops]
        made = [
            (output, diff)
            for output, diff in zip(graph.outputs, diffs, strict=True)
            if output.requires_grad
        ]
        wanted = [tensor for one in graphs for tensor in one.wanted]
        grads: Sequence[Tensor | None] = [None] * len(wanted)
        if made and wanted:
            outputs, grad_outputs = zip(*made, strict=True)
            grads = torch.autograd.grad(
                outputs, wanted, grad_outputs, retain_graph=True, allow_unused=True
            )
        found = iter(grads)
        foreign = [diff.data_ptr() for diff in diffs]
        sums: list[tuple[Tensor, Tensor]] = []
        for node in nodes:
            sums += node._take_diffs(found, foreign)
        if sums:
            own, more = zip(*sums, strict=True)
            torch._foreach_add_(own, more)

    def _take_diffs(
        self, found: Iterator[Tensor | None], foreign: list[int]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the bottoms their gradients; yield the own blobs', and what comes to them."""
        for blob, needed in zip(self.bottoms, self.bottom_needs, strict=True):
            if needed:
                grad = next(found)
                blob.take_diff(grad, foreign)
                if grad is not None:
                    foreign.append(grad.data_ptr())
        for _, blob in self._learnt():
            grad = next(found)
            if grad is not None:
                yield blob.diff_tensor(), grad.view(blob._shape)

    def _is_valid(self, graph: _Graph) -> bool:
        if self._owned:
            self.bind()
            if self.graph is None:
                return False
        for blob, (tensor, chain) in zip(self.bottoms, graph.read, strict=True):
            now, now_chain = self._reading(blob)
            if now is not tensor or now_chain != chain:
                return False
        return graph.shapes == [top._shape for top in self.tops]

    def _again(self) -> _Graph:
        """Compute the layer from what its bottoms hold now, and leave all else as it is."""
        self.bind()
        state = [buffer.clone() for buffer in self.module.buffers()]
        now = torch.get_rng_state()
        if self.drawn is not None:
            torch.set_rng_state(self.drawn)
        leaves = self._leaves()
        with torch.enable_grad():
            results = self._run(leaves)
        torch.set_rng_state(now)
        for buffer, old in zip(self.module.buffers(), state, strict=True):
            buffer.data.copy_(old)
        self.before = None
        return self._remember(leaves, results)

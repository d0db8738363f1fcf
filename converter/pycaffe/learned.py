"""What a solver changes: a network's own blobs, as parameters of an optimizer.

Caffe: src/caffe/net.cpp, AppendParam
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from converter.training.optimizer import CaffeOptimizer

from .engine.blob import Blob
from .engine.build import Draft
from .engine.module_node import ModuleNode


class Learned:
    """The blobs in the network's order, a shared one once, at its owner."""

    def __init__(self, draft: Draft) -> None:
        self._rows: list[tuple[nn.Parameter, Blob]] = []
        self._factors: list[tuple[float, float]] = []
        seen: set[int] = set()
        for node in draft.nodes:
            for index, blob in enumerate(node.blobs):
                if id(blob._diff) in seen:  # only blobs of one network share their gradient
                    continue
                seen.add(id(blob._diff))
                self._rows.append((nn.Parameter(blob.tensor()), blob))
                if isinstance(node, ModuleNode):
                    factors = node.module.lr_mult(index), node.module.decay_mult(index)
                else:
                    factors = node.multiplier(index), 1.0
                self._factors.append(factors)

    def groups(self) -> list[dict[str, Any]]:
        """Return the parameters by their multipliers of rate and decay."""
        found: dict[tuple[float, float], list[nn.Parameter]] = {}
        for factors, (parameter, _) in zip(self._factors, self._rows, strict=True):
            found.setdefault(factors, []).append(parameter)
        return [
            {"params": parameters, "lr_mult": rate, "decay_mult": decay}
            for (rate, decay), parameters in found.items()
        ]

    def bind(self) -> None:
        """Let the parameters be what the blobs hold now, and their gradients the blobs'."""
        for parameter, blob in self._rows:
            parameter.data = blob.tensor()
            parameter.grad = blob.diff_tensor()

    def histories(self, optimizer: CaffeOptimizer) -> list[Tensor]:
        """Return the optimizer's memory in the order of a snapshot."""
        each = [optimizer.history(parameter) for parameter, _ in self._rows]
        return [history[index] for index in range(optimizer.histories) for history in each]

"""LSTMNode, of bottom-up and top-down attention."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.recurrent.cell import emit_lstm_cell, lstm_cell

GATES = ("input_gate", "forget_gate", "output_gate", "input")
"""What the fields of the fillers are called by, in the order of the gates."""


class LSTMNode(Layer, type="LSTMNode", fork="up_down", param="lstm_param", bottoms=(2, 3), tops=2):
    """One step of an LSTM with its weights: x N x ... and c N x H to the next h and c, N x H.

    `gates = W x + b`, of which `c = cont * sigmoid(f) * c + sigmoid(i) * tanh(g)` and
    `h = sigmoid(o) * tanh(c)`, where i, f, o and g are the gates in this order and H is
    `num_cells`. A third bottom of N values is cont, 0 where a sequence begins; without it, it is 1.
    What was h before is a part of x. Each gate's rows are filled by fillers of its own.

    Blobs: W 4H x (the values of an x), and with `bias_term` b 4H.

    Errors: ShapeError for a c or a cont of other sizes.
    Caffe: peteanderson80/caffe, src/caffe/layers/lstm_node_layer.cpp
    """

    fixed_bottoms = (2,)

    def __init__(
        self,
        inputs: int,
        *,
        num_cells: int,
        bias_term: bool = True,
        weight_fillers: tuple[Filler, ...] = (Filler(),) * 4,
        bias_fillers: tuple[Filler, ...] = (Filler(),) * 4,
    ) -> None:
        """Take the fillers of the four gates in their order."""
        super().__init__()
        require(num_cells > 0, f"num_cells is {num_cells}, wants 1 or more")
        self.inputs, self.num_cells = inputs, num_cells
        self.gate_fillers = {"W": weight_fillers, "b": bias_fillers}
        self.add_blob("W", (4 * num_cells, inputs), weight_fillers[0])
        if bias_term:
            self.add_blob("b", (4 * num_cells,), bias_fillers[0])

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> LSTMNode:
        param = layer.lstm_param
        weights, biases = (
            tuple(Filler.from_caffe(getattr(param, f"{gate}_{kind}_filler")) for gate in GATES)
            for kind in ("weight", "bias")
        )
        return cls(
            prod(bottoms[0][1:]),
            **cls.fields(layer),
            weight_fillers=weights,
            bias_fillers=biases,
        )

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        for name in self._fillers:
            gates = getattr(self, name).data.chunk(4)
            for filler, gate in zip(self.gate_fillers[name], gates, strict=True):
                filler.fill(gate, generator)

    @property
    def unknown_fillers(self) -> list[Filler]:
        used = [filler for name in self._fillers for filler in self.gate_fillers[name]]
        return list({one.type: one for one in used if not one.is_known}.values())

    def shapes(self, x: Shape, c: Shape, cont: Shape | None = None) -> list[Shape]:
        rows, values = x[0], prod(x[1:])
        require(values == self.inputs, f"x {x} has {values} values a row, wants {self.inputs}")
        cells = prod(c)
        require(cells == rows * self.num_cells, f"c is {c}, wants {rows} x {self.num_cells}")
        require(cont is None or prod(cont) == rows, f"cont is {cont}, wants {rows} values")
        return [(rows, self.num_cells)] * 2

    def forward(self, x: Tensor, c: Tensor, cont: Tensor | None = None) -> tuple[Tensor, Tensor]:
        gates = F.linear(x.flatten(1), self.W, self.b if "b" in self.blob_names else None)
        c = c.reshape(len(x), self.num_cells)
        goes_on = c.new_ones(()) if cont is None else cont.detach().to(c.dtype).reshape(-1, 1)
        c, h = lstm_cell(c, gates, goes_on)
        return h, c

    def onnx(self, op: Op, x: str, c: str, cont: str = "") -> Values:
        flat = op.Flatten(x, axis=1) if len(op.shape(x)) > 2 else x
        gates = op.MatMul(flat, op.Transpose(op.weight(self, "W"), perm=[1, 0]))
        if "b" in self.blob_names:
            gates = op.Add(gates, op.weight(self, "b"))
        if len(op.shape(c)) != 2:
            c = op.Reshape(c, op.ints(-1, self.num_cells))
        goes_on = op.Reshape(cont, op.ints(-1, 1)) if cont else op.scalar(1)
        c, h = emit_lstm_cell(op, c, gates, goes_on, self.num_cells)
        return h, c

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        return bottoms[0][0] * 4 * self.num_cells * self.inputs

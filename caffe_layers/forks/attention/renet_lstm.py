"""ReNetLSTM, of PiCANet, from stephenyan1231's caffe-hybridnet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.tanh import emit_tanh
from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

GATES = ("i", "c", "o", "f")
"""In the order of the blobs: input gate, candidate, output gate, forget gate."""
PEEPHOLES = ("ic", "oc", "fc")


class ReNetLSTM(Layer, type="ReNetLSTM", fork="picanet", param="renet_lstm_param"):
    """An LSTM along the rows of an image (X_DIR) or its columns (Y_DIR), in both directions.

    x is N x C x H x W, cut into patches of `patch_height` x `patch_width`, whose values, channel by
    channel, are a step's input X. With the gates' sums `W_g [X, h] + b_g`,
    `c = sigmoid(f) c + sigmoid(i) tanh(g)` and `h = sigmoid(o) tanh(c)`, from 0 on; with `peephole`
    i and f also have `W_ic c`, `W_fc c`, and o has `W_oc c` of the new c. The top is
    N x 2H' x rows x columns of patches, with H' = `num_output`: the h's of the way there, then
    those of the way back.

    Blobs, 11 for each direction: W_i, W_c, W_o and W_f, each H' x (C patch + H'), then W_ic, W_oc
    and W_fc, each H' x H' and there without `peephole` too, then b_i, b_c, b_o and b_f.

    Errors: ShapeError for another rank than 4, and sizes that the patch does not divide.
    Caffe: nian-liu/PiCANet at fee3a2f, caffe/src/caffe/layers/renet_lstm_layer.cpp
    """

    def __init__(
        self,
        channels: int,
        *,
        num_output: int,
        direction: str = "X_DIR",
        patch_width: int = 1,
        patch_height: int = 1,
        peephole: bool = True,
        general_weight_filler: Filler = Filler(),
        general_bias_filler: Filler = Filler(),
        forget_gate_bias_filler: Filler = Filler(),
        input_gate_bias_filler: Filler = Filler(),
        output_gate_bias_filler: Filler = Filler(),
    ) -> None:
        super().__init__()
        require(num_output > 0, f"num_output is {num_output}, wants 1 or more")
        self.patch = (patch_height, patch_width)
        require(min(self.patch) > 0, f"the patch is {self.patch}, wants 1 x 1 or more")
        self.channels, self.num_output = channels, num_output
        self.along_rows, self.peephole = direction == "X_DIR", peephole
        self.inputs = channels * patch_height * patch_width
        biases = {"i": input_gate_bias_filler, "o": output_gate_bias_filler}
        biases["f"] = forget_gate_bias_filler
        size = num_output
        for way in ("there", "back"):
            for gate in GATES:
                shape = (size, self.inputs + size)
                self.add_blob(f"W_{gate}_{way}", shape, general_weight_filler)
            for pair in PEEPHOLES:
                filler = general_weight_filler if peephole else Filler()
                self.add_blob(f"W_{pair}_{way}", (size, size), filler)
            for gate in GATES:
                self.add_blob(f"b_{gate}_{way}", (size,), biases.get(gate, general_bias_filler))

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ReNetLSTM:
        x = bottoms[0]
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        return cls(x[1], **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        require(x[1] == self.channels, f"bottom {x} has {x[1]} channels, wants {self.channels}")
        high, wide = self.patch
        whole = x[2] % high == x[3] % wide == 0
        require(whole, f"bottom {x} wants sizes that the patch {high} x {wide} divides")
        return [(x[0], 2 * self.num_output, x[2] // high, x[3] // wide)]

    def gates(self, way: str, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the weight and the bias of the named gates, one below the other."""
        weights = [getattr(self, f"W_{gate}_{way}") for gate in names]
        biases = [getattr(self, f"b_{gate}_{way}") for gate in names]
        return torch.cat(weights), torch.cat(biases)

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = self.shapes(tuple(x.shape))[0]
        high, wide = self.patch
        patches = x.view(n, self.channels, height, high, width, wide)
        # Time first: steps, then the rows or columns of each image, then a patch's values.
        order = (4, 2, 0, 1, 3, 5) if self.along_rows else (2, 4, 0, 1, 3, 5)
        steps, lines = (width, height) if self.along_rows else (height, width)
        rows = patches.permute(order).reshape(steps, lines * n, self.inputs)
        hidden = self._stepwise(rows) if self.peephole else self._whole(rows)
        hidden = hidden.view(steps, lines, n, 2 * self.num_output)
        return hidden.permute((2, 3, 1, 0) if self.along_rows else (2, 3, 0, 1))

    def _whole(self, rows: Tensor) -> Tensor:
        """Run both directions in one call."""
        weights = []
        for way in ("there", "back"):
            weight, bias = self.gates(way, ("i", "f", "c", "o"))  # torch's order
            by_x, by_h = weight[:, : self.inputs], weight[:, self.inputs :]
            weights += [by_x.contiguous(), by_h.contiguous(), bias, torch.zeros_like(bias)]
        none = rows.new_zeros(2, rows.shape[1], self.num_output)
        return torch.lstm(rows, (none, none), weights, True, 1, 0.0, False, True, False)[0]

    def _stepwise(self, rows: Tensor) -> Tensor:
        """Run step by step, in which a step sees the last state."""
        tops = []
        for way in ("there", "back"):
            weight, bias = self.gates(way, GATES)
            by_x, by_h = weight[:, : self.inputs], weight[:, self.inputs :]
            of_i, of_o, of_f = (getattr(self, f"W_{pair}_{way}") for pair in PEEPHOLES)
            drive = F.linear(rows, by_x, bias)
            h = c = rows.new_zeros(rows.shape[1], self.num_output)
            hidden = []
            for now in drive if way == "there" else drive.flip(0):
                i, g, o, f = (now + F.linear(h, by_h)).chunk(4, 1)
                i, f = (i + F.linear(c, of_i)).sigmoid(), (f + F.linear(c, of_f)).sigmoid()
                c = f * c + i * g.tanh()
                h = (o + F.linear(c, of_o)).sigmoid() * c.tanh()
                hidden.append(h)
            tops.append(torch.stack(hidden if way == "there" else hidden[::-1]))
        return torch.cat(tops, 2)

    def onnx(self, op: Op, x: str) -> Values:
        if self.patch == (1, 1):
            cells = op.Transpose(x, perm=[3, 2, 0, 1] if self.along_rows else [2, 3, 0, 1])
        else:
            cells = self._emit_patches(op, x)
        rows = op.Reshape(cells, op.ints(0, -1, self.inputs))
        hidden = self._emit_stepwise(op, rows) if self.peephole else self._emit_whole(op, rows)
        places = op.Slice(op.Shape(cells), op.ints(0), op.ints(3), op.ints(0))
        hidden = op.Reshape(hidden, op.Concat(places, op.ints(2 * self.num_output), axis=0))
        return op.Transpose(hidden, perm=[2, 3, 1, 0] if self.along_rows else [2, 3, 0, 1])

    def _emit_patches(self, op: Op, x: str) -> str:
        """Append steps x lines x N x values of patches, of an image of known sizes."""
        if any(op.dynamic(x)[2:]):
            raise UnsupportedError(
                f"patches of {self.patch} want an image whose height and width are known",
                fix="export with fewer dynamic axes, or none",
            )
        _, _, height, width = op.shape(op.tops[0])
        high, wide = self.patch
        sizes = (self.channels, height, high, width, wide)
        order = (4, 2, 0, 1, 3, 5) if self.along_rows else (2, 4, 0, 1, 3, 5)
        steps, lines = (width, height) if self.along_rows else (height, width)
        patches = op.Transpose(op.Reshape(x, op.ints(0, *sizes)), perm=[*order])
        return op.Reshape(patches, op.ints(steps, lines, -1, self.inputs))

    def _emit_whole(self, op: Op, rows: str) -> str:
        both = [self.gates(way, ("i", "o", "f", "c")) for way in ("there", "back")]  # ONNX's order
        weights = torch.stack([weight for weight, _ in both]).detach()
        by_x, by_h = weights[:, :, : self.inputs], weights[:, :, self.inputs :]
        bias = torch.stack([F.pad(bias, (0, len(bias))) for _, bias in both]).detach()
        made = op.LSTM(
            rows,
            op.array("W", by_x),
            op.array("R", by_h),
            op.array("B", bias),
            hidden_size=self.num_output,
            direction="bidirectional",
        )
        return op.Transpose(made, perm=[0, 2, 1, 3])

    def _emit_stepwise(self, op: Op, rows: str) -> str:
        size, tops = self.num_output, []
        streams = op.Slice(op.Shape(rows), op.ints(1), op.ints(2), op.ints(0))
        none = op.Expand(op.scalar(0), op.Concat(streams, op.ints(size), axis=0))
        turn = (op.ints(-1), op.ints(-(2**31)), op.ints(0), op.ints(-1))
        for way in ("there", "back"):
            weight, bias = self.gates(way, GATES)
            by_x, by_h = weight.detach().T[: self.inputs], weight.detach().T[self.inputs :]
            product = op.MatMul(rows, op.array(f"W_{way}", by_x))
            drive = op.Add(product, op.array(f"b_{way}", bias.detach()))
            of_h = op.array(f"R_{way}", by_h)
            of_c = [op.array(f"{pair}_{way}", getattr(self, f"W_{pair}_{way}").detach().T)
                    for pair in PEEPHOLES]  # fmt: skip

            def step(
                h: str, c: str, now: str, of_h: str = of_h, of_c: Sequence[str] = tuple(of_c)
            ) -> tuple[str, ...]:
                sums = op.Add(now, op.MatMul(h, of_h))
                i, g, o, f = op.Split(sums, op.ints(*[size] * 4), axis=1, outputs=4)
                i = op.Sigmoid(op.Add(i, op.MatMul(c, of_c[0])))
                f = op.Sigmoid(op.Add(f, op.MatMul(c, of_c[2])))
                c = op.Add(op.Mul(f, c), op.Mul(i, emit_tanh(op, g)))
                o = op.Sigmoid(op.Add(o, op.MatMul(c, of_c[1])))
                h = op.Mul(o, emit_tanh(op, c))
                return h, c, op.Identity(h)

            drive = drive if way == "there" else op.Slice(drive, *turn)
            *_, hidden = op.scan(step, (none, none), (drive,), stacked=1)
            tops.append(hidden if way == "there" else op.Slice(hidden, *turn))
        return op.Concat(*tops, axis=2)

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        n, _, height, width = tops[0]
        each = 4 * self.num_output * (self.inputs + self.num_output)
        return 2 * n * height * width * each

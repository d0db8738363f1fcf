"""ConvLSTM, of agethen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Asked, Layer
from caffe_layers.base.message import is_set
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.recurrent.base import UNROLLED
from caffe_layers.recurrent.cell import emit_lstm_cell, lstm_cell
from prototxt.errors import UnsupportedError

from .step_convolution import StepConvolution

STATES = ("h", "c")
PEEPHOLES = ("hadamard_input", "hadamard_forget", "hadamard_output")
ONES = Filler(value=1.0)


class ConvLSTM(Layer, type="ConvLSTM", fork="convlstm", bottoms=(2, 5), tops=(1, 3)):
    """An LSTM over maps: T steps of `gates = W_x * x + W_h * (cont h) + b + (v c, 0)`.

    x is T x N x C x H x W and the top, every h, T x N x O x H x W with O = `num_output`. Of the
    gates, in the order i, f, o and g, `c = cont * sigmoid(f) * c + sigmoid(i) * tanh(g)` and
    `h = sigmoid(o) * tanh(c)`; v is a weight for each of i, f and o, which multiplies the c before,
    whatever cont is. It has the sizes of `num_axes_hadamard` axes from `axis_hadamard` on, H x W
    unless said, and `disable_hadamard` leaves it out; `ignore_x` leaves x out. cont, T x N, is 0
    where a sequence begins.

    A further bottom, 1 x 1 x C' x H x W, is seen by every step of the one sequence. Of two
    `lstm_conv_param` one is of `type` "input", the other "hidden". For the state, 1 x N x O x H x W
    each, and `expose_hidden` see `Recurrent`.

    Blobs: W_x 4O x C x k x k unless x is left out, that of the further bottom, two of one number
    that says nothing, W_h 4O x O x k x k, b 4O unless `bias_term` is false, v for i, f and o, two
    more of one number.

    Errors: ShapeError for convolutions that change H or W, and for bottoms that do not fit;
    UnsupportedError for `expose`, which hands out inner values, and on writing ONNX with a height
    or width that varies.
    Caffe: agethen/ConvLSTM-for-Caffe at 8151625, src/caffe/layers/conv_lstm_layer.cpp
    """

    time_first = True
    unrolled = True
    fixed_bottoms = (1,)
    asks: ClassVar[Mapping[int, Asked]] = {1: "cont"}
    h: Tensor | None
    c: Tensor | None

    def __init__(
        self,
        x: Shape,
        *,
        of_x: StepConvolution | None,
        of_h: StepConvolution,
        static_channels: int = 0,
        expose_hidden: bool = False,
        disable_hadamard: bool = False,
        axis_hadamard: int = 3,
        num_axes_hadamard: int = 2,
    ) -> None:
        super().__init__()
        require(len(x) == 5, f"x {x} has {len(x)} axes, wants 5: T x N x C x H x W")
        self.of_x, self.of_h, self.num_output = of_x, of_h, of_h.num_output
        self.static_channels, self.expose_hidden = static_channels, expose_hidden
        state = (1, x[1], self.num_output, *x[3:])
        self.plane = x[3:]
        if of_x is not None:
            self.add_blob("W_x", of_x.weight_shape(x[2]), of_x.weight_filler)
        if static_channels:
            require(of_x is not None, "ignore_x leaves no weights for a bottom of every step")
            assert of_x is not None
            self.add_blob("W_static", of_x.weight_shape(static_channels), of_x.weight_filler)
        # Of the fork's DummyForward, a layer that lets gradients through.
        for name in ("dummy_c0", "dummy_h0"):
            self.add_blob(name, (1,), Filler(), learnable=False)
        self.add_blob("W_h", of_h.weight_shape(self.num_output), of_h.weight_filler)
        if of_h.bias_term:
            self.add_blob("b", (4 * self.num_output,), of_h.bias_filler)
        self.axes: tuple[int, int] | None = None
        if not disable_hadamard:
            first, last = axis_hadamard, axis_hadamard + num_axes_hadamard
            says = f"axis_hadamard {first} and num_axes_hadamard {num_axes_hadamard} want axes"
            require(first >= 2 and last <= 5, f"{says} 2 to 4 of {state}")
            self.axes = (first, last)
            for name in PEEPHOLES:
                self.add_blob(name, state[first:last], ONES)
        for name in ("dummy_h", "dummy_c"):
            self.add_blob(name, (1,), Filler(), learnable=False)
        for name in STATES:
            self.register_buffer(name, None, persistent=False)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ConvLSTM:
        debug, exposed = layer.lstm_debug_param, layer.recurrent_param.expose_hidden
        if is_set(debug, "expose"):
            raise UnsupportedError(f"expose {debug.expose[0]!r} would hand out an inner value")
        states = len(STATES) if exposed else 0
        given, says = len(bottoms) - 2 - states, "with" if exposed else "without"
        wants = f"wants {2 + states} or {3 + states}"
        require(given in (0, 1), f"{len(bottoms)} bottoms {says} expose_hidden, {wants}")
        tops = len(layer.top)
        require(tops == 1 + states, f"{tops} tops {says} expose_hidden, wants {1 + states}")
        of_x, of_h = StepConvolution.pair(layer.lstm_conv_param, ignore_x=debug.ignore_x)
        return cls(
            bottoms[0],
            of_x=of_x,
            of_h=of_h,
            static_channels=bottoms[2][2] if given and len(bottoms[2]) == 5 else given,
            expose_hidden=exposed,
            disable_hadamard=debug.disable_hadamard,
            axis_hadamard=debug.axis_hadamard,
            num_axes_hadamard=debug.num_axes_hadamard,
        )

    def shapes(self, x: Shape, cont: Shape, *rest: Shape) -> list[Shape]:
        require(len(x) == 5, f"x {x} has {len(x)} axes, wants 5: T x N x C x H x W")
        require(cont == x[:2], f"cont is {cont}, wants T x N as x {x} has them")
        plane, others = x[3:], list(rest)
        if self.axes is not None and self.axes[1] > 3:
            require(plane == self.plane, f"x {x} wants maps of {self.plane}, as the weights have")
        if self.of_x is not None:
            own = self.blobs[0].shape[1] * self.of_x.group
            require(x[2] == own, f"x {x} has {x[2]} channels, wants {own}")
            self.of_x.require_same(plane)
        self.of_h.require_same(plane)
        if self.static_channels:
            wanted = (1, 1, self.static_channels, *plane)
            fits = others[0] == wanted and x[1] == 1
            require(fits, f"the bottom of every step is {others[0]}, wants {wanted} and N 1")
            del others[0]
        state = (1, x[1], self.num_output, *plane)
        for name, other in zip(STATES, others, strict=False):
            require(other == state, f"{name} is {other}, wants {state}")
        return [(*x[:2], *state[2:]), *[state] * len(others)]

    def reset_state(self) -> None:
        self.h = self.c = None

    def forward(self, x: Tensor, cont: Tensor, *rest: Tensor) -> Any:
        others, drive = list(rest), x.new_zeros(x.shape[0])
        if self.of_x is not None:
            gates = self.of_x.slide(x.flatten(0, 1), self.W_x)
            drive = gates.view(*x.shape[:2], *gates.shape[1:])
        if self.static_channels:
            assert self.of_x is not None
            drive = drive + self.of_x.slide(others.pop(0)[0], self.W_static)
        h, c = (other[0] for other in others) if others else self._kept(x)
        hidden = []
        for now, goes_on in zip(
            drive, cont.detach().to(x.dtype)[..., None, None, None], strict=True
        ):
            gates = now + self.of_h.slide(goes_on * h, self.W_h, getattr(self, "b", None))
            c, h = lstm_cell(c, self._peeped(gates, c), goes_on, axis=1)
            hidden.append(h)
        top = torch.stack(hidden)
        if self.expose_hidden:
            return top, h[None], c[None]
        if not torch.compiler.is_compiling():
            self.h, self.c = h.detach(), c.detach()
        return top

    def _kept(self, x: Tensor) -> tuple[Tensor, ...]:
        shape = (x.shape[1], self.num_output, *x.shape[3:])
        kept = (None, None) if torch.compiler.is_compiling() else (self.h, self.c)
        return tuple(
            x.new_zeros(shape) if part is None or part.shape != shape else part.to(x)
            for part in kept
        )

    def _peeped(self, gates: Tensor, c: Tensor) -> Tensor:
        """Return the gates with what i, f and o see of c."""
        if self.axes is None:
            return gates
        seen = torch.cat([c * getattr(self, name).view(self._spread) for name in PEEPHOLES], 1)
        return gates + F.pad(seen, (0, 0, 0, 0, 0, self.num_output))

    @property
    def _spread(self) -> Shape:
        """The shape in which a weight of c multiplies N x O x H x W."""
        assert self.axes is not None
        first, last = self.axes
        sizes = getattr(self, PEEPHOLES[0]).shape
        return (*(1,) * (first - 1), *sizes, *(1,) * (5 - last))

    def onnx(self, op: Op, x: str, cont: str, *rest: str) -> Values:
        if any(op.dynamic(x)[3:]):
            raise UnsupportedError(
                "maps whose height and width vary", fix="export with a dynamic batch alone"
            )
        steps, _, *image = op.shape(x)
        others, drive, plane = list(rest), "", tuple(image[1:])
        if self.of_x is not None:
            rows = op.Reshape(x, op.ints(-1, *image))
            gates = self.of_x.emit(op, self, rows, "W_x")
            lead = op.Slice(op.Shape(x), op.ints(0), op.ints(2), op.ints(0))
            sizes = op.Concat(lead, op.ints(4 * self.num_output, *plane), axis=0)
            drive = op.Reshape(gates, sizes)
        if self.static_channels:
            assert self.of_x is not None
            static = op.Squeeze(others.pop(0), op.ints(0))
            drive = op.Add(drive, self.of_x.emit(op, self, static, "W_static"))
        goes_on = op.Unsqueeze(cont, op.ints(2, 3, 4))
        state = [op.Squeeze(other, op.ints(0)) for other in others]
        if not state:
            state = [self._emit_zeros(op, cont, plane)] * len(STATES)
        sequences = [drive, goes_on] if drive else [goes_on]
        if not op.dynamic(x)[0] and (steps <= UNROLLED or not op.takes("Scan")):
            hidden = []
            for parts in zip(*(_split(op, each, steps) for each in sequences), strict=True):
                state = [*self._emit_step(op, state, *parts)]
                hidden.append(op.Unsqueeze(state[0], op.ints(0)))
            top = op.Concat(*hidden, axis=0)
        else:

            def scanned(h: str, c: str, *parts: str) -> tuple[str, ...]:
                after = self._emit_step(op, [h, c], *parts)
                return *after, op.Identity(after[0])

            *state, top = op.scan(scanned, state, sequences, stacked=1)
        return top, *([op.Unsqueeze(part, op.ints(0)) for part in state] if others else [])

    def _emit_step(self, op: Op, state: Sequence[str], *parts: str) -> tuple[str, str]:
        """Append one step, of N x ... each; return h and c."""
        *now, goes_on = parts
        h, c = state
        gates = self.of_h.emit(op, self, op.Mul(goes_on, h), "W_h", "b")
        for drive in now:
            gates = op.Add(gates, drive)
        if self.axes is not None:
            weights = [op.weight(self, name, shape=self._spread) for name in PEEPHOLES]
            seen = op.Concat(*(op.Mul(c, weight) for weight in weights), axis=1)
            seen = op.Pad(seen, op.ints(0, 0, 0, 0, 0, self.num_output, 0, 0))
            gates = op.Add(gates, seen)
        c, h = emit_lstm_cell(op, c, gates, goes_on, self.num_output, axis=1)
        return h, c

    def _emit_zeros(self, op: Op, cont: str, plane: Shape) -> str:
        """Append a state of zeros, N x O x H x W."""
        streams = op.Slice(op.Shape(cont), op.ints(1), op.ints(2), op.ints(0))
        return op.Expand(op.scalar(0), op.Concat(streams, op.ints(self.num_output, *plane), axis=0))

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        steps, streams, _, height, width = bottoms[0]
        sizes = {name: blob.numel() for name, blob in zip(self.blob_names, self.blobs, strict=True)}
        own = sizes.get("W_x", 0) + sizes["W_h"]
        return height * width * (steps * streams * own + sizes.get("W_static", 0))


def _split(op: Op, value: str, steps: int) -> list[str]:
    """Append one slice of the first axis for each step."""
    parts = op.Split(value, op.ints(*[1] * steps), axis=0, outputs=steps) if steps > 1 else [value]
    return [op.Squeeze(part, op.ints(0)) for part in parts]

"""The numbers that Ristretto rounds to: fixed point, floats of few bits, powers of two."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.checks import require
from caffe_layers.base.fields import arguments_of, read_fields
from caffe_layers.base.number import FLT_MIN
from caffe_layers.base.op import Op
from prototxt.errors import UnsupportedError

FIXED, FLOAT, POWERS = "DYNAMIC_FIXED_POINT", "MINIFLOAT", "INTEGER_POWER_OF_2_WEIGHTS"
LEAST, MOST = -126, 127
"""The exponents of float32."""


class Quantization:
    """What the fields of `quantization_param` say: how a layer's numbers are rounded.

    * DYNAMIC_FIXED_POINT: a number becomes the nearest multiple of `2^-fl` (`fl_layer_in` for
      bottoms, `fl_layer_out` for tops, `fl_params` for weights) between `-2^(bw - 1) 2^-fl` and
      `(2^(bw - 1) - 1) 2^-fl`.
    * MINIFLOAT: float32's mantissa is rounded to `mant_bits` bits. Its exponent is held in
      `exp_bits` bits about `2^(exp_bits - 1) - 1`: below them there is 0, above them the largest
      number.
    * INTEGER_POWER_OF_2_WEIGHTS: a weight becomes the power of two whose exponent is nearest to its
      own logarithm, from `exp_min` to `exp_max`, and keeps its sign, which 0 has as +; the bias is
      left as it is, and bottoms and tops are in fixed point.

    Halves go to the even neighbour. STOCHASTIC rounds down after a number from 0 to 1 was added: so
    are weights in training, whatever `rounding_scheme` is; bottoms and tops are rounded in testing
    alone. Gradients pass through as if nothing had been rounded.

    This is the arithmetic of Ristretto's GPU code. Its CPU code, beside it, rounds halves away from
    0, leaves bottoms and tops as they are where weights are powers of two, and ends at the first 0
    where it makes small floats.

    Errors: ShapeError for numbers of bits that there are not.
    Caffe: pmgysel/caffe at 614963c, src/caffe/ristretto/layers/base_ristretto_layer.cu,
    include/ristretto/base_ristretto_layer.cuh
    """

    def __init__(
        self,
        *,
        precision: str = FIXED,
        rounding_scheme: str = "NEAREST",
        bw_layer_in: int = 32,
        bw_layer_out: int = 32,
        bw_params: int = 32,
        fl_layer_in: int = 16,
        fl_layer_out: int = 16,
        fl_params: int = 16,
        mant_bits: int = 23,
        exp_bits: int = 8,
        exp_min: int = -8,
        exp_max: int = -1,
    ) -> None:
        widths = {"bw_layer_in": bw_layer_in, "bw_layer_out": bw_layer_out, "bw_params": bw_params}
        for name, bits in widths.items():
            require(1 <= bits <= 32, f"{name} is {bits}, wants 1 to 32")
        require(0 <= mant_bits <= 23, f"mant_bits is {mant_bits}, wants at most 23")
        require(1 <= exp_bits <= 8, f"exp_bits is {exp_bits}, wants 1 to 8")
        require(exp_min <= exp_max, f"exp_min {exp_min} is above exp_max {exp_max}")
        self.precision, self.stochastic = precision, rounding_scheme == "STOCHASTIC"
        self.layer_in, self.layer_out = (bw_layer_in, fl_layer_in), (bw_layer_out, fl_layer_out)
        self.params = (bw_params, fl_params)
        self.mant_bits, self.exp_bits = mant_bits, exp_bits
        self.exp_min, self.exp_max = exp_min, exp_max

    @classmethod
    def read(cls, layer: Any) -> Quantization:
        """Read a layer's `quantization_param`; where it has none its defaults stand."""
        if "quantization_param" not in layer.DESCRIPTOR.fields_by_name:
            return cls()
        return cls(**read_fields(layer.quantization_param, arguments_of(cls)))

    def bottom(self, x: Tensor) -> Tensor:
        """Return a bottom as testing rounds it."""
        return self._activation(x, self.layer_in)

    def top(self, y: Tensor) -> Tensor:
        """Return a top as testing rounds it."""
        return self._activation(y, self.layer_out)

    def _activation(self, x: Tensor, fixed: tuple[int, int]) -> Tensor:
        if self.precision == FLOAT:
            return gradient_of(self._float(x.detach(), self.stochastic), x)
        return gradient_of(_fixed(x.detach(), *fixed, self.stochastic), x)

    def weight(self, weight: Tensor, training: bool) -> Tensor:
        """Return the weight as it is used."""
        plain, draws = weight.detach(), training or self.stochastic
        if self.precision == POWERS:
            return gradient_of(self._power(plain, draws), weight)
        return gradient_of(self._parameter(plain, draws), weight)

    def bias(self, bias: Tensor, training: bool) -> Tensor:
        """Return the bias as it is used."""
        if self.precision == POWERS:
            return bias
        return gradient_of(self._parameter(bias.detach(), training or self.stochastic), bias)

    def nearest_float(self, x: Tensor) -> Tensor:
        """Return numbers as small floats, rounded to the nearest whatever the scheme is."""
        return self._float(x, draws=False)

    def _parameter(self, plain: Tensor, draws: bool) -> Tensor:
        if self.precision == FLOAT:
            return self._float(plain, draws)
        return _fixed(plain, *self.params, draws)

    def _power(self, x: Tensor, draws: bool) -> Tensor:
        exponent = _round(x.float().abs().log2(), draws).clamp(self.exp_min, self.exp_max)
        return torch.exp2(exponent.to(x.dtype)) * torch.where(x >= 0, 1, -1).to(x.dtype)

    @property
    def _bias(self) -> int:
        return int(2 ** (self.exp_bits - 1) - 1)

    @property
    def _largest(self) -> float:
        """The largest small float."""
        steps = 2**self.mant_bits
        return float((2 * steps - 1) / steps * 2.0 ** (2**self.exp_bits - 1 - self._bias))

    def _float(self, x: Tensor, draws: bool) -> Tensor:
        mantissa, exponent = torch.frexp(x.float().abs())
        steps = 2**self.mant_bits
        # frexp's mantissa is from 0.5 to 1, its exponent one more than float32's own.
        rounded = _round((mantissa.double() * 2 - 1) * steps, draws)
        size = torch.ldexp((rounded + steps) / steps, exponent - 1)
        size = torch.where(exponent - 1 + self._bias > 2**self.exp_bits - 1, self._largest, size)
        tiny = (exponent - 1 < LEAST) | (mantissa == 0) | (exponent - 1 + self._bias < 0)
        return (torch.where(tiny, 0.0, size) * torch.sign(x)).to(x.dtype)

    def onnx_nearest_float(self, op: Op, x: str) -> str:
        """Append what `nearest_float` does."""
        return self._onnx_float(op, x)

    def onnx_bottom(self, op: Op, x: str) -> str:
        """Append the rounding of a bottom."""
        return self._onnx(op, x, self.layer_in)

    def onnx_top(self, op: Op, y: str) -> str:
        """Append the rounding of a top."""
        return self._onnx(op, y, self.layer_out)

    def _onnx(self, op: Op, x: str, fixed: tuple[int, int]) -> str:
        if self.stochastic:
            raise UnsupportedError(
                "rounding_scheme STOCHASTIC rounds at random, which ONNX does not"
            )
        return self._onnx_float(op, x) if self.precision == FLOAT else _onnx_fixed(op, x, *fixed)

    def _onnx_float(self, op: Op, x: str) -> str:
        def number(value: float) -> str:
            return op.const(np.array(value, np.float32))

        signed = op.cast(x, np.float32)
        size = op.Abs(signed)
        # The logarithm may miss by one: the power of two at hand says so.
        guess = op.Floor(op.Mul(op.Log(op.Max(size, number(FLT_MIN))), number(1 / log(2))))
        within = op.Max(op.Min(guess, number(MOST)), number(LEAST))
        powers = np.ldexp(np.float32(1), np.arange(LEAST, MOST + 1)).astype(np.float32)
        power = op.Gather(op.const(powers), op.to_int(op.Sub(within, number(LEAST))))
        power = op.Where(op.Greater(power, size), op.Mul(power, number(0.5)), power)
        double = op.Mul(power, number(2))
        power = op.Where(op.GreaterOrEqual(size, double), double, power)
        steps = number(2**self.mant_bits)
        rest = op.Mul(op.Sub(op.Div(size, power), number(1)), steps)
        rounded = op.Mul(op.Div(op.Add(op.Round(rest), steps), steps), power)
        last = 2**self.exp_bits - 1 - self._bias
        if last < MOST:
            large = op.Greater(power, number(2.0**last))
            rounded = op.Where(large, number(self._largest), rounded)
        tiny = op.Less(size, number(2.0 ** max(-self._bias, LEAST)))
        return op.to_float(op.Mul(op.Where(tiny, number(0), rounded), op.Sign(signed)))


def _round(x: Tensor, draws: bool) -> Tensor:
    return (x + torch.rand_like(x)).floor() if draws else x.round()


def _fixed(x: Tensor, bits: int, fraction: int, draws: bool) -> Tensor:
    step = 2.0**-fraction
    least, most = _bounds(bits, step)
    return _round(x.clamp(least, most) / step, draws) * step


def _bounds(bits: int, step: float) -> tuple[float, float]:
    return -(2.0 ** (bits - 1)) * step, (2.0 ** (bits - 1) - 1) * step


def _onnx_fixed(op: Op, x: str, bits: int, fraction: int) -> str:
    step = 2.0**-fraction
    least, most = map(op.scalar, _bounds(bits, step))
    inside = op.Min(op.Max(x, least), most)
    return op.Mul(op.Round(op.Div(inside, op.scalar(step))), op.scalar(step))

"""Eight-bit numbers: ranges, zeros, weights by channel, biases that would overflow."""

from __future__ import annotations

import numpy as np
import pytest

from converter.onnx.quantization.agreement import agreements, top_classes
from converter.onnx.quantization.decibels import decibels
from converter.onnx.quantization.numbers import (
    least_scales,
    quantized_bias,
    quantized_weight,
    rounding_of,
)


@pytest.mark.parametrize(
    ("least", "most", "zero", "scale"),
    [
        (0, 2.55, 0, 0.01),
        (-1, 1.55, 100, 0.01),
        (1, 2.55, 0, 0.01),
        (-2.55, -1, 255, 0.01),
        (-1.006, 1.544, 101, 0.01),
    ],
)
def test_a_range_takes_up_all_numbers_and_holds_0(
    least: float, most: float, zero: int, scale: float
) -> None:
    found = rounding_of(least, most)
    assert found.zero == zero
    assert found.zero.dtype == np.uint8
    assert found.scale == pytest.approx(scale, rel=1e-6)
    assert found.range == pytest.approx((min(least, 0), max(most, 0)), abs=scale / 2)


def test_signed_numbers_lie_around_0() -> None:
    found = rounding_of(-1, 2.54, signed=True)
    assert (found.zero, found.zero.dtype) == (0, np.int8)
    assert found.scale == pytest.approx(0.02)
    assert rounding_of(0, 0).scale == rounding_of(0, 0, signed=True).scale == 1


def test_weights_have_a_scale_for_each_channel_that_they_make() -> None:
    weight = np.array([[1.27, -0.5], [0, 0], [-12.7, 3.04]], np.float32)
    found = quantized_weight(weight, 0)
    np.testing.assert_array_equal(found.values, [[127, -50], [0, 0], [-127, 30]])
    np.testing.assert_allclose(found.scales, [0.01, 1, 0.1], rtol=1e-6)
    np.testing.assert_array_equal(quantized_weight(weight.T, 1).values, found.values.T)


def test_a_bias_beside_next_to_no_weights_does_not_overflow() -> None:
    weight, bias = np.array([[1e-12], [1]], np.float32), np.array([5, 5], np.float32)
    found = quantized_weight(weight, 0, least_scales(bias, 0.1))
    rounded = quantized_bias(bias, found.scales * 0.1)
    np.testing.assert_allclose(rounded * found.scales * 0.1, bias, rtol=1e-6)
    assert found.scales[1] == pytest.approx(1 / 127)


def test_decibels() -> None:
    assert decibels(1, 100) == 20
    assert decibels(0, 0) == decibels(0, 1) == float("inf")
    assert decibels(1, 0) == decibels(float("nan"), 1) == float("-inf")


def test_agreement_counts_classes_over_all_feeds() -> None:
    scores = np.array([[1.0, 2, 3], [3, 2, 1]])
    wrong = scores.copy()
    wrong[1] = [1, 2, 1]
    maps = np.ones((2, 2, 3))
    theirs = [{"prob": scores, "map": maps}] * 2
    ours = [{"prob": scores, "map": maps}, {"prob": wrong, "map": maps * 1.1}]
    prob, areas = agreements(theirs, ours)
    assert (prob.same, prob.samples) == (3, 4)
    assert prob.decibels == pytest.approx(10 * np.log10(56 / 4))
    assert "top class is the float32 network's in 3 of 4 samples" in str(prob)
    assert areas.samples == 0
    assert areas.decibels == pytest.approx(10 * np.log10(24 / 0.12))
    assert "class" not in str(areas)
    assert top_classes(np.ones((2, 1))) is None

"""yjxiong's layers against restatements of their formulas as loops."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support import restated

RNG = np.random.default_rng(1701)
F = np.float32


def text(kind: str, message: str = "", *, bottoms: str = "x", tops: str = "y") -> str:
    names = [f'bottom: "{name}"' for name in bottoms] + [f'top: "{name}"' for name in tops]
    return f'layer {{ name: "L" type: "{kind}" {" ".join(names)} {message} }}'


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 4), (2,)])
def test_normalize(shape: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.standard_normal(shape)
    want = np.zeros((*shape, 1, 1, 1)[:4])
    for i, image in enumerate(x):
        length = sqrt(sum(v * v for v in np.ravel(image)))
        want[i] = (image / length).reshape(want.shape[1:])
    layer = text("Normalize")
    restated.check(layer, {"x": x}, {"y": want}, tmp_path, dialect="tsn")
    restated.check_gradients(layer, {"x": x}, tmp_path, dialect="tsn")


@pytest.mark.parametrize("coeff", [(), (0.3, 0.6, 0.9)])
def test_a_stochastic_sum_weighs_in_testing(coeff: tuple[float, ...], tmp_path: Path) -> None:
    inputs = {name: RNG.standard_normal((2, 3)) for name in "abc"}
    said = " ".join(f"coeff: {value}" for value in coeff)
    want = np.zeros((2, 3))
    for array, weight in zip(inputs.values(), coeff or (1, 1, 1), strict=True):
        want += float(F(weight)) * array
    message = f"eltwise_param {{ operation: STOCHASTIC_SUM {said} }}"
    restated.check(text("Eltwise", message, bottoms="abc"), inputs, {"y": want}, tmp_path)
    over = text("Eltwise", message, bottoms="abc", tops="a")
    want -= float(F((coeff or (1,))[0])) * inputs["a"]
    restated.check(over, inputs, {"a": want}, tmp_path)


def test_a_stochastic_sum_draws_in_training(tmp_path: Path) -> None:
    inputs = {name: np.full((1, 1), 10.0**place) for place, name in enumerate("abc")}
    message = "eltwise_param { operation: STOCHASTIC_SUM coeff: 0 coeff: 0.4 coeff: 1 }"
    net = restated.load(text("Eltwise", message, bottoms="abc"), inputs, tmp_path, phase="TRAIN")
    torch.manual_seed(1701)
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    sums = [net(tensors)["y"].item() for _ in range(300)]
    assert set(sums) == {100, 110}
    assert sums.count(110) / 300 == pytest.approx(0.4, abs=0.1)


def test_stochastic_sum_refused(tmp_path: Path) -> None:
    inputs = {"a": np.zeros((1, 2)), "b": np.zeros((1, 2))}
    message = "eltwise_param { operation: STOCHASTIC_SUM coeff: 1 }"
    with pytest.raises(CaffeError, match="1 coeff, wants one for each of the 2 bottoms"):
        restated.load(text("Eltwise", message, bottoms="ab"), inputs, tmp_path)


@pytest.mark.parametrize(("k", "axis", "coeff"), [(1, 0, 1), (3, 1, 0.5), (2, 2, 1), (5, -1, -2)])
def test_reduction_by_the_largest(k: int, axis: int, coeff: float, tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3, 5))
    x[0, 0, :2] = 4  # a tie
    lead = x.shape[:axis] if axis else ()
    rows = x.reshape(*lead, -1)
    want = np.zeros(lead)
    for at in np.ndindex(*lead):
        want[at] = coeff * sum(sorted(rows[at], reverse=True)[:k]) / k
    layer = text(
        "Reduction", f"reduction_param {{ operation: TOPK k: {k} axis: {axis} coeff: {coeff} }}"
    )
    dynamic = ("batch",) if axis else ()
    restated.check(layer, {"x": x}, {"y": want}, tmp_path, dynamic=dynamic)
    restated.check_gradients(layer, {"x": RNG.standard_normal((2, 3, 5))}, tmp_path)


@pytest.mark.parametrize("dialect", [None, "tsn"])
def test_other_reductions_stay_bvlcs(dialect: str | None, tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3))
    layer = text("Reduction", "reduction_param { operation: MEAN axis: 1 }")
    restated.check(layer, {"x": x}, {"y": x.mean(1)}, tmp_path, dialect=dialect)


def test_reduction_refused(tmp_path: Path) -> None:
    for k, message in ((0, "k is 0, wants 1 or more"), (4, "k is 4 of only 3 values")):
        layer = text("Reduction", f"reduction_param {{ operation: TOPK axis: 1 k: {k} }}")
        with pytest.raises(CaffeError, match=message):
            restated.load(layer, {"x": np.zeros((2, 3))}, tmp_path)


def batch_reduction(
    x: np.ndarray, levels: tuple[int, ...], operation: str, axis: int, k: int, pos: bool
) -> np.ndarray:
    """Walk over memory as the fork does."""
    whole = levels == (1,)
    ticks = [x.shape[axis]] if whole else [level * level for level in levels]
    behind = axis + (2 if pos else 1)
    shape = (*x.shape[:axis], *(() if whole else (len(levels),)), *x.shape[behind:])
    step, num = int(np.prod(x.shape[behind:])), int(np.prod(x.shape[:axis]))
    memory, at = x.ravel(), 0
    top = []
    for _ in range(num):
        for tick in ticks:
            rows = []
            for t in range(tick):
                rows.append(memory[at : at + step])
                at += step * ((1 if t == tick - 1 else tick + 1) if pos else 1)
            for i in range(step):
                values = [row[i] for row in rows]
                if operation == "TOPK":
                    top.append(sum(sorted(values, reverse=True)[:k]) / k)
                else:
                    top.append(sum(values) / (tick if operation == "MEAN" else 1))
    return np.array(top).reshape(shape)


@pytest.mark.parametrize(
    ("shape", "levels", "operation", "axis", "k", "pos"),
    [
        ((4, 3, 2), (), "SUM", 1, 1, False),
        ((4, 3, 2), (1,), "MEAN", 2, 1, False),
        ((4, 5, 2), (), "TOPK", 1, 3, False),
        ((2, 14, 3), (3, 2, 1), "SUM", 1, 1, False),
        ((2, 14, 3), (3, 2, 1), "MEAN", 1, 1, False),
        ((2, 4, 3), (2,), "TOPK", 1, 2, False),
        ((2, 4, 4, 3), (), "SUM", 1, 1, True),
        ((2, 3, 4, 4), (), "MEAN", 2, 1, True),
    ],
)
def test_batch_reduction(
    shape: tuple[int, ...], levels: tuple[int, ...], operation: str, axis: int, k: int, pos: bool,
    tmp_path: Path,
) -> None:  # fmt: skip
    x = RNG.standard_normal(shape)
    said = " ".join(f"level: {level}" for level in levels)
    layer = text(
        "BatchReduction",
        f"batch_reduction_param {{ {said} pos: {str(pos).lower()} "
        f"reduction_param {{ operation: {operation} axis: {axis} k: {k} }} }}",
    )
    want = batch_reduction(x, levels or (1,), operation, axis, k, pos)
    restated.check(layer, {"x": x}, {"y": want}, tmp_path)
    restated.check_gradients(layer, {"x": x}, tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("reduction_param { operation: ASUM }", "operation ASUM is none of SUM, MEAN, TOPK"),
        ("level: 2 level: 1 reduction_param { operation: TOPK }", "TOPK with several levels"),
        ("pos: true level: 2", "pos with a level above 1 or TOPK"),
        ("level: 2 reduction_param { axis: 1 }", r"axis 1 of \(4, 3\) is no sum of the pieces"),
        ("pos: true", "wants two equal axes from axis 0 on, for pos"),
        ("reduction_param { operation: TOPK axis: 1 k: 4 }", "k is 4 of 3 values"),
        ("level: 0", r"level \(0,\) wants 1 or more"),
    ],
)
def test_batch_reduction_refused(fields: str, message: str, tmp_path: Path) -> None:
    layer = text("BatchReduction", f"batch_reduction_param {{ {fields} }}")
    with pytest.raises(CaffeError, match=message):
        restated.load(layer, {"x": np.zeros((4, 3))}, tmp_path)


@pytest.mark.parametrize("kind", ["Gather", "Scatter"])
def test_one_process_hands_on(kind: str, tmp_path: Path) -> None:
    inputs = {name: RNG.standard_normal((2, 3)) for name in "ab"}
    layer = text(kind, bottoms="ab", tops="yz")
    wants = {"y": inputs["a"], "z": inputs["b"]}
    restated.check(layer, inputs, wants, tmp_path)
    restated.check_gradients(layer, inputs, tmp_path, wrt=("a",))
    with pytest.raises(CaffeError, match="2 bottoms and 1 tops, wants as many"):
        restated.load(text(kind, bottoms="ab"), inputs, tmp_path)


VIDEO = """
    layer { name: "L" type: "VideoData" top: "x" top: "l"
            video_data_param { source: "list" batch_size: 5 new_length: 10 num_segments: 3 %s }
            transform_param { %s } }
    layer { name: "y" type: "ReLU" bottom: "x" top: "y" }
"""


@pytest.mark.parametrize(
    ("fields", "transform", "shape"),
    [
        ("modality: FLOW", "crop_size: 4 is_flow: true", (5, 60, 4, 4)),
        ("modality: RGB", "crop_size: 4", (5, 90, 4, 4)),
        ("new_height: 6 new_width: 7", "", (5, 60, 6, 7)),
    ],
)
def test_video_data_says_its_shape(
    fields: str, transform: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    net = restated.load(VIDEO % (fields, transform), {}, tmp_path)
    assert net.shapes() == {"x": shape, "l": (5,), "y": shape}
    x = torch.zeros(shape, dtype=torch.float64)
    assert net({"x": x})["y"].shape == shape

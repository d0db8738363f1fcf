"""The kernels against their plain torch forms: in Triton's interpreter, on CPU tensors.

`test_kernels.py` runs this file in a process of its own: Triton reads `TRITON_INTERPRET` once.
`test_gpu.py` runs it on a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import product

import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor

import caffe_layers
from caffe_layers.fused.selection import Selection
from caffe_layers.kernels import axpy, selection
from caffe_layers.kernels.layout import CHANNELS_LAST, TILE_VALUES, Tiling, memory_format
from caffe_layers.kernels.programs.tile import program_tile
from caffe_layers.kernels.where import DTYPES, INTERPRETED
from converter.sknet import SKNet
from converter.sknet.model import SelectiveKernel, weigh

DEVICE = torch.device(os.environ.get("KERNELS_ON", "cpu"))
SHAPES = [
    (2, 3),
    (1, 1, 1, 1),
    (2, 3, 1, 1),
    (2, 3, 7, 7),
    (3, 2, 13, 5),
    (2, 5, 56),
    (1, 1, 56, 56),
    (2, 3, 3, 1, 2),
    (1, 257, 2, 3),
    (1, 256, 3, 3),
    (1, TILE_VALUES + 1),
    (1, 1, TILE_VALUES),
    (1, 2, TILE_VALUES - 1),
    (1, 2, TILE_VALUES + 1, 1),
    (1, 2, 70, 70),
    (0, 3, 4, 4),
    (2, 0, 4, 4),
    (2, 3, 0, 4),
]
SHARED_ROWS = (1, 2, 70, 70)
"""Its rows are long and few: several programs share one, whatever the format."""
OTHER_DTYPES = sorted(DTYPES - {torch.float64}, key=str)
every_shape_and_dtype = pytest.mark.parametrize(
    ("shape", "dtype"),
    [(shape, torch.float64) for shape in SHAPES]
    + [(shape, dtype) for shape in [*SHAPES[3:5], SHARED_ROWS] for dtype in OTHER_DTYPES],
    ids=str,
)
every_format = pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels last"])


@pytest.fixture(autouse=True)
def seed() -> None:
    assert (DEVICE.type == "cpu") == INTERPRETED
    torch.manual_seed(1701)


def draw(shape: Sequence[int], dtype: torch.dtype = torch.float64, last: bool = False) -> Tensor:
    """Draw values, channels last where there are spatial axes."""
    value = torch.randn(tuple(shape), dtype=torch.float64).to(DEVICE, dtype)
    form = CHANNELS_LAST.get(len(shape)) if last else None
    return value if form is None else value.contiguous(memory_format=form)


def assert_close(got: Tensor, want: Tensor, name: str) -> None:
    """Compare with float64's result from the same values: one rounding to the dtype is allowed.

    Beside it stand the roundings of float32's sums, or of float64's. To bfloat16 the interpreter
    does not round: it cuts off.
    """
    assert got.shape == want.shape, name
    if not want.numel():
        return
    noise = 1e-12 if got.dtype == torch.float64 else 2e-6
    cuts = INTERPRETED and got.dtype == torch.bfloat16
    halves = got.dtype.itemsize == 2
    rounding = torch.finfo(got.dtype).eps * (1.001 if cuts else 0.501 if halves else 0)
    room = rounding * want.abs() + noise * want.abs().max().clamp(min=1)
    wrong = ((got.double() - want).abs() - room).max().item()
    assert wrong <= 0, f"{name}: {wrong:.3g} beyond what rounding explains"


def assert_forward_and_backward(
    function, plain, arguments: Sequence[Tensor], top_diff: Tensor, wanted: Sequence[bool] = ()
) -> Tensor:
    """Compare top and gradients with the plain form in float64; return the top."""
    wanted = wanted or [True] * len(arguments)
    given = [tensor.detach().requires_grad_(w) for tensor, w in zip(arguments, wanted, strict=True)]
    exact = [t.detach().double().requires_grad_(w) for t, w in zip(arguments, wanted, strict=True)]
    top, want = function(*given), plain(*exact)
    assert "caffeport" in type(top.grad_fn).__name__, "the operator was not taken"
    assert_close(top, want, "top")
    top.backward(top_diff)
    want.backward(top_diff.double())
    for index, (got, target) in enumerate(zip(given, exact, strict=True)):
        assert (got.grad is not None) == wanted[index], f"gradient {index}"
        if wanted[index]:
            assert got.grad.dtype == got.dtype
            assert_close(got.grad, target.grad, f"gradient {index}")
    return top


def plain_select(scores: Tensor, *branches: Tensor) -> Tensor:
    return selection.plain(scores, branches)


def test_the_shapes_reach_every_way_of_cutting() -> None:
    tilings = [
        Tiling.of(draw(shape, last=last), sums=1)
        for shape, last in product([*SHAPES[:-3], SHARED_ROWS], (False, True))
    ]
    ends = [tiling.layout.size % tiling.size for tiling in tilings]
    assert {tiling.layout.step > 1 for tiling in tilings} == {False, True}
    assert {tiling.splits > 1 for tiling in tilings if tiling.layout.step > 1} == {False, True}
    assert {tiling.splits > 1 for tiling in tilings if tiling.layout.step == 1} == {False, True}
    assert {tiling.layout.rows % tiling.rows > 0 for tiling in tilings} == {False, True}
    assert {tiling.layout.groups > 1 for tiling in tilings} == {False, True}
    assert {end > 0 for end in ends} == {False, True}


@every_format
@every_shape_and_dtype
def test_axpy(shape: tuple[int, ...], last: bool, dtype: torch.dtype) -> None:
    a, x, y, top_diff = draw(shape[:2], dtype), *(draw(shape, dtype, last) for _ in range(3))
    top = assert_forward_and_backward(caffe_layers.axpy, axpy.plain, (a, x, y), top_diff)
    assert top.stride() == x.stride() or not x.numel()


@every_format
@every_shape_and_dtype
def test_select(shape: tuple[int, ...], last: bool, dtype: torch.dtype) -> None:
    scores = draw((shape[0], 2, shape[1]), dtype)
    *branches, top_diff = (draw(shape, dtype, last) for _ in range(3))
    arguments = (scores, *branches)
    top = assert_forward_and_backward(selection.select, plain_select, arguments, top_diff)
    assert top.stride() == branches[0].stride() or not top.numel()


@every_format
@pytest.mark.parametrize(
    ("branches", "shape"),
    [(1, (2, 3, 5, 4)), (3, (2, 3, 5, 4)), (5, (2, 3, 5, 4)), (8, (1, 2, 3, 3)), (3, SHARED_ROWS)],
    ids=str,
)
def test_select_of_many_branches(branches: int, shape: tuple[int, ...], last: bool) -> None:
    scores = draw((shape[0], branches * shape[1], 1, 1))
    *features, top_diff = (draw(shape, last=last) for _ in range(branches + 1))
    arguments = (scores, *features)
    assert_forward_and_backward(selection.select, plain_select, arguments, top_diff)


def test_select_of_more_branches_is_the_plain_form() -> None:
    many = selection.MOST_BRANCHES + 1
    scores = draw((2, many, 3)).requires_grad_()
    branches = [draw((2, 3, 4)) for _ in range(many)]
    top = selection.select(scores, *branches)
    assert "caffeport" not in type(top.grad_fn).__name__
    assert torch.equal(top, selection.plain(scores, branches))


def test_select_of_large_scores_is_finite() -> None:
    scores = torch.tensor([[[1e3, -1e3], [999.0, -2e3]]], dtype=torch.float64, device=DEVICE)
    branches = [draw((1, 2, 3, 3)) for _ in range(2)]
    arguments = (scores, *branches)
    assert_forward_and_backward(selection.select, plain_select, arguments, draw((1, 2, 3, 3)))


@pytest.mark.parametrize("a_shape", [(2, 3), (2, 3, 1, 1)], ids=str)
@pytest.mark.parametrize("lasts", [*product([False, True], repeat=3)], ids=str)
def test_axpy_of_mixed_formats(lasts: Sequence[bool], a_shape: tuple[int, ...]) -> None:
    x, y, top_diff = (draw((2, 3, 5, 4), last=last) for last in lasts)
    top = assert_forward_and_backward(
        caffe_layers.axpy, axpy.plain, (draw(a_shape), x, y), top_diff
    )
    assert memory_format(top) == memory_format(x)


@pytest.mark.parametrize("lasts", [*product([False, True], repeat=3)], ids=str)
def test_select_of_mixed_formats(lasts: Sequence[bool]) -> None:
    x, y, top_diff = (draw((2, 3, 5, 4), last=last) for last in lasts)
    arguments = (draw((2, 2, 3)), x, y)
    assert_forward_and_backward(selection.select, plain_select, arguments, top_diff)


def test_tensors_with_gaps_are_taken() -> None:
    x = draw((2, 5, 4, 6))[:, 1:4, :, ::2]
    y = draw((3, 4, 3)).expand(2, 3, 4, 3)
    a = draw((3, 2)).T
    top_diff = draw(()).expand(2, 3, 4, 3)
    assert_forward_and_backward(caffe_layers.axpy, axpy.plain, (a, x, y), top_diff)
    scores = draw((2, 3, 2)).transpose(1, 2)
    assert_forward_and_backward(selection.select, plain_select, (scores, x, y), top_diff)


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), SHARED_ROWS], ids=["owned rows", "shared rows"])
@pytest.mark.parametrize("wanted", [*product([False, True], repeat=3)][1:], ids=str)
def test_only_the_gradients_asked_for(wanted: Sequence[bool], shape: tuple[int, ...]) -> None:
    x, y, top_diff = (draw(shape) for _ in range(3))
    arguments = (draw(shape[:2]), x, y)
    assert_forward_and_backward(caffe_layers.axpy, axpy.plain, arguments, top_diff, wanted)
    arguments = (draw((shape[0], 2, shape[1])), x, y)
    assert_forward_and_backward(selection.select, plain_select, arguments, top_diff, wanted)


@every_format
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), SHARED_ROWS], ids=["owned rows", "shared rows"])
def test_the_same_each_time(shape: tuple[int, ...], last: bool) -> None:
    x, y, top_diff = (draw(shape, torch.float32, last) for _ in range(3))
    a, scores = draw(shape[:2], torch.float32), draw((shape[0], 2, shape[1]), torch.float32)
    first, second = (
        [
            *axpy.backward_operator(top_diff, a, x, True, True),
            *selection.backward_operator(top_diff, scores, [x, y], True, [True, True]),
            axpy.operator(a, x, y),
            selection.operator(scores, [x, y]),
        ]
        for _ in range(2)
    )
    assert all(map(torch.equal, first, second))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_axpy_rounds_as_torch_does(dtype: torch.dtype) -> None:
    x, y = (draw((2, 3, 13, 5), dtype) for _ in range(2))
    a = draw((2, 3), dtype)
    assert torch.equal(axpy.operator(a, x, y), axpy.plain(a, x, y))


def test_the_sums_are_float32() -> None:
    x = torch.ones((1, 1, 64, 64), dtype=torch.float16, device=DEVICE)
    a = x[..., 0, 0] * 0
    diff, _ = axpy.backward_operator(x, a, x * 0.1, True, True)
    assert abs(diff.item() - (x * 0.1).double().sum().item()) < 0.2  # float16's step is 0.25 there


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_weights_may_be_float32_beside_half_precision(dtype: torch.dtype) -> None:
    x, y, top_diff = (draw((2, 3, 5, 4), dtype) for _ in range(3))
    a, scores = draw((2, 3), torch.float32), draw((2, 2, 3), torch.float32)
    top = assert_forward_and_backward(axpy.operator, axpy.plain, (a, x, y), top_diff)
    assert top.dtype == dtype

    def select(scores: Tensor, *branches: Tensor) -> Tensor:
        return selection.operator(scores, branches)

    top = assert_forward_and_backward(select, plain_select, (scores, x, y), top_diff)
    assert top.dtype == dtype


def test_the_layers_and_the_native_network_take_the_kernels() -> None:
    x, y, top_diff = (draw((2, 3, 5, 4)) for _ in range(3))
    layer = caffe_layers.Axpy()
    assert_forward_and_backward(layer, axpy.plain, (draw((2, 3, 1, 1)), x, y), top_diff)
    layer = Selection(2)
    assert_forward_and_backward(layer, plain_select, (draw((2, 2, 3, 1)), x, y), top_diff)
    model = SKNet(layers=(1,), width=8, groups=2, num_classes=3).double().to(DEVICE)
    image = draw((2, 3, 33, 31))
    grads = []
    kernels = [module for module in model.modules() if isinstance(module, SelectiveKernel)]
    assert kernels
    assert all(unit.weigh is selection.select for unit in kernels)
    for form in (selection.select, weigh):
        for unit in kernels:
            unit.weigh = form
        model.zero_grad()
        score = model(image)
        score.square().sum().backward()
        grads.append([score.detach(), *(parameter.grad for parameter in model.parameters())])
    for got, want in zip(*grads, strict=True):
        assert (got - want).abs().max() <= 1e-12 * want.abs().max()


@triton.jit
def _offsets(seen, rows, size, row_stride, step, chunk):
    base, _, _, _, begin, _, _ = program_tile(rows, size, row_stride, step, chunk, 1, 1)
    tl.store(seen + tl.program_id(0), base + begin * step)


def test_offsets_are_counted_in_64_bits() -> None:
    """Without the memory: a kernel that only stores where the program would begin."""
    groups, rows, size, half = 3, 3, 2**29, 2**28
    nothing = torch.zeros(groups * rows * 2, dtype=torch.int64, device=DEVICE)
    contiguous, last = nothing, nothing.clone()
    _offsets[(groups * rows * 2,)](contiguous, groups * rows, size, size, 1, half)
    assert contiguous.tolist() == [half * program for program in range(groups * rows * 2)]
    _offsets[(groups * rows * 2,)](last, rows, size, 1, rows, half)
    places = [
        (group, row, part) for group in range(groups) for row in range(rows) for part in (0, 1)
    ]
    assert last.tolist() == [g * rows * size + r + part * half * rows for g, r, part in places]

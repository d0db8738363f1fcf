"""The operators over the kernels: on CPU tensors, traced, exported, under autocast.

What the kernels compute is in `interpreted.py`, which is run from here.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from io import BytesIO

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_func
from torch._subclasses import FakeTensorMode
from torch.export import Dim
from torch.torch_version import TorchVersion

import caffe_layers
from caffe_layers.fused.selection import Selection
from caffe_layers.kernels import axpy, selection, where
from prototxt import ShapeError
from tests.support.paths import ROOT

SCRIPTS = ROOT / "tests" / "support"
needs_triton = pytest.mark.skipif(not where.HAS_TRITON, reason="Triton is not installed")
needs_interpreter = pytest.mark.skipif(
    where.HAS_TRITON and TorchVersion(version("triton")) < "3.7",
    reason="Triton's interpreter before 3.7 does not run with today's NumPy",
)
SHAPE = (2, 3, 5, 4)
AXPY = torch.ops.caffeport.axpy.default
SELECT = torch.ops.caffeport.select.default


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(1701)


def draw(*shape: int, dtype: torch.dtype = torch.float64, last: bool = False) -> Tensor:
    form = torch.channels_last if last else torch.contiguous_format
    return torch.randn(shape, dtype=dtype).contiguous(memory_format=form).requires_grad_()


def run(script: str, *options: str, **environment: str) -> str:
    """Run Python from the root with the modules that this process finds; return what it prints."""
    paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, *script.split(), *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


@needs_triton
@needs_interpreter
@pytest.mark.parametrize(("tests", "least"), [("select", 60), ("not select", 60)])
def test_the_kernels_in_the_interpreter(tests: str, least: int) -> None:
    path = str(SCRIPTS / "interpreted.py")
    printed = run(
        "-m pytest -q -p no:cacheprovider -p no:xdist -o addopts=",
        *("-k", tests, path),
        TRITON_INTERPRET="1",
    )
    assert int(printed.rpartition(" passed")[0].split()[-1]) >= least


@needs_triton
def test_the_kernels_compile_without_a_gpu() -> None:
    assert run(str(SCRIPTS / "compiled.py"), TRITON_INTERPRET="0").split() == ["compiled"] * 35


def test_on_a_cpu_the_layers_are_plain_torch() -> None:
    """Three operators of torch, which compilers can fuse, and no copy: 21 us less a call."""
    a, x, y = draw(2, 3), draw(*SHAPE), draw(*SHAPE)
    for top in (caffe_layers.axpy(a, x, y), selection.select(draw(2, 2, 3), x, y)):
        assert "caffeport" not in type(top.grad_fn).__name__


ARGUMENTS = {
    "axpy": lambda: (axpy.operator, (draw(2, 3), draw(*SHAPE), draw(*SHAPE))),
    "axpy N x C x 1 x 1": lambda: (axpy.operator, (draw(2, 3, 1, 1), draw(*SHAPE), draw(*SHAPE))),
    "axpy N x C": lambda: (axpy.operator, (draw(2, 3), draw(2, 3), draw(2, 3))),
    "axpy mixed": lambda: (
        axpy.operator,
        (draw(2, 3), draw(*SHAPE, last=True), draw(*SHAPE)),
    ),
    "axpy float16": lambda: (
        axpy.operator,
        (
            draw(2, 3, dtype=torch.float32),
            draw(*SHAPE, dtype=torch.float16),
            draw(*SHAPE, dtype=torch.float16),
        ),
    ),
    "axpy backward": lambda: (
        axpy.backward_operator,
        (draw(*SHAPE), draw(2, 3), draw(*SHAPE), True, True),
    ),
    "axpy backward of a": lambda: (
        axpy.backward_operator,
        (draw(*SHAPE, last=True), draw(2, 3), draw(*SHAPE), True, False),
    ),
    "axpy backward of x": lambda: (
        axpy.backward_operator,
        (draw(*SHAPE, last=True), draw(2, 3, 1, 1), None, False, True),
    ),
    "select": lambda: (selection.operator, (draw(2, 2, 3), [draw(*SHAPE), draw(*SHAPE)])),
    "select of one": lambda: (selection.operator, (draw(2, 3), [draw(2, 3)])),
    "select mixed": lambda: (
        selection.operator,
        (draw(2, 6, 1, 1), [draw(*SHAPE, last=True), draw(*SHAPE)]),
    ),
    "select backward": lambda: (
        selection.backward_operator,
        (draw(*SHAPE), draw(2, 2, 3), [draw(*SHAPE), draw(*SHAPE)], True, [True, False]),
    ),
    "select backward of branches": lambda: (
        selection.backward_operator,
        (draw(*SHAPE, last=True), draw(2, 2, 3), [], False, [False, True]),
    ),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_operators_keep_torchs_rules(name: str) -> None:
    operator, arguments = ARGUMENTS[name]()
    if "backward" in name:  # has no gradient of its own
        detach = torch.utils._pytree.tree_map_only
        arguments = detach(Tensor, Tensor.detach, arguments)
    torch.library.opcheck(operator, arguments)


@pytest.mark.parametrize("last", [False, True])
def test_gradients_and_their_gradients(last: bool) -> None:
    x, y, z = (draw(2, 2, 3, 2, last=last) for _ in range(3))
    a, scores = draw(2, 2), draw(2, 3, 2)

    def select(scores: Tensor, *branches: Tensor) -> Tensor:
        return selection.operator(scores, branches)

    for function, arguments in ((axpy.operator, (a, x, y)), (select, (scores, x, y, z))):
        assert torch.autograd.gradcheck(function, arguments)
        assert torch.autograd.gradgradcheck(function, arguments)


def saved_values(function: Callable[..., Tensor], *arguments: Tensor) -> int:
    count = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal count
        count += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function(*arguments)
    return count


def test_only_what_the_backward_needs_is_kept() -> None:
    a, x, y, scores = draw(2, 3), draw(*SHAPE), draw(*SHAPE), draw(2, 2, 3)
    assert saved_values(axpy.operator, a, x, y) == a.numel() + x.numel()
    assert saved_values(axpy.operator, a.detach(), x, y) == a.numel()

    def select(scores: Tensor, *branches: Tensor) -> Tensor:
        return selection.operator(scores, branches)

    assert saved_values(select, scores, x, y) == scores.numel() + x.numel() + y.numel()
    assert saved_values(select, scores.detach(), x, y) == scores.numel()


class Unit(nn.Module):
    """Both operators in one network."""

    def forward(self, a: Tensor, scores: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return axpy.operator(a, selection.operator(scores, [x, y]), y).relu()


class LayersUnit(nn.Module):
    """The same by the layers, which choose the operator themselves."""

    def forward(self, a: Tensor, scores: Tensor, x: Tensor, y: Tensor) -> Tensor:
        selected = Selection(2)(scores, x, y)
        return caffe_layers.Axpy()(a, selected, selection.select(scores, x, y))


def unit_arguments(**options) -> tuple[Tensor, ...]:
    return draw(2, 3), draw(2, 2, 3), draw(*SHAPE, **options), draw(*SHAPE, **options)


def targets(graph: torch.fx.Graph) -> list[str]:
    return [str(node.target) for node in graph.nodes if "caffeport" in str(node.target)]


def test_the_compiler_sees_one_operator_forward_and_one_backward() -> None:
    seen: list[list[str]] = []

    def record(module: torch.fx.GraphModule, _: Sequence[Tensor]) -> Callable[..., object]:
        seen.append(targets(module.graph))
        return make_boxed_func(module.forward)

    arguments, unit = unit_arguments(), Unit()
    backend = aot_autograd(fw_compiler=record, bw_compiler=record)
    for compiled in (
        torch.compile(unit, fullgraph=True, backend=backend),
        torch.compile(unit, fullgraph=True, backend="aot_eager"),
        torch.compile(unit, fullgraph=True, backend="aot_eager", dynamic=True),
    ):
        wants = torch.autograd.grad(unit(*arguments).square().sum(), arguments)
        gots = torch.autograd.grad(compiled(*arguments).square().sum(), arguments)
        for got, want in zip(gots, wants, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    assert seen == [
        ["caffeport.select.default", "caffeport.axpy.default"],
        ["caffeport.axpy_backward.default", "caffeport.select_backward.default"],
    ]


def test_an_exported_program_has_one_operator_and_any_batch_and_size() -> None:
    arguments = [argument.detach() for argument in unit_arguments()]
    sizes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    free = ({0: Dim.DYNAMIC}, {0: Dim.DYNAMIC}, sizes, sizes)
    program = torch.export.export(Unit(), tuple(arguments), dynamic_shapes=free)
    assert targets(program.graph) == ["caffeport.select.default", "caffeport.axpy.default"]
    memory = BytesIO()
    torch.export.save(program, memory)
    memory.seek(0)
    others = [draw(3, 3), draw(3, 2, 3), draw(3, 3, 7, 1), draw(3, 3, 7, 1)]
    got = torch.export.load(memory).module()(*others)
    torch.testing.assert_close(got, Unit()(*others))


@contextmanager
def pretended_gpu() -> Iterator[tuple[Tensor, ...]]:
    """Return arguments on a GPU that is not there: without values, they can be traced."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, "HAS_TRITON", True)
        shapes = ((2, 3), (2, 2, 3), SHAPE, SHAPE)
        with FakeTensorMode():
            arguments = tuple(torch.empty(shape, device="cuda") for shape in shapes)
        yield arguments


def test_on_a_gpu_the_layers_take_the_operators() -> None:
    names = ["caffeport.select.default"] * 2 + ["caffeport.axpy.default"]
    with pretended_gpu() as arguments:
        program = torch.export.export(LayersUnit(), arguments)
        assert targets(program.graph) == names
        assert not where.wants_operator([arguments[0].long()])
        assert not where.wants_operator([arguments[0], arguments[1].double()])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
            assert not where.wants_operator([arguments[0]])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, "HAS_TRITON", False)
            assert targets(torch.export.export(LayersUnit(), arguments).graph) == []


def test_more_branches_than_the_kernels_take_are_plain_torch_on_a_gpu() -> None:
    with pretended_gpu() as (_, _, x, _), x.fake_mode:
        many = selection.MOST_BRANCHES + 1
        for branches in (many - 1, many):
            scores = torch.empty(2, branches, 3, device="cuda")
            program = torch.export.export(Selection(branches), (scores, *[x] * branches))
            assert targets(program.graph) == ["caffeport.select.default"] * (branches < many)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_casts_what_is_large(dtype: torch.dtype) -> None:
    a, scores, x, y = (argument.detach().float() for argument in unit_arguments())
    weights = scores.softmax(1)
    given: list[tuple[torch.dtype, ...]] = []

    def record(operator, arguments) -> Tensor:
        with torch.autocast("cpu", dtype), Log() as log:
            top = operator(*arguments)
        given.append(log.dtypes)
        return top

    top = record(axpy.operator, (a, x, y.to(dtype)))
    assert top.dtype == dtype
    want = axpy.plain(a, x.to(dtype).float(), y.to(dtype).float()).to(dtype)
    torch.testing.assert_close(top, want)
    top = record(selection.operator, (weights, [x, y.to(dtype)]))
    assert top.dtype == dtype
    want = selection.plain(weights, [x.to(dtype).float(), y.to(dtype).float()]).to(dtype)
    torch.testing.assert_close(top, want)
    assert given == [(torch.float32, dtype, dtype)] * 2
    exact = record(axpy.operator, (a.double(), x.double(), y.double()))
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact, axpy.plain(a.double(), x.double(), y.double()))


class Log(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes the dtypes that an operator of ours gets."""

    dtypes: tuple[torch.dtype, ...] = ()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (AXPY, SELECT):
            self.dtypes = tuple(t.dtype for t in torch.utils._pytree.tree_leaves(args))
        return function(*args, **(kwargs or {}))


REFUSED = {
    "x and y": (
        lambda: axpy.operator(draw(2, 3), draw(*SHAPE), draw(2, 3, 1, 1)),
        "x (2, 3, 5, 4) and y (2, 3, 1, 1) differ",
    ),
    "x's dtype": (
        lambda: axpy.operator(draw(2, 3), draw(*SHAPE), draw(*SHAPE, dtype=torch.float32)),
        "x torch.float64 and y torch.float32 differ",
    ),
    "no channels": (
        lambda: axpy.operator(draw(2), draw(2), draw(2)),
        "x (2,) has no channel axis, wants N x C x ...",
    ),
    "a": (
        lambda: axpy.operator(draw(2, 3, 4), draw(*SHAPE), draw(*SHAPE)),
        "a (2, 3, 4) is no N x C of x (2, 3, 5, 4)",
    ),
    "scores": (
        lambda: selection.operator(draw(2, 3), [draw(*SHAPE), draw(*SHAPE)]),
        "scores (2, 3), wants 12 values",
    ),
    "no branches": (lambda: selection.operator(draw(2, 3), []), "0 branches, wants 1 to 8"),
    "flat branches": (
        lambda: selection.operator(draw(2), [draw(2)]),
        "branch (2,) has no channel axis, wants N x C x ...",
    ),
    "branches": (
        lambda: selection.operator(draw(2, 2, 3), [draw(*SHAPE), draw(2, 3, 1, 1)]),
        "branches (2, 3, 5, 4) torch.float64 and (2, 3, 1, 1) torch.float64 differ",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_kernels_would_misread_is_refused(name: str) -> None:
    call, message = REFUSED[name]
    with pytest.raises(ShapeError) as caught:
        call()
    assert str(caught.value) == message


def test_nothing_imports_triton_before_a_kernel_is_launched() -> None:
    code = "import sys, caffe_layers, converter.sknet; print('triton' in sys.modules)"
    assert run("-c", code).split() == ["False"]


def where_with(patch: pytest.MonkeyPatch, value: str, *, triton: bool) -> dict[str, object]:
    """Return what `where` finds when it is imported under a value of TRITON_INTERPRET."""
    patch.setenv("TRITON_INTERPRET", value)
    patch.setattr("importlib.util.find_spec", lambda name: object() if triton else None)
    return runpy.run_path(where.__file__)


def test_tritons_switch_is_read_as_triton_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, means in {"1": True, "True": True, "on": True, "0": False, "": False}.items():
        assert where_with(monkeypatch, value, triton=True)["INTERPRETED"] is means
        assert where_with(monkeypatch, value, triton=False)["INTERPRETED"] is False
    assert where_with(monkeypatch, "0", triton=True)["HAS_TRITON"] is True
    assert where_with(monkeypatch, "0", triton=False)["HAS_TRITON"] is False
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.6.0"))
    assert where_with(monkeypatch, "1", triton=True)["HAS_TRITON"] is False


def test_old_gpus_take_the_plain_form(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu() as (a, *_):
        for capability in ((6, 1), (7, 0), (9, 0)):
            where._is_new_enough.cache_clear()
            monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
            assert where.launches(a) == (capability >= (7, 0))
        where._is_new_enough.cache_clear()

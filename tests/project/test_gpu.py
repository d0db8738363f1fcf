"""What needs a GPU: every layer and SKNet-50 there against float64 on the CPU, kernels compiled.

All of it is skipped where torch sees no GPU. What the kernels compute is tested without one, in
Triton's interpreter (`tests/caffe_layers/kernels`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import caffe_layers
import converter
from caffe_layers.fused.selection import Selection
from caffe_layers.kernels import axpy, selection
from converter.network.arrays import array_of, tensors_of
from converter.sknet import SKNet, sknet50
from converter.verification.golden import golden_error, read_golden
from tests.support import recorded
from tests.support.layer_cases import CASES, RUN, Case
from tests.support.paths import ROOT
from tests.support.recorded import assert_close

if not torch.cuda.is_available():
    pytest.skip("torch sees no GPU", allow_module_level=True)

DEVICE = torch.device("cuda")
SEED = 1701
TOLERANCE = 1e-9


@pytest.fixture(autouse=True)
def seed() -> Iterator[None]:
    torch.manual_seed(SEED)
    with torch.backends.cudnn.flags(allow_tf32=False):
        yield


@pytest.fixture
def case(request: pytest.FixtureRequest, layer_cases: Path) -> Iterator[Case]:
    case = Case(request.param, layer_cases)
    with case.place():
        yield case


def run(case: Case, phase: str, device: torch.device, seed: int = SEED) -> dict[str, Tensor]:
    """Return blobs by name and, of a training pass, `diff NAME` and `pdiff LAYER[INDEX]`."""
    torch.manual_seed(seed)
    net = case.load(phase).to(device)
    inputs = {name: value.to(device) for name, value in case.inputs(net).items()}
    if phase == "TEST":
        return {name: blob.detach() for name, blob in net.blobs(inputs).items()}
    top_diffs = {
        name: torch.from_numpy(array).to(device) for name, array in case.kind("topdiff").items()
    }
    if not top_diffs:
        return {name: blob.detach() for name, blob in net.blobs(inputs).items()}
    got = converter.backward(net, inputs, top_diffs)
    diffs = {f"diff {name}": diff for name, diff in got.diffs.items()}
    params = {
        f"pdiff {layer}[{index}]": diff
        for layer, row in got.params.items()
        for index, diff in enumerate(row)
    }
    return {**got.blobs, **diffs, **params}


@pytest.mark.parametrize("phase", ["TEST", "TRAIN"])
@pytest.mark.parametrize("case", [c for c in RUN if CASES[c]["type"] != "Text"], indirect=True)
def test_every_recorded_case_is_the_cpus(case: Case, phase: str) -> None:
    want, other = (run(case, phase, torch.device("cpu"), seed) for seed in (SEED, SEED + 1))
    if any(not torch.equal(want[key].nan_to_num(), other[key].nan_to_num()) for key in want):
        pytest.skip("draws random numbers, and a GPU draws others")
    got = run(case, phase, DEVICE)
    assert got.keys() == want.keys()
    for key, value in got.items():
        assert_close(value.cpu(), want[key], key, TOLERANCE)


@pytest.mark.parametrize("name", ["sknet50", "sknet101"])
def test_every_blob_of_the_released_networks_is_caffes(
    name: str, sknet: Path, checkpoints: Path
) -> None:
    weights = checkpoints / f"{name}.caffemodel"
    net = converter.load(sknet / f"{name}.prototxt", weights, dtype=torch.float64)
    inputs = tensors_of(net, dict(np.load(sknet / "input.npz")))
    for optimise in (False, True):
        if optimise:
            net.optimize()
        with torch.no_grad():
            values = net.to(DEVICE).blobs({key: value.to(DEVICE) for key, value in inputs.items()})
        golden = read_golden(sknet / f"{name}_test64.npz")
        compared = [blob for blob in golden if blob in values]
        assert compared if optimise else len(compared) == len(golden)
        if optimise:
            compared = ["classifier"]  # what is inside has another meaning by now
        for blob in compared:
            assert golden_error(array_of(values[blob].cpu()), golden[blob]) <= TOLERANCE, blob


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels last"])
def test_sknet50_trains_as_on_the_cpu(last: bool) -> None:
    form = torch.channels_last if last else torch.contiguous_format
    image = torch.randn(2, 3, 224, 224, dtype=torch.float64)
    passes = []
    for device in (torch.device("cpu"), DEVICE):
        torch.manual_seed(SEED)
        model = sknet50(num_classes=10).double().to(device, memory_format=form)
        scores = model(image.to(device, memory_format=form))
        scores.square().sum().backward()
        passes.append([scores.detach(), *(p.grad for p in model.parameters())])
    for index, (want, got) in enumerate(zip(*passes, strict=True)):
        assert_close(got.cpu(), want, f"gradient {index} of the parameters", 1e-8)


def test_the_kernels_compiled() -> None:
    """They pass the tests of the interpreter on the GPU."""
    paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    options = (
        "-m pytest -q -p no:cacheprovider -p no:xdist -o addopts= tests/support/interpreted.py"
    )
    done = subprocess.run(
        [sys.executable, *options.split(), "tests/support/interpreted.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, "TRITON_INTERPRET": "0", "KERNELS_ON": "cuda"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


class Unit(nn.Module):
    """Axpy and the selection among other operators."""

    def forward(self, a: Tensor, scores: Tensor, x: Tensor, y: Tensor) -> Tensor:
        selected = Selection(2)(scores, x.relu(), y)
        return caffe_layers.Axpy()(a.sigmoid(), selected, y).relu()


def unit_arguments() -> tuple[Tensor, ...]:
    shapes = ((4, 32), (4, 2, 32), (4, 32, 14, 14), (4, 32, 14, 14))
    return tuple(torch.randn(shape).to(DEVICE).requires_grad_() for shape in shapes)


def test_compiled_networks_are_as_eager_ones() -> None:
    arguments = unit_arguments()
    want = Unit()(*arguments)
    assert "caffeport" in str(want.grad_fn.next_functions)
    got = torch.compile(Unit(), fullgraph=True)(*arguments)
    torch.testing.assert_close(got, want)
    gradients = (torch.autograd.grad(top.square().sum(), arguments) for top in (got, want))
    for mine, target in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, target, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_mixed_precision_keeps_parameters_and_statistics_in_float32(dtype: torch.dtype) -> None:
    model = SKNet(layers=(1, 1), width=32, num_classes=5).to(DEVICE)
    image = torch.randn(2, 3, 64, 64, device=DEVICE)
    want = model(image)
    tops = []
    for module in model.modules():
        if hasattr(module, "select"):
            module.register_forward_hook(lambda *call: tops.append(call[-1].dtype))
    with torch.autocast("cuda", dtype):
        scores = model(image)
    scores.float().square().sum().backward()
    assert set(tops) == {dtype}
    kept = [*model.parameters(), *(p.grad for p in model.parameters())]
    kept += [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    assert {value.dtype for value in kept} == {torch.float32}
    room = 0.1 * want.abs().max()
    assert (scores.float() - want).abs().max() <= room


def test_a_caffe_network_in_mixed_precision_keeps_statistics_in_float32() -> None:
    layer = caffe_layers.CuDNNBatchNorm(16).to(DEVICE).train()
    x = torch.randn(4, 16, 8, 8, device=DEVICE, requires_grad=True)
    with torch.autocast("cuda", torch.float16):
        layer(x.half()).float().sum().backward()
    kept = [*layer.parameters(), *layer.buffers(), *(p.grad for p in layer.parameters())]
    assert {value.dtype for value in kept if value is not None} == {torch.float32}


def test_more_than_two_to_the_31_values() -> None:
    shape = (3, 2, 2**14, 2**15 - 1)
    if torch.cuda.mem_get_info()[0] < 60 * 2**30:
        pytest.skip("wants 60 GiB of the GPU's memory to be free")
    a = torch.randn(3, 2, dtype=torch.float16, device=DEVICE)
    x = torch.randn(shape, dtype=torch.float16, device=DEVICE)
    y = x.flip(1)
    top = axpy.operator(a, x, y)
    for n in range(3):
        want = axpy.plain(a[n:].float()[:1], x[n : n + 1, :, -8:], y[n : n + 1, :, -8:])
        torch.testing.assert_close(
            top[n : n + 1, :, -8:].float(), want.float(), rtol=1e-3, atol=2e-3
        )
    a_diff, x_diff = axpy.backward_operator(y, a, x, True, True)
    want = torch.stack([(x[n].float() * y[n].float()).sum((1, 2)) for n in range(3)])
    torch.testing.assert_close(a_diff.float(), want, rtol=2e-3, atol=float(want.abs().max()) * 2e-3)
    want = a[2, 1].float() * y[2, 1, -8:].float()
    torch.testing.assert_close(x_diff[2, 1, -8:].float(), want, rtol=1e-3, atol=1e-3)
    del top, x_diff
    scores = torch.stack([a, -a], 1)
    selected = selection.operator(scores, [x, y])
    want = selection.plain(scores[2:].float(), [x[2:, :, -8:].float(), y[2:, :, -8:].float()])
    torch.testing.assert_close(selected[2:, :, -8:].float(), want, rtol=1e-3, atol=2e-3)


def test_a_second_gpu() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU")
    arguments = [argument.detach().to("cuda:1") for argument in unit_arguments()]
    top = Unit()(*arguments)
    assert top.device == torch.device("cuda:1")
    torch.testing.assert_close(top.cpu(), Unit()(*(argument.cpu() for argument in arguments)))


def test_the_recorded_cases_are_many() -> None:
    assert len(RUN) > 100
    assert recorded.index("layers", "index.json") is CASES

"""What the recorded cases do not show of the layers that act value by value, and of Softmax."""

from __future__ import annotations

from math import exp
from pathlib import Path

import onnxruntime
import pytest
import torch

import caffe_layers
import converter
from caffe_layers import Layer
from prototxt import CaffeError
from tests.support.recorded import assert_close

SIZES = (2, 3, 4, 6)
LARGER = (3, 3, 36, 38)

MODULES = {
    "absval": lambda: caffe_layers.AbsVal(),
    "bnll": lambda: caffe_layers.BNLL(),
    "clip": lambda: caffe_layers.Clip(min=-0.5, max=0.75),
    "elu": lambda: caffe_layers.ELU(alpha=0.3),
    "elu negative": lambda: caffe_layers.ELU(alpha=-0.3),
    "exp": lambda: caffe_layers.Exp(base=2, scale=0.7, shift=-0.3),
    "log": lambda: caffe_layers.Log(base=10, scale=0.7, shift=5),
    "power": lambda: caffe_layers.Power(power=2.5, scale=0.7, shift=5),
    "power constant": lambda: caffe_layers.Power(power=3, scale=0, shift=2),
    "prelu": lambda: caffe_layers.PReLU(3),
    "prelu shared": lambda: caffe_layers.PReLU(3, channel_shared=True),
    "relu": lambda: caffe_layers.ReLU(),
    "relu slope": lambda: caffe_layers.ReLU(negative_slope=-0.2),
    "sigmoid": lambda: caffe_layers.Sigmoid(),
    "softmax": lambda: caffe_layers.Softmax(),
    "softmax last": lambda: caffe_layers.Softmax(axis=-1),
    "swish": lambda: caffe_layers.Swish(beta=1.5),
    "tanh": lambda: caffe_layers.TanH(),
    "threshold": lambda: caffe_layers.Threshold(threshold=0.1),
}


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1701), dtype=torch.float64)


def load(folder: Path, layer: str, shape: tuple[int, ...] = SIZES) -> converter.CaffeNet:
    """Load a float64 network of one layer L, from x to y, that is given its rest."""
    path = folder / "net.prototxt"
    dims = " ".join(f"dim: {size}" for size in shape)
    path.write_text(
        f'layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}\n'
        f'layer {{ name: "L" bottom: "x" {layer} }}'
    )
    return converter.load(path, dtype=torch.float64)


@pytest.mark.parametrize("name", MODULES)
def test_the_gradient_is_the_derivative(name: str) -> None:
    module = MODULES[name]().double()
    x = draw(2, 3, 4).requires_grad_(True)
    if module(x).requires_grad:
        assert torch.autograd.gradcheck(lambda x, *_: module(x), (x, *module.parameters()))
    else:
        assert name in ("power constant", "threshold")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", MODULES)
def test_every_float_type_and_any_strides(name: str, dtype: torch.dtype) -> None:
    module, x = MODULES[name](), draw(4, 3, 2).transpose(0, 2)
    want = module.double()(x)
    got = module.to(dtype)(x.to(dtype))
    assert got.dtype == dtype
    if name != "threshold":
        assert_close(got.double().detach(), want.detach(), name, 16 * torch.finfo(dtype).eps)


FREE = {
    "clip": 'type: "Clip" top: "y" clip_param { min: -0.5 max: 0.5 }',
    "power": 'type: "Power" top: "y" power_param { power: 2 scale: 0.5 shift: 3 }',
    "power constant": 'type: "Power" top: "y" power_param { power: 0 shift: 3 }',
    "prelu": 'type: "PReLU" top: "y"',
    "softmax": 'type: "Softmax" top: "y"',
    "softmax last": 'type: "Softmax" top: "y" softmax_param { axis: 3 }',
    "threshold": 'type: "Threshold" top: "y"',
}


@pytest.mark.parametrize("name", FREE)
def test_every_size_is_free_in_onnx(name: str, tmp_path: Path) -> None:
    net = load(tmp_path, FREE[name]).float()
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, dynamic=("batch", "height", "width"))
    converter.check_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in (SIZES, LARGER):
        x = draw(*shape).float()
        (got,) = session.run(None, {"x": x.numpy()})
        assert_close(got, net(x)["y"].detach(), f"y of {shape}", 1e-5)


SIGMOID = 1 / (1 + exp(-1))
IN_PLACE = {
    "relu": ('type: "ReLU" relu_param { negative_slope: -0.25 }', 1.0, -0.25),
    "elu": ('type: "ELU" elu_param { alpha: -0.25 }', 1.0, -0.25 * exp(-1)),
    "power": ('type: "Power" power_param { power: 2 scale: 3 shift: 1 }', 24.0, -12.0),
    "bnll": ('type: "BNLL"', SIGMOID, 1 - SIGMOID),
}
"""A layer and its derivatives at 1 and -1, which Caffe takes of the overwritten values."""


@pytest.mark.parametrize("name", IN_PLACE)
def test_the_gradient_is_right_in_place(name: str, tmp_path: Path) -> None:
    text, *wants = IN_PLACE[name]
    net = load(tmp_path, f'{text} top: "x"', (2,))
    x = torch.tensor([1.0, -1.0], dtype=torch.float64, requires_grad=True)
    net.values({"x": x})["x/by/L"].sum().backward()
    assert_close(x.grad, wants, "diff")


def test_clip_in_place_passes_every_gradient_as_caffe(tmp_path: Path) -> None:
    text = 'type: "Clip" top: "x" clip_param { min: -0.5 max: 0.5 }'
    x = torch.tensor([-1.0, 0, 1], dtype=torch.float64, requires_grad=True)
    top = load(tmp_path, text, (3,)).values({"x": x})["x/by/L"]
    top.sum().backward()
    assert top.tolist() == [-0.5, 0, 0.5]
    assert x.grad.tolist() == [1, 1, 1]


def test_clip_with_crossed_bounds_has_no_gradient() -> None:
    x = torch.tensor([-1.0, 0.5, 1], requires_grad=True)
    for in_place in (False, True):
        top = caffe_layers.Clip(min=0.5, max=-0.5, in_place=in_place)(x)
        assert top.tolist() == [0.5] * 3
        assert not top.requires_grad


def test_gradients_where_caffe_divides_by_zero() -> None:
    """Caffe takes a power's derivative of the quotient of top and bottom: NaN at 0."""
    for power, want in ((3.0, 0.0), (1.0, 1.0), (2.0, 0.0)):
        x = torch.zeros(1, requires_grad=True)
        caffe_layers.Power(power=power)(x).backward()
        assert x.grad.item() == want


def test_a_power_that_is_constant_does_not_look_at_x() -> None:
    x = torch.tensor([float("nan"), float("inf"), 0])
    assert caffe_layers.Power(power=0)(x).tolist() == [1, 1, 1]
    assert caffe_layers.Power(power=2, scale=0, shift=-3)(x).tolist() == [9, 9, 9]
    assert caffe_layers.Power(power=0.5, scale=0, shift=-3)(x).isnan().all()


def test_bnll_is_exact_for_large_values_and_overflows_nowhere() -> None:
    top = caffe_layers.BNLL()(torch.tensor([25.0, -25.0, 1000.0], dtype=torch.float64))
    assert (top - torch.tensor([25.0, 0, 1000])).tolist() == pytest.approx(
        [exp(-25), exp(-25), 0], rel=1e-3
    )


FLOATS = [
    (caffe_layers.Clip, ("min", "max")),
    (caffe_layers.ContrastiveLoss, ("margin",)),
    (caffe_layers.Dropout, ("dropout_ratio",)),
    (caffe_layers.ELU, ("alpha",)),
    (caffe_layers.Exp, ("base", "scale", "shift")),
    (caffe_layers.Log, ("base", "scale", "shift")),
    (caffe_layers.Power, ("power", "scale", "shift")),
    (caffe_layers.ReLU, ("negative_slope",)),
    (caffe_layers.Swish, ("beta",)),
    (caffe_layers.Threshold, ("threshold",)),
]


@pytest.mark.parametrize(("build", "names"), FLOATS)
def test_arguments_are_rounded_as_the_fields_of_a_message(
    build: type[Layer], names: tuple[str, ...]
) -> None:
    module = build(**dict.fromkeys(names, 0.1))
    assert {getattr(module, name) for name in names} == {0.10000000149011612}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: caffe_layers.Exp(base=0), "base 0.0 wants to be positive, or -1 for e"),
        (lambda: caffe_layers.Log(base=-2), "base -2.0 wants to be positive, or -1 for e"),
        (lambda: caffe_layers.Log(base=1), "base 1.0 has no logarithms, wants another than 1"),
    ],
)
def test_bases_without_a_logarithm(build: type[Layer], message: str) -> None:
    with pytest.raises(CaffeError) as caught:
        build()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        ('type: "PReLU" top: "y"', (2,), "bottom (2,) has no channel axis, wants N x C x ..."),
        ('type: "PReLU" top: "y"', (1,) * 33, "top has 33 axes, wants 32 at most"),
        ('type: "AbsVal" top: "x"', (2,), "top and bottom are both 'x': it wants a top of its own"),
        ('type: "Softmax" top: "y"', (2,), "axis 1 is none of the 1 axes of the bottom"),
        ('type: "ReLU" top: "y"', (1,) * 33, "top has 33 axes, wants 32 at most"),
        ('type: "ReLU" top: "y"', (2, 0), "bottom (2, 0) is empty, wants sizes of 1 or more"),
    ],
)
def test_what_is_refused(layer: str, shape: tuple[int, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError) as caught:
        load(tmp_path, layer, shape)
    assert str(caught.value).split("): ")[1] == message


def test_prelu_keeps_its_channels() -> None:
    with pytest.raises(CaffeError, match=r"bottom \(2, 4\) has 4 channels, wants 3"):
        caffe_layers.PReLU(3).shapes((2, 4))


@pytest.mark.parametrize("name", MODULES)
def test_export_traces_it(name: str) -> None:
    module = MODULES[name]()
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        module, (draw(2, 3, 4).float(),), dynamic_shapes=({0: batch},), strict=False
    )
    x = draw(5, 3, 4).float()
    assert torch.equal(program.module()(x), module(x))

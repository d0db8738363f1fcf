"""LSTM, RNN and LSTMUnit, beyond the recorded cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

import caffe_layers
import converter
from caffe_layers import Filler, Layer
from prototxt import ShapeError
from tests.support.recorded import assert_close

T, N, D, H = 4, 3, 5, 2
KINDS = ["LSTM", "RNN"]
STATES = {"LSTM": 2, "RNN": 1}


def build(kind: str, **options: Any) -> Any:
    torch.manual_seed(1701)
    filler = Filler("uniform", min=-1, max=1)
    cls = getattr(caffe_layers, kind)
    return cls(D, H, weight_filler=filler, bias_filler=filler, **options).double()


def sequence(steps: int = T, streams: int = N) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1701)
    x = torch.randn(steps, streams, D, generator=generator, dtype=torch.float64)
    return x, torch.ones(steps, streams, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_goes_on_until_it_is_reset(kind: str) -> None:
    layer = build(kind)
    x, cont = sequence()
    whole = layer(x, cont)
    assert torch.equal(build(kind)(x, cont), whole)
    assert not torch.allclose(layer(x, cont), whole)
    layer.reset_state()
    parts = torch.cat([layer(x[:1], cont[:1]), layer(x[1:], cont[1:])])
    assert torch.allclose(parts, whole, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cont_of_0_forgets_the_state(kind: str) -> None:
    layer = build(kind)
    x, cont = sequence()
    first = layer(x, cont)
    cont[0] = 0
    assert torch.equal(layer(x, cont), first)


@pytest.mark.parametrize("kind", KINDS)
def test_another_number_of_sequences_starts_at_0(kind: str) -> None:
    layer = build(kind)
    layer(*sequence(streams=7))
    assert torch.equal(layer(*sequence()), build(kind)(*sequence()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_is_no_weight_and_has_no_gradient(kind: str) -> None:
    layer = build(kind)
    names = set(layer.state_dict())
    for _ in range(2):
        layer(*sequence()).sum().backward()
    assert set(layer.state_dict()) == names == set(layer.blob_names)
    assert not layer.h.requires_grad
    assert layer.float().h.dtype == torch.float32


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def loops(
    kind: str, blobs: list[np.ndarray], x: np.ndarray, cont: np.ndarray, static: np.ndarray
) -> np.ndarray:
    """Return the top as Caffe's steps compute it from state 0, one sequence and step at a time."""
    w_x, b, w_static, w_h, *output = blobs
    top = np.empty((T, N, H))
    for n in range(N):
        h, c = np.zeros(H), np.zeros(H)
        for t in range(T):
            sums = w_x @ x[t, n] + b + w_static @ static[n] + w_h @ (cont[t, n] * h)
            if kind == "RNN":
                h = np.tanh(sums)
                top[t, n] = np.tanh(output[0] @ h + output[1])
                continue
            gates = sums.reshape(4, H)
            i, f, o = (sigmoid(gates[gate]) for gate in range(3))
            c = cont[t, n] * f * c + i * (2 * sigmoid(2 * gates[3]) - 1)
            top[t, n] = h = o * np.tanh(c)
    return top


@pytest.mark.parametrize("kind", KINDS)
def test_a_cont_between_0_and_1_weighs_the_state_as_in_caffe(kind: str) -> None:
    layer = build(kind, static_inputs=3)
    x, _ = sequence()
    cont, static = torch.rand(T, N).double(), torch.randn(N, 3).double()
    blobs = [blob.detach().numpy() for blob in layer.blobs]
    want = loops(kind, blobs, x.numpy(), cont.numpy(), static.numpy())
    assert_close(layer(x, cont, static).detach(), want, "top")


@pytest.mark.parametrize("kind", KINDS)
def test_exposed_states_are_those_kept_inside(kind: str) -> None:
    inside, exposed = build(kind), build(kind, expose_hidden=True)
    x, cont = sequence()
    state = [torch.zeros(1, N, H, dtype=torch.float64)] * STATES[kind]
    for _ in range(2):
        top, *state = exposed(x, cont, *state)
        assert torch.equal(inside(x, cont), top)
    assert [tuple(part.shape) for part in state] == [(1, N, H)] * STATES[kind]
    assert exposed.h is None


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_of_everything_but_cont(kind: str) -> None:
    layer = build(kind, static_inputs=3, expose_hidden=True)
    x, cont = sequence(2, 2)
    cont[1, 0] = 0
    more = [torch.randn(2, 3).double(), *[torch.randn(1, 2, H).double()] * STATES[kind]]
    bottoms = [value.clone().requires_grad_() for value in (x, *more)]
    assert torch.autograd.gradcheck(lambda x, *more: layer(x, cont, *more), bottoms)
    cont.requires_grad_()
    layer(*[bottoms[0], cont, *bottoms[1:]])[0].sum().backward()
    assert cont.grad is None


def test_gradient_of_a_unit_whose_cont_is_between_0_and_1() -> None:
    layer = caffe_layers.LSTMUnit()
    c, gates = torch.randn(1, N, H).double(), torch.randn(1, N, 4 * H).double()
    cont = torch.tensor([[0.0, 0.3, 1.0]]).double()
    bottoms = [c.requires_grad_(), gates.requires_grad_()]
    assert torch.autograd.gradcheck(lambda c, gates: layer(c, gates, cont), bottoms)


@pytest.mark.parametrize("kind", KINDS)
def test_cont_may_be_integers(kind: str) -> None:
    x, cont = sequence()
    cont[2, 1] = 0
    assert torch.equal(build(kind)(x, cont.long()), build(kind)(x, cont))


def test_an_lstm_of_torch_with_its_gates_moved() -> None:
    layer = build("LSTM")
    theirs = torch.nn.LSTM(D, H).double()
    order = torch.tensor([0, 1, 3, 2])  # torch's are input, forget, candidate, output
    with torch.no_grad():
        for name, blob in (("weight_ih_l0", layer.W_xc), ("weight_hh_l0", layer.W_hc)):
            moved = blob.unflatten(0, (4, H))[order].flatten(0, 1)
            getattr(theirs, name).copy_(moved)
        theirs.bias_ih_l0.copy_(layer.b_c.unflatten(0, (4, H))[order].flatten())
        theirs.bias_hh_l0.zero_()
    x, cont = sequence()
    assert torch.allclose(layer(x, cont), theirs(x)[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("bottoms", "says"),
    [
        ([(T,), (T,)], "wants T x N x ..."),
        ([(T, N), (T, N)], r"x \(4, 3\) has 2 axes, wants T x N x ..."),
        ([(T, N, 6), (T, N), (N, 3), (1, N, H), (1, N, H)], "has 6 values a step, wants 5"),
        ([(T, N, D), (T,), (N, 3), (1, N, H), (1, N, H)], r"cont is \(4,\)"),
        ([(T, N, D), (T, N), (N, 4), (1, N, H), (1, N, H)], r"static x is \(3, 4\)"),
        ([(T, N, D), (T, N), (N, 3), (1, N, 3), (1, N, H)], r"h is \(1, 3, 3\)"),
        ([(T, N, D), (T, N), (N, 3), (1, N, H), (N, H)], r"c is \(3, 2\)"),
    ],
)
def test_bottoms_that_do_not_fit(bottoms: list[tuple[int, ...]], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        build("LSTM", static_inputs=3, expose_hidden=True).shapes(*bottoms)


def test_a_static_bottom_has_an_axis_for_its_values() -> None:
    layer = caffe_layers.LAYERS["LSTM"]["bvlc"](D, H, static_inputs=1)
    assert layer.shapes((T, N, D), (T, N), (N, 1)) == [(T, N, H)]
    with pytest.raises(ShapeError, match=r"static x is \(3,\), wants N x"):
        layer.shapes((T, N, D), (T, N), (N,))


def test_multiply_adds() -> None:
    sums = T * N * 4 * H * (D + H) + N * 4 * H * 3
    x, cont, static = (T, N, D), (T, N), (N, 3)
    layer = build("LSTM", static_inputs=3)
    assert layer.multiply_adds([x, cont, static], layer.shapes(x, cont, static)) == sums
    layer = build("RNN")
    assert layer.multiply_adds([x, cont], layer.shapes(x, cont)) == T * N * H * (D + H + H)


FREE = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 5 } } }
layer { name: "cont" type: "Input" top: "cont" input_param { shape { dim: 2 } } }
layer { name: "rx" type: "Reshape" bottom: "x" top: "rx"
  reshape_param { shape { dim: 1 dim: -1 dim: 5 } } }
layer { name: "rc" type: "Reshape" bottom: "cont" top: "rc"
  reshape_param { shape { dim: 1 dim: -1 } } }
layer { name: "L" type: "%s" bottom: "rx" bottom: "rc" top: "y" recurrent_param { num_output: 2
  weight_filler { type: "uniform" min: -1 max: 1 } bias_filler { value: 0.3 } } }
"""


@pytest.fixture(params=KINDS)
def free(request: pytest.FixtureRequest, tmp_path: Path) -> converter.CaffeNet:
    """Return a network of one step whose number of sequences is the batch."""
    torch.manual_seed(1701)
    (tmp_path / "net.prototxt").write_text(FREE % request.param)
    return converter.load(tmp_path / "net.prototxt")


def test_the_number_of_sequences_is_free_in_onnx(free: converter.CaffeNet, tmp_path: Path) -> None:
    converter.export_onnx(free, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(
        tmp_path / "net.onnx", providers=["CPUExecutionProvider"]
    )
    x, cont = torch.randn(7, 5), torch.ones(7)
    (got,) = session.run(["y"], {"x": x.numpy(), "cont": cont.numpy()})
    want = free({"x": x, "cont": cont})["y"].detach().numpy()
    assert got.shape == (1, 7, 2)
    assert np.allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_traced_network_starts_at_0_whatever_came_before(free: converter.CaffeNet) -> None:
    inputs = {"x": torch.randn(2, 5), "cont": torch.ones(2)}
    first, second = free(inputs)["y"], free(inputs)["y"]
    free.reset_state()
    free(inputs)
    program = torch.export.export(free, (inputs,))
    assert torch.equal(free(inputs)["y"], second), "tracing has left a state behind"
    for _ in range(2):
        assert torch.allclose(program.module()(inputs)["y"], first, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_layer_keeps_no_state(kind: str) -> None:
    layer = build(kind)
    compiled = torch.compile(layer, backend="eager")
    first = compiled(*sequence())
    assert torch.allclose(compiled(*sequence()), first, rtol=1e-12)
    assert layer.h is None


def test_verification_starts_at_0(free: converter.CaffeNet) -> None:
    inputs = {"x": torch.randn(2, 5), "cont": torch.ones(2)}
    free(inputs)
    assert converter.verify(free, inputs=inputs).passed


def test_a_network_forgets_the_states_of_its_layers(free: converter.CaffeNet) -> None:
    inputs = {"x": torch.randn(2, 5), "cont": torch.ones(2)}
    first = free(inputs)["y"]
    assert not torch.equal(free(inputs)["y"], first)
    free.reset_state()
    assert torch.equal(free(inputs)["y"], first)


def test_the_blobs_are_in_caffes_order() -> None:
    layer: Layer = build("LSTM")
    assert layer.blob_names == ("W_xc", "b_c", "W_hc")
    layer = build("RNN", static_inputs=3)
    assert layer.blob_names == ("W_xh", "b_h", "W_xh_static", "W_hh", "W_ho", "b_o")

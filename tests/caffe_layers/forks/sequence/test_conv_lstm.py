"""ConvLSTM against its loops over steps, sequences, maps and places."""

from __future__ import annotations

from math import exp, tanh
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)
Arrays = dict[str, np.ndarray]
KERNEL = "num_output: 2 kernel_size: 3 pad: 1"
EXPOSED = "recurrent_param { expose_hidden: true } "


def layer(
    param: str = f"lstm_conv_param {{ {KERNEL} }}", bottoms: str = "x cont", tops: str = "y"
) -> str:
    ends = "".join(f' bottom: "{name}"' for name in bottoms.split())
    ends += "".join(f' top: "{name}"' for name in tops.split())
    return f'layer {{ name: "L" type: "ConvLSTM"{ends} {param} }}'


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def convolved(x: np.ndarray, weight: np.ndarray, pad: int = 1, dilation: int = 1) -> np.ndarray:
    """Convolve C x H x W into as large maps."""
    top = np.zeros((len(weight), *x.shape[1:]))
    for o, c, i, j in np.ndindex(weight.shape):
        for h, w in np.ndindex(x.shape[1:]):
            row, column = h - pad + i * dilation, w - pad + j * dilation
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                top[o, h, w] += weight[o, c, i, j] * x[c, row, column]
    return top


def unrolled(
    x: np.ndarray,
    cont: np.ndarray,
    blobs: Arrays,
    h: np.ndarray,
    c: np.ndarray,
    dilation: tuple[int, int] = (1, 1),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return every h, the last h and the last c; h and c are N x O x H x W."""
    h, c, size = h.copy(), c.copy(), h.shape[1]
    tops = []
    for t, n in np.ndindex(cont.shape):
        gates = convolved(cont[t, n] * h[n], blobs["W_h"], dilation[1], dilation[1])
        gates += blobs.get("b", np.zeros(len(gates)))[:, None, None]
        if "W_x" in blobs:
            gates += convolved(x[t, n], blobs["W_x"], dilation[0], dilation[0])
        if "W_static" in blobs:
            gates += convolved(blobs["static"], blobs["W_static"])
        before, after = c[n].copy(), np.zeros_like(h[n])
        for at in np.ndindex(before.shape):
            d, *place = at
            i, f, o, g = (gates[(k * size + d, *place)] for k in range(4))
            if "v" in blobs:
                v = [np.broadcast_to(weight, before.shape)[at] for weight in blobs["v"]]
                i, f, o = (gate + before[at] * own for gate, own in zip((i, f, o), v, strict=True))
            c[n][at] = cont[t, n] * sigmoid(f) * before[at] + sigmoid(i) * tanh(g)
            after[at] = sigmoid(o) * tanh(c[n][at])
        h[n] = after
        tops.append(after)
    return np.array(tops).reshape(*cont.shape, *h.shape[1:]), h, c


NONE = np.array([7.0])
"""What the numbers that say nothing hold."""


def drawn(channels: int, *v: int, bias: bool = True, static: int = 0) -> tuple[Arrays, list]:
    """Return blobs by name, and as the layer has them, for 2 maps and a kernel of 3 x 3."""
    blobs = {"W_x": RNG.normal(size=(8, channels, 3, 3)) * 0.5} if channels else {}
    if static:
        blobs["W_static"] = RNG.normal(size=(8, static, 3, 3)) * 0.5
    stored = [*blobs.values(), NONE, NONE]
    blobs["W_h"] = RNG.normal(size=(8, 2, 3, 3)) * 0.5
    stored.append(blobs["W_h"])
    if bias:
        blobs["b"] = RNG.normal(size=8)
        stored.append(blobs["b"])
    if v:
        blobs["v"] = RNG.normal(size=(3, *v))
        stored += [*blobs["v"]]
    return blobs, [*stored, NONE, NONE]


def zeros(streams: int) -> np.ndarray:
    return np.zeros((streams, 2, 3, 4))


CONT = np.array([[0.0, 0], [1, 0], [1, 1]])


def test_sequences(tmp_path: Path) -> None:
    x, (blobs, stored) = RNG.normal(size=(3, 2, 3, 3, 4)), drawn(3, 3, 4)
    want, *_ = unrolled(x, CONT, blobs, zeros(2), zeros(2))
    inputs = {"x": x, "cont": CONT}
    check(layer(), inputs, {"y": want}, tmp_path, blobs={"L": stored}, dynamic=())


def test_as_many_steps_as_there_are(tmp_path: Path) -> None:
    x, (blobs, stored) = RNG.normal(size=(2, 1, 3, 3, 4)), drawn(3, 3, 4)
    net = load(layer(), {"x": x, "cont": np.zeros((2, 1))}, tmp_path, blobs={"L": stored},
               dtype=torch.float32)  # fmt: skip
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, dynamic=("batch",))
    more = RNG.normal(size=(5, 1, 3, 3, 4))
    cont = np.array([[0.0], [1], [0], [1], [1]])
    want, *_ = unrolled(more, cont, blobs, zeros(1), zeros(1))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {"x": more.astype(np.float32), "cont": cont.astype(np.float32)}
    np.testing.assert_allclose(session.run(None, feeds)[0], want, rtol=1e-4, atol=1e-5)


def test_many_steps_are_a_scan(tmp_path: Path) -> None:
    x, (blobs, stored) = RNG.normal(size=(40, 1, 1, 3, 4)), drawn(1, 3, 4)
    cont = np.ones((40, 1))
    want, *_ = unrolled(x, cont, blobs, zeros(1), zeros(1))
    check(layer(), {"x": x, "cont": cont}, {"y": want}, tmp_path, blobs={"L": stored}, dynamic=())


def test_the_state_comes_and_goes(tmp_path: Path) -> None:
    x, (blobs, stored) = RNG.normal(size=(3, 2, 3, 3, 4)), drawn(3, 3, 4)
    cont = CONT.copy()
    cont[0] = [1, 0.5]
    h, c = RNG.normal(size=(2, 1, 2, 2, 3, 4))
    want, last_h, last_c = unrolled(x, cont, blobs, h[0], c[0])
    text = layer(f"{EXPOSED} lstm_conv_param {{ {KERNEL} }}", "x cont h c", "y hT cT")
    inputs = {"x": x, "cont": cont, "h": h, "c": c}
    wants = {"y": want, "hT": last_h[None], "cT": last_c[None]}
    check(text, inputs, wants, tmp_path, blobs={"L": stored}, dynamic=())
    for top in wants:
        check_gradients(text, {name: array[:2, :1] for name, array in inputs.items()}, tmp_path,
                        top=top, wrt=("x", "h", "c"), blobs={"L": stored})  # fmt: skip


def test_the_state_goes_on_to_the_next_pass(tmp_path: Path) -> None:
    """A forgotten c still counts where it multiplies the weights v."""
    x, (blobs, stored) = RNG.normal(size=(4, 1, 3, 3, 4)), drawn(3, 3, 4)
    cont = np.array([[0.0], [1], [0], [1]])
    want, *_ = unrolled(x, cont, blobs, zeros(1), zeros(1))
    first = {"x": x[:2], "cont": cont[:2]}
    net = load(layer(), first, tmp_path, blobs={"L": stored})
    halves = [
        net.blobs({"x": torch.from_numpy(x[at]), "cont": torch.from_numpy(cont[at])})["y"]
        for at in (slice(2), slice(2, 4), slice(2))
    ]
    got = [half.detach().numpy() for half in halves]
    np.testing.assert_allclose(np.concatenate(got[:2]), want, rtol=1e-10)
    assert abs(got[2] - got[0]).max() > 1e-3
    net.reset_state()
    again = net.blobs({name: torch.from_numpy(array) for name, array in first.items()})["y"]
    np.testing.assert_allclose(again.detach().numpy(), want[:2], rtol=1e-10)


@pytest.mark.parametrize(
    ("axis", "axes", "v"), [(2, 3, (2, 3, 4)), (3, 1, (3, 1)), (4, 1, (4,)), (2, 1, (2, 1, 1))]
)
def test_axes_of_the_weights_of_c(axis: int, axes: int, v: tuple[int, ...], tmp_path: Path) -> None:
    x, (blobs, stored) = RNG.normal(size=(3, 2, 1, 3, 4)), drawn(1, *v)
    want, *_ = unrolled(x, CONT, blobs, zeros(2), zeros(2))
    text = layer(f"lstm_debug_param {{ axis_hadamard: {axis} num_axes_hadamard: {axes} }} "
                 f"lstm_conv_param {{ {KERNEL} }}")  # fmt: skip
    net = load(text, {"x": x, "cont": CONT}, tmp_path)
    assert [tuple(blob.shape) for blob in net.params["L"]][5:8] == [(3, 4)[:0] + tuple(
        (1, 2, 2, 3, 4)[axis : axis + axes])] * 3  # fmt: skip
    check(text, {"x": x, "cont": CONT}, {"y": want}, tmp_path, blobs={"L": stored}, dynamic=())


def test_without_x_and_without_weights_of_c(tmp_path: Path) -> None:
    """A decoder, whose x only says how many steps there are."""
    x, (blobs, stored) = RNG.normal(size=(3, 2, 5, 3, 4)), drawn(0, bias=False)
    h, c = RNG.normal(size=(2, 1, 2, 2, 3, 4))
    cont = np.ones((3, 2))
    want, *_ = unrolled(x, cont, blobs, h[0], c[0])
    text = layer(EXPOSED + "lstm_debug_param { ignore_x: true disable_hadamard: true } "
                 f"lstm_conv_param {{ {KERNEL} bias_term: false }}",
                 "x cont h c", "y hT cT")  # fmt: skip
    inputs = {"x": x, "cont": cont, "h": h, "c": c}
    check(text, inputs, {"y": want}, tmp_path, blobs={"L": stored}, dynamic=())


@pytest.mark.parametrize("order", ["input hidden", "hidden input"])
def test_a_convolution_each(order: str, tmp_path: Path) -> None:
    x, (blobs, stored) = RNG.normal(size=(3, 2, 3, 3, 4)), drawn(3, 3, 4)
    want, *_ = unrolled(x, CONT, blobs, zeros(2), zeros(2), dilation=(2, 1))
    said = {
        "input": "num_output: 2 kernel_size: 3 pad: 2 dilation: 2",
        "hidden": KERNEL,
    }
    params = (f'lstm_conv_param {{ type: "{kind}" {said[kind]} }}' for kind in order.split())
    text = layer(" ".join(params))
    check(text, {"x": x, "cont": CONT}, {"y": want}, tmp_path, blobs={"L": stored}, dynamic=())


def test_a_bottom_that_every_step_sees(tmp_path: Path) -> None:
    x, (blobs, stored) = RNG.normal(size=(3, 1, 3, 3, 4)), drawn(3, static=2)
    static = RNG.normal(size=(1, 1, 2, 3, 4))
    cont = CONT[:, :1]
    want, *_ = unrolled(x, cont, blobs | {"static": static[0, 0]}, zeros(1), zeros(1))
    inputs = {"x": x, "cont": cont, "s": static}
    text = layer(f"lstm_debug_param {{ disable_hadamard: true }} lstm_conv_param {{ {KERNEL} }}",
                 "x cont s")  # fmt: skip
    check(text, inputs, {"y": want}, tmp_path, blobs={"L": stored}, dynamic=())
    check_gradients(text, {**inputs, "x": x[:1], "cont": cont[:1]}, tmp_path, wrt=("x", "s"),
                    blobs={"L": stored})  # fmt: skip


def test_what_is_not_trained(tmp_path: Path) -> None:
    net = load(layer(), {"x": np.zeros((2, 1, 3, 3, 4)), "cont": np.zeros((2, 1))}, tmp_path)
    own = net.layers["L"]
    assert [own.lr_mult(blob) for blob in range(len(own.blobs))] == [1, 0, 0, 1, 1, 1, 1, 1, 0, 0]
    assert own.hadamard_input.detach().eq(1).all()


SHAPES = {"x": (2, 1, 3, 3, 4), "cont": (2, 1), "h": (1, 1, 2, 3, 4), "c": (1, 1, 2, 3, 4)}
REFUSED = {
    layer("lstm_conv_param { num_output: 2 kernel_size: 3 }"): "makes .1, 2. of maps .3, 4.",
    layer("lstm_conv_param { num_output: 2 kernel_h: 3 kernel_w: 3 }"): "kernel_h is set, which",
    layer("lstm_conv_param { num_output: 2 }"): "kernel_size .. wants",
    layer("lstm_conv_param { kernel_size: 1 }"): "num_output is 0",
    layer(f"lstm_conv_param {{ {KERNEL} group: 2 }}"): "3 channels cannot be split into group 2",
    layer(f'lstm_conv_param {{ {KERNEL} type: "hidden" }}'): "no lstm_conv_param is of x",
    layer(f'lstm_conv_param {{ {KERNEL} type: "input" }}'): "no lstm_conv_param is of the state",
    layer(f'lstm_conv_param {{ {KERNEL} type: "both" }}'): "type 'both' wants all, input, hidden",
    layer(f"lstm_conv_param {{ {KERNEL} }}" * 3): "3 lstm_conv_param",
    layer(f'lstm_conv_param {{ {KERNEL} type: "input" }} lstm_conv_param {{ num_output: 1 '
          'kernel_size: 1 type: "hidden" }'): r"num_output \(2, 1\)",
    layer(f'lstm_debug_param {{ expose: "c_t=1" }} lstm_conv_param {{ {KERNEL} }}'): "hand out",
    layer(f"lstm_debug_param {{ axis_hadamard: 1 }} lstm_conv_param {{ {KERNEL} }}"): "axes 2 to 4",
    layer(bottoms="x cont h c"): "4 bottoms without expose_hidden, wants 2 or 3",
    layer(f"{EXPOSED} lstm_conv_param {{ {KERNEL} }}", "x cont h c"): "1 tops with expose_hidden",
    layer(bottoms="x h"): "cont is",
    layer(bottoms="x cont h", param=f"lstm_debug_param {{ ignore_x: true }} lstm_conv_param {{ "
          f"{KERNEL} }}"): "ignore_x leaves no weights",
    layer(f"{EXPOSED} lstm_conv_param {{ {KERNEL} }}", "x cont h x", "y a b"): "c is .2, 1",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str, tmp_path: Path) -> None:
    inputs = {name: np.zeros(shape) for name, shape in SHAPES.items() if f'"{name}"' in text}
    with pytest.raises(CaffeError, match=REFUSED[text]):
        load(text, inputs, tmp_path)


def test_four_axes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="wants 5: T x N x C x H x W"):
        load(layer(), {"x": np.zeros((2, 1, 3, 3)), "cont": np.zeros((2, 1))}, tmp_path)

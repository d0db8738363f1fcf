"""happynear's layers against restatements of their formulas as loops."""

from __future__ import annotations

from math import acos, cos, exp, floor, log, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

import caffe_layers
from prototxt import CaffeError
from tests.support import restated
from tests.support.recorded import assert_close

RNG = np.random.default_rng(1701)
F = np.float32


def text(kind: str, message: str = "", *, bottoms: str = "x", tops: str = "y") -> str:
    names = [f'bottom: "{name}"' for name in bottoms] + [f'top: "{name}"' for name in tops]
    return f'layer {{ name: "L" type: "{kind}" {" ".join(names)} {message} }}'


def each(x: np.ndarray, function: object) -> np.ndarray:
    assert callable(function)
    return np.array([function(value) for value in x.flat]).reshape(x.shape)


# ---- Normalize ----------------------------------------------------------------------------------


def normalize(x: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    x = x.reshape((*x.shape, 1, 1)[:4])
    n, _, h, w = x.shape
    norm = np.zeros((n, 1, h, w))
    for i, _, y, u in np.ndindex(*norm.shape):
        values = x[i, :, y, u]
        if kind == "L2":
            norm[i, 0, y, u] = sqrt(sum(v * v for v in values) + 1e-6)
        else:
            norm[i, 0, y, u] = sum(abs(v) for v in values) + 1e-6
    return x / norm, norm


@pytest.mark.parametrize("kind", ["L2", "L1"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 1, 2, 2), (3, 4)])
def test_normalize(shape: tuple[int, ...], kind: str, tmp_path: Path) -> None:
    x = RNG.standard_normal(shape)
    x[0] = 0
    x[-1] *= 1e-3  # where the eps shows
    top, norm = normalize(x, kind)
    layer = text("Normalize", f'normalize_param {{ normalize_type: "{kind}" }}', tops="yz")
    restated.check(layer, {"x": x}, {"y": top, "z": norm}, tmp_path)
    older = text("Normalize", f'softmax_param {{ normalize_type: "{kind}" }}')
    restated.check(older, {"x": x}, {"y": top}, tmp_path)
    restated.check_gradients(layer, {"x": RNG.standard_normal(shape)}, tmp_path)


@pytest.mark.parametrize("kind", ["L2", "L1"])
def test_the_norm_hands_a_gradient_on_with_bp_norm(kind: str, tmp_path: Path) -> None:
    x = {"x": RNG.standard_normal((2, 3, 2, 2))}
    message = f'normalize_param {{ normalize_type: "{kind}" bp_norm: %s }}'
    restated.check_gradients(text("Normalize", message % "true", tops="yz"), x, tmp_path, top="z")
    net = restated.load(text("Normalize", message % "false", tops="yz"), x, tmp_path)
    assert not net.blobs({"x": torch.from_numpy(x["x"]).requires_grad_()})["z"].requires_grad


def test_another_normalize_type_is_refused(tmp_path: Path) -> None:
    layer = text("Normalize", 'normalize_param { normalize_type: "Softmax" }')
    with pytest.raises(CaffeError, match="'Softmax' is neither L1 nor L2"):
        restated.load(layer, {"x": np.zeros((1, 2))}, tmp_path)


def test_normalize_without_a_message_has_two_readings(tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3, 2, 2))
    with pytest.raises(CaffeError, match="name the fork with --dialect"):
        restated.load(text("Normalize"), {"x": x}, tmp_path)
    want, _ = normalize(x, "L2")
    restated.check(text("Normalize"), {"x": x}, {"y": want}, tmp_path, dialect="happynear")
    whole = np.stack([image / sqrt(sum(v * v for v in image.flat)) for image in x])
    restated.check(text("Normalize"), {"x": x}, {"y": whole}, tmp_path, dialect="tsn")


# ---- InnerProduct -------------------------------------------------------------------------------


def test_inner_product_normalizes_its_weight(tmp_path: Path) -> None:
    x, weight, bias = (RNG.standard_normal(shape) for shape in ((2, 3, 2, 2), (4, 12), (4,)))
    weight[1] *= 1e-3
    unit = weight.copy()
    for row in unit:
        row /= sqrt(sum(v * v for v in row) + 1e-6)
    want = np.array([[row @ image.ravel() for row in unit] for image in x]) + bias
    layer = text("InnerProduct", "inner_product_param { num_output: 4 normalize: true }")
    blobs = {"L": [weight, bias]}
    restated.check(layer, {"x": x}, {"y": want}, tmp_path, blobs=blobs)
    net = restated.load(layer, {"x": x}, tmp_path, blobs=blobs)
    top = net.blobs({"x": torch.from_numpy(x)})["y"]
    assert_close(net.params["L"][0].detach(), unit, "the stored weight")
    top.sum().backward()
    gradient = net.params["L"][0].grad
    assert gradient is not None
    assert_close(gradient, np.tile(x.reshape(2, -1).sum(0), (4, 1)), "the weight's gradient")


def test_two_passes_share_a_normalized_weight(tmp_path: Path) -> None:
    layer = text("InnerProduct", "inner_product_param { num_output: 2 normalize: true }")
    x = RNG.standard_normal((1, 3))
    net = restated.load(layer, {"x": x}, tmp_path, blobs={"L": [np.ones((2, 3)), np.ones(2)]})
    tensor = torch.from_numpy(x)
    (net({"x": tensor})["y"].sum() + net({"x": tensor})["y"].sum()).backward()


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_inner_product_takes_weight_and_bias_from_bottoms(
    biased: bool, transpose: bool, tmp_path: Path
) -> None:
    inputs = {"x": RNG.standard_normal((2, 3, 5)), "w": RNG.standard_normal((4, 15))}
    rows = inputs["w"].reshape(15, 4).T if transpose else inputs["w"]
    want = inputs["x"].reshape(2, 15) @ rows.T
    if biased:
        inputs["b"] = RNG.standard_normal(4)
        want = want + inputs["b"]
    layer = text(
        "InnerProduct",
        f"inner_product_param {{ bias_term: {str(biased).lower()} normalize: true "
        f"transpose: {str(transpose).lower()} }}",
        bottoms="xwb" if biased else "xw",
    )
    restated.check(layer, inputs, {"y": want}, tmp_path, dynamic=())
    restated.check_gradients(layer, inputs, tmp_path, wrt=tuple(inputs))


@pytest.mark.parametrize(
    ("fields", "bottoms", "message"),
    [
        ("num_output: 2 normalize: true transpose: true", "x", "pieces of several rows"),
        ("num_output: 2", "xw", "2 bottoms with bias_term true"),
        ("num_output: 2 bias_term: false", "xwb", "3 bottoms with bias_term false"),
        ("num_output: 2 bias_term: false", "xb", "the weight is"),
        ("normalize: true", "x", "num_output is 0, wants 1 or more"),
    ],
)
def test_inner_product_refused(fields: str, bottoms: str, message: str, tmp_path: Path) -> None:
    inputs = {"x": np.zeros((1, 3)), "w": np.zeros((2, 3)), "b": np.zeros(2)}
    layer = text("InnerProduct", f"inner_product_param {{ {fields} }}", bottoms=bottoms)
    given = {name: inputs[name] for name in bottoms}
    with pytest.raises(CaffeError, match=message):
        restated.load(layer, given, tmp_path)


# ---- Scale --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "least", "most"),
    [
        ("min_value: 0.5", 0.5, 9),
        ("max_value: 0.5", -9, 0.5),
        ("min_value: -0.1 max_value: 0.2", -0.1, 0.2),
        ("min_value: 0.5 max_value: 0.2", 0.2, 0.2),  # the upper bound wins
    ],
)
@pytest.mark.parametrize("two", [False, True])
def test_scale_is_bounded(
    two: bool, bounds: str, least: float, most: float, tmp_path: Path
) -> None:
    x, scale, bias = RNG.standard_normal((2, 4, 3)), RNG.standard_normal(4), RNG.standard_normal(4)
    bounded = each(scale, lambda v: min(max(v, F(least)), F(most)))
    want = x * bounded[:, None] + bias[:, None]
    layer = text(
        "Scale", f"scale_param {{ bias_term: true {bounds} }}", bottoms="xs" if two else "x"
    )
    inputs = {"x": x, "s": scale} if two else {"x": x}
    blobs = {"L": [bias] if two else [scale, bias]}
    restated.check(layer, inputs, {"y": want}, tmp_path, blobs=blobs, dynamic=())
    net = restated.load(layer, inputs, tmp_path, blobs=blobs)
    leaves = {name: torch.from_numpy(array).requires_grad_() for name, array in inputs.items()}
    net.blobs(leaves)["y"].sum().backward()
    leaf = leaves["s"] if two else net.params["L"][0]
    assert leaf.grad is not None
    assert_close(leaf.grad, x.sum((0, 2)), "the scale's gradient, without bounds")
    assert leaves["x"].grad is not None
    assert_close(leaves["x"].grad, np.broadcast_to(bounded[:, None], x.shape), "x's gradient")
    if not two:
        assert_close(net.params["L"][0].detach(), bounded, "the stored scale")


# ---- Local --------------------------------------------------------------------------------------


def local(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, k: int, p: int, s: int
) -> np.ndarray:
    n, c, h, w = x.shape
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    rows, columns = (h + 2 * p - k) // s + 1, (w + 2 * p - k) // s + 1
    top = np.zeros((n, len(weight), rows, columns))
    for i, o, v, u in np.ndindex(*top.shape):
        place, total = v * columns + u, 0.0
        for m in range(c):
            for a in range(k):
                for b in range(k):
                    seen = (m * k + a) * k + b
                    total += weight[o, 0, seen, place] * x[i, m, v * s + a, u * s + b]
        top[i, o, v, u] = total + bias[0, 0, o, place]
    return top


@pytest.mark.parametrize(
    ("shape", "k", "p", "s"),
    [
        ((2, 3, 5, 6), 3, 1, 1),
        ((2, 2, 6, 5), 2, 0, 2),
        ((1, 1, 3, 3), 3, 0, 1),
        ((2, 2, 4, 3), 1, 1, 3),
    ],
)
def test_local(shape: tuple[int, ...], k: int, p: int, s: int, tmp_path: Path) -> None:
    x = RNG.standard_normal(shape)
    places = ((shape[2] + 2 * p - k) // s + 1) * ((shape[3] + 2 * p - k) // s + 1)
    weight = RNG.standard_normal((4, 1, shape[1] * k * k, places))
    bias = RNG.standard_normal((1, 1, 4, places))
    fields = f"num_output: 4 kernel_size: {k} pad: {p} stride: {s}"
    want = local(x, weight, bias, k, p, s)
    layer = text("Local", f"local_param {{ {fields} }}")
    restated.check(layer, {"x": x}, {"y": want}, tmp_path, blobs={"L": [weight, bias]})
    restated.check_gradients(layer, {"x": x[:1, :, :3, :3] if k == 9 else x[:1]}, tmp_path)
    bare = text("Local", f"local_param {{ {fields} bias_term: false }}")
    want = local(x, weight, 0 * bias, k, p, s)
    restated.check(bare, {"x": x}, {"y": want}, tmp_path, blobs={"L": [weight]})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("num_output: 2 kernel_size: 5 pad: 2", "is smaller than kernel_size 5"),
        ("num_output: 2", "kernel_size is 0, wants 1 or more"),
        ("kernel_size: 2", "num_output is 0, wants 1 or more"),
    ],
)
def test_local_refused(fields: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        restated.load(
            text("Local", f"local_param {{ {fields} }}"), {"x": np.zeros((1, 1, 4, 4))}, tmp_path
        )


def test_local_keeps_to_its_size(tmp_path: Path) -> None:
    layer = text("Local", "local_param { num_output: 2 kernel_size: 3 }")
    net = restated.load(layer, {"x": np.zeros((1, 1, 4, 4))}, tmp_path)
    with pytest.raises(CaffeError, match="the layer was made for N x 1 x 4 x 4"):
        net({"x": torch.zeros(1, 1, 4, 5, dtype=torch.float64)})


# ---- One value for another ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "down", "across"),
    [("", False, True), ("flip_height: true", True, True),
     ("flip_width: false flip_height: true", True, False), ("flip_width: false", False, False)],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 4), (2, 3)])
def test_flip(
    shape: tuple[int, ...], fields: str, down: bool, across: bool, tmp_path: Path
) -> None:
    x = RNG.standard_normal(shape)
    four = x.reshape((*shape, 1, 1)[:4])
    want = np.zeros_like(four)
    h, w = four.shape[2:]
    for i, c, v, u in np.ndindex(*four.shape):
        want[i, c, v, u] = four[i, c, h - 1 - v if down else v, w - 1 - u if across else u]
    layer = text("Flip", f"flip_param {{ {fields} }}")
    restated.check(layer, {"x": x}, {"y": want.reshape(shape)}, tmp_path)
    restated.check_gradients(layer, {"x": x}, tmp_path)


def test_truncation(tmp_path: Path) -> None:
    x = np.array([[-1, 0, 0.5, 1, 5, 6, 7]])
    layer = text("Truncation")
    restated.check(layer, {"x": x}, {"y": each(x, lambda v: min(max(v, 0), 5))}, tmp_path)
    bounded = text("Truncation", "truncation_param { lower_bound: 0.7 upper_bound: 6.5 }")
    want = each(x, lambda v: min(max(v, F(0.7)), F(6.5)))
    restated.check(bounded, {"x": x}, {"y": want}, tmp_path)
    net = restated.load(layer, {"x": x}, tmp_path)
    leaf = torch.from_numpy(x).requires_grad_()
    net({"x": leaf})["y"].sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.tolist() == [[0, 0, 1, 1, 0, 0, 0]]


def test_soft_truncation(tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3))
    layer = text("SoftTruncation", "soft_truncation_param { c: 0.7 }")
    want = each(x, lambda v: 1 - exp(-v / float(F(0.7))))
    restated.check(layer, {"x": x}, {"y": want}, tmp_path)
    restated.check_gradients(layer, {"x": x}, tmp_path)


def test_cosine_and_arccos(tmp_path: Path) -> None:
    x = RNG.uniform(-1, 1, (2, 3))
    restated.check(text("Cosine"), {"x": x}, {"y": each(x, cos)}, tmp_path)
    restated.check_gradients(text("Cosine"), {"x": x}, tmp_path)
    restated.check(text("Arccos"), {"x": x}, {"y": each(x, acos)}, tmp_path)
    net = restated.load(text("Arccos"), {"x": np.zeros((1, 4))}, tmp_path)
    leaf = torch.tensor([[-0.5, 0.5, 0.995, 1]], dtype=torch.float64, requires_grad=True)
    net({"x": leaf})["y"].sum().backward()
    want = [-1 / sqrt(1 - min(v, 0.99) ** 2) for v in (-0.5, 0.5, 0.995, 1)]
    assert leaf.grad is not None
    assert_close(leaf.grad, [want], "gradient")


@pytest.mark.parametrize(("fields", "lb", "ub"), [("", 5, 10), ("lb: -2 ub: 3", -2, 3)])
def test_insanity(fields: str, lb: float, ub: float, tmp_path: Path) -> None:
    x = RNG.standard_normal((20, 30))
    x[0, 0] = 0
    mean = (ub - lb) / (log(abs(ub)) - log(abs(lb)))
    layer = text("Insanity", f"insanity_param {{ {fields} }}")
    want = each(x, lambda v: max(v, 0) + min(v, 0) / mean)
    restated.check(layer, {"x": x}, {"y": want}, tmp_path)
    restated.check_gradients(layer, {"x": RNG.standard_normal((2, 3))}, tmp_path)
    net = restated.load(layer, {"x": x}, tmp_path, phase="TRAIN")
    leaf = torch.from_numpy(x).requires_grad_()
    top = net({"x": leaf})["y"]
    top.sum().backward()
    slopes = x[x < 0] / top.detach().numpy()[x < 0]
    assert (slopes >= lb).all()
    assert (slopes <= ub).all()
    assert slopes.std() > (ub - lb) / 5
    assert leaf.grad is not None
    assert_close(leaf.grad[x < 0] * torch.from_numpy(slopes), np.ones(len(slopes)), "gradient")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("lb: 3 ub: 3", "lb 3 wants to be below ub 3"),
        ("lb: 0", "want to be other than 0"),
        ("lb: -2 ub: 2", "have no mean slope"),
    ],
)
def test_insanity_refused(fields: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        restated.load(
            text("Insanity", f"insanity_param {{ {fields} }}"), {"x": np.zeros((1, 2))}, tmp_path
        )


# ---- Two bottoms, blobs -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3)])
@pytest.mark.parametrize("scale", ["pixels", "flat"])
def test_channel_scale(shape: tuple[int, ...], scale: str, tmp_path: Path) -> None:
    x = RNG.standard_normal(shape)
    n, c, h, w = (*shape, 1, 1)[:4]
    s = RNG.standard_normal((n, 1, h, w) if scale == "pixels" else (n, h * w))
    want = np.zeros((n, c, h, w))
    for i, m, v, u in np.ndindex(*want.shape):
        want[i, m, v, u] = x.reshape(n, c, h, w)[i, m, v, u] * s.ravel()[(i * h + v) * w + u]
    layer = text("ChannelScale", bottoms="xs")
    inputs = {"x": x, "s": s}
    restated.check(layer, inputs, {"y": want.reshape(shape)}, tmp_path)
    restated.check_gradients(layer, inputs, tmp_path, wrt=("x", "s"))


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("feature", [True, False])
@pytest.mark.parametrize("backward", [True, False])
def test_channel_scale_one_way(
    forward: bool, feature: bool, backward: bool, tmp_path: Path
) -> None:
    inputs = {"x": RNG.standard_normal((2, 3, 2, 2)), "s": RNG.standard_normal((2, 1, 2, 2))}
    x, s = inputs.values()
    fields = zip(
        ("do_forward", "do_backward_feature", "do_backward_scale"),
        (forward, feature, backward),
        strict=True,
    )
    said = " ".join(f"{name}: {str(value).lower()}" for name, value in fields)
    layer = text("ChannelScale", f"channel_scale_param {{ {said} }}", bottoms="xs")
    restated.check(layer, inputs, {"y": x * s if forward else x}, tmp_path)
    net = restated.load(layer, inputs, tmp_path)
    leaves = {name: torch.from_numpy(array).requires_grad_() for name, array in inputs.items()}
    diff = RNG.standard_normal(x.shape)
    (net.blobs(leaves)["y"] * torch.from_numpy(diff)).sum().backward()
    assert leaves["x"].grad is not None
    assert_close(leaves["x"].grad, diff * s if feature else diff, "x's gradient")
    got = leaves["s"].grad
    got = torch.zeros(s.shape) if got is None else got
    assert_close(got, (diff * x).sum(1, keepdims=True) * backward, "s's gradient")


def test_a_global_scale(tmp_path: Path) -> None:
    inputs = {"x": RNG.standard_normal((2, 3, 2, 2)), "s": RNG.standard_normal((2, 1, 2, 2))}
    message = "channel_scale_param { global_scale: true max_global_scale: 30 min_global_scale: 2 }"
    layer = text("ChannelScale", message, bottoms="xs", tops="yz")
    for value, used in ((20, 20), (50, 30), (1, 2)):
        wants = {"y": inputs["x"] * used, "z": np.array([used])}
        restated.check(layer, inputs, wants, tmp_path, blobs={"L": [np.array([value])]})
    net = restated.load(layer, inputs, tmp_path, phase="TRAIN")
    with pytest.raises(CaffeError, match="versions differ in how a global scale learns"):
        net({name: torch.from_numpy(array) for name, array in inputs.items()})


@pytest.mark.parametrize("s", [(2, 1, 2, 3), (1, 1, 4, 2)])
def test_channel_scale_refused(s: tuple[int, ...], tmp_path: Path) -> None:
    inputs = {"x": np.zeros((2, 3, 2, 2)), "s": np.zeros(s)}
    with pytest.raises(CaffeError, match="wants a value for every pixel"):
        restated.load(text("ChannelScale", bottoms="xs"), inputs, tmp_path)


@pytest.mark.parametrize("shared", [False, True])
def test_eltwise_affine(shared: bool, tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3, 4, 2))
    slope, bias = RNG.standard_normal((2, *(() if shared else (3,))))
    want = np.zeros_like(x)
    for i, c, v, u in np.ndindex(*x.shape):
        at = () if shared else (c,)
        want[i, c, v, u] = x[i, c, v, u] * slope[at] + bias[at]
    layer = text(
        "EltwiseAffine", f"eltwise_affine_param {{ channel_shared: {str(shared).lower()} }}"
    )
    restated.check(layer, {"x": x}, {"y": want}, tmp_path, blobs={"L": [slope, bias]})
    restated.check_gradients(layer, {"x": x}, tmp_path)
    net = restated.load(layer, {"x": x}, tmp_path)
    for blob, filled in zip(net.params["L"], (F(1.0001), F(0.0001)), strict=True):
        assert (blob == float(filled)).all()


@pytest.mark.parametrize("operation", ["SUM", "PROD", "MAX"])
@pytest.mark.parametrize("shapes", [((2, 3), (4, 3)), ((2, 3, 1, 1), (1, 3, 1, 1))])
def test_pairwise(shapes: tuple[tuple[int, ...], ...], operation: str, tmp_path: Path) -> None:
    inputs = {name: RNG.standard_normal(shape) for name, shape in zip("ab", shapes, strict=True)}
    a, b = (array.reshape(array.shape[:2]) for array in inputs.values())
    coeff = "coeff: 0.5 coeff: -2" if operation == "SUM" else ""
    want = np.zeros((len(a), len(b), a.shape[1]))
    for m, n, k in np.ndindex(*want.shape):
        want[m, n, k] = {
            "SUM": 0.5 * a[m, k] - 2 * b[n, k],
            "PROD": a[m, k] * b[n, k],
            "MAX": max(a[m, k], b[n, k]),
        }[operation]
    layer = text("Pairwise", f"pairwise_param {{ operation: {operation} {coeff} }}", bottoms="ab")
    restated.check(layer, inputs, {"y": want}, tmp_path)
    restated.check_gradients(layer, inputs, tmp_path, wrt=("a", "b"))


def test_a_tie_of_pairwise_goes_to_the_second(tmp_path: Path) -> None:
    layer = text("Pairwise", "pairwise_param { operation: MAX }", bottoms="ab")
    one = np.ones((1, 1))
    net = restated.load(layer, {"a": one, "b": one}, tmp_path)
    a, b = (torch.from_numpy(one.copy()).requires_grad_() for _ in range(2))
    net({"a": a, "b": b})["y"].sum().backward()
    assert (a.grad, b.grad) == (0, 1)


@pytest.mark.parametrize(
    ("fields", "b", "message"),
    [
        ("", (2, 4), "differ in the length of their rows"),
        ("", (2, 3, 2), "have values behind their rows"),
        ("coeff: 1", (2, 3), "1 coeff, wants one for each of the 2 bottoms"),
        ("operation: PROD coeff: 1 coeff: 2", (2, 3), "coeff with PROD"),
    ],
)
def test_pairwise_refused(fields: str, b: tuple[int, ...], message: str, tmp_path: Path) -> None:
    layer = text("Pairwise", f"pairwise_param {{ {fields} }}", bottoms="ab")
    with pytest.raises(CaffeError, match=message):
        restated.load(layer, {"a": np.zeros((2, 3)), "b": np.zeros(b)}, tmp_path)


def test_slope(tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3, 4, 5))
    want = np.zeros((2, 5, 4, 5))
    for i, c, h, w in np.ndindex(*want.shape):
        want[i, c, h, w] = x[i, c, h, w] if c < 3 else (h / 4 if c == 3 else w / 5)
    restated.check(text("Slope"), {"x": x}, {"y": want}, tmp_path)
    restated.check_gradients(text("Slope"), {"x": x[:1]}, tmp_path)


def resize(x: np.ndarray, height: int, width: int) -> np.ndarray:
    n, c, h, w = x.shape
    top = np.zeros((n, c, height, width))
    for v in range(height):
        for u in range(width):
            at_y, at_x = v * (h / height), u * (w / width)
            above, left = floor(at_y), floor(at_x)
            dy, dx = at_y - above, at_x - left
            for row, weight_y in ((above, 1 - dy), (above + 1, dy)):
                for column, weight_x in ((left, 1 - dx), (left + 1, dx)):
                    if row < h and column < w:  # what is beyond is left out
                        top[:, :, v, u] += weight_y * weight_x * x[:, :, row, column]
    return top


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ("height: 9 width: 7", (9, 7)),
        ("height: 2 width: 2", (2, 2)),
        ("is_pyramid_test: true out_height_scale: 1.7 out_width_scale: 0.5", (6, 2)),
    ],
)
def test_resize(fields: str, size: tuple[int, int], tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3, 4, 5))
    layer = text("Resize", f"resize_param {{ {fields} }}")
    restated.check(layer, {"x": x}, {"y": resize(x, *size)}, tmp_path)
    restated.check_gradients(layer, {"x": x[:1]}, tmp_path)


def test_resize_refused(tmp_path: Path) -> None:
    for fields, message in (
        ("height: 2", "no size, wants height and width"),
        ("is_pyramid_test: true", "wants out_height_scale and out_width_scale"),
        ("height: 0 width: 2", "the top would be"),
    ):
        with pytest.raises(CaffeError, match=message):
            restated.load(
                text("Resize", f"resize_param {{ {fields} }}"),
                {"x": np.zeros((1, 1, 4, 4))},
                tmp_path,
            )


def test_sort_is_a_product(tmp_path: Path) -> None:
    inputs = {name: RNG.standard_normal((2, 3)) for name in "abc"}
    want = np.ones((2, 3))
    for array in inputs.values():
        want = want * (array + 1)
    layer = text("Eltwise", "eltwise_param { operation: SORT }", bottoms="abc")
    restated.check(layer, inputs, {"y": want}, tmp_path)
    restated.check_gradients(layer, inputs, tmp_path, wrt=tuple("abc"))
    over = text("Eltwise", "eltwise_param { operation: SORT }", bottoms="abc", tops="a")
    want = 2 * (inputs["b"] + 1) * (inputs["c"] + 1)
    restated.check(over, inputs, {"a": want}, tmp_path)


def test_other_operations_stay_bvlcs(tmp_path: Path) -> None:
    inputs = {name: RNG.standard_normal((2, 3)) for name in "ab"}
    layer = text("Eltwise", "eltwise_param { operation: SUM }", bottoms="ab")
    for dialect in ("happynear", "tsn"):
        restated.check(
            layer, inputs, {"y": inputs["a"] + inputs["b"]}, tmp_path, dialect=dialect, onnx=False
        )


def test_smooth_l1_loss(tmp_path: Path) -> None:
    inputs = {name: 2 * RNG.standard_normal((3, 4)) for name in "abw"}
    for bottoms in ("ab", "abw"):
        d = inputs["a"] - inputs["b"]
        d = d * inputs["w"] if bottoms == "abw" else d
        terms = each(d, lambda v: v * v / 2 if abs(v) < 1 else abs(v) - 0.5)
        layer = text("SmoothL1Loss", "smoothl1_param { turn_point: 1 }", bottoms=bottoms)
        given = {name: inputs[name] for name in bottoms}
        restated.check(layer, given, {"y": np.array(terms.sum() / 3)}, tmp_path)
        restated.check_gradients(layer, given, tmp_path, wrt=("a", "b"))
    layer = text("SmoothL1Loss", "smoothl1_param { turn_point: 2 }", bottoms="ab")
    with pytest.raises(CaffeError, match="turn_point is 2: the published facts say only"):
        restated.load(layer, {name: inputs[name] for name in "ab"}, tmp_path)


def test_noise_is_for_training(tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3))
    layer = text("Noise", "noise_param { gaussian_std: 0.1 }")
    restated.check(layer, {"x": x}, {"y": x}, tmp_path)
    net = restated.load(layer, {"x": x}, tmp_path, phase="TRAIN")
    with pytest.raises(CaffeError, match="how the noise of training is scaled"):
        net({"x": torch.from_numpy(x)})


def test_dropout_divides_by_a_root(tmp_path: Path) -> None:
    x = RNG.standard_normal((30, 40))
    layer = text("Dropout", "dropout_param { dropout_ratio: 0.75 sqrt_scale: true }")
    restated.check(layer, {"x": x}, {"y": x}, tmp_path)
    net = restated.load(layer, {"x": x}, tmp_path, phase="TRAIN")
    torch.manual_seed(1701)
    top = net({"x": torch.from_numpy(x)})["y"].numpy()
    kept = top != 0
    assert_close(top[kept], x[kept] * sqrt(1 / 0.25), "what is kept")
    assert kept.mean() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("kind", ["SubRegion", "Hotspot"])
def test_refused_by_name(kind: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="the published facts name"):
        restated.load(text(kind), {"x": np.zeros((2, 3))}, tmp_path, phase="TRAIN")


@pytest.mark.parametrize(
    "layer",
    [
        text("InnerProduct", "inner_product_param { num_output: 3 normalize: true }"),
        text("Scale", "scale_param { min_value: 0.5 }"),
    ],
)
def test_an_exported_program_leaves_its_blobs(layer: str, tmp_path: Path) -> None:
    x = {"x": RNG.standard_normal((2, 4))}
    shape = (3, 4) if "Inner" in layer else (4,)
    blobs = [RNG.standard_normal(shape), np.zeros(3)][: 2 if "Inner" in layer else 1]
    net = restated.load(layer, x, tmp_path, blobs={"L": blobs})
    tensors = {"x": torch.from_numpy(x["x"])}
    program = torch.export.export(net, (tensors,)).module()
    assert_close(net.params["L"][0].detach(), blobs[0], "the stored blob")
    got = program(tensors)["y"].detach()
    assert_close(got, net(tensors)["y"].detach(), "y")


def test_multiply_adds() -> None:
    local = caffe_layers.Local((2, 3, 5, 5), num_output=4, kernel_size=3)
    assert local.multiply_adds([(2, 3, 5, 5)], [(2, 4, 3, 3)]) == (2 * 4 * 3 * 3) * (3 * 3 * 3)
    inner = caffe_layers.FaceInnerProduct(6, 4, normalize=True)
    assert inner.multiply_adds([(2, 6)], [(2, 4)]) == 2 * 4 * 6

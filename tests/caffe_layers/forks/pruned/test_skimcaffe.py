"""SkimCaffe's fused layers against loops over windows and channels."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
import pytest

import converter
from prototxt import CaffeError, UnsupportedError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(16)
X = RNG.normal(size=(2, 4, 7, 6))
WEIGHT, BIAS = RNG.normal(size=(6, 2, 3, 2)), RNG.normal(size=6)
CONVOLUTION = (
    "convolution_param { num_output: 6 kernel_h: 3 kernel_w: 2 pad: 1 stride: 2 group: 2 "
    "conv_mode: DIRECT_SCONV }"
)


def layer(kind: str, *params: str) -> str:
    return f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {" ".join(params)} }}'


def convolved(x: np.ndarray) -> np.ndarray:
    wide = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    top = np.empty((len(x), 6, (x.shape[2] - 1) // 2 + 1, x.shape[3] // 2 + 1))
    for n, o, i, j in np.ndindex(top.shape):
        of = slice(2 * (o // 3), 2 * (o // 3) + 2)
        seen = wide[n, of, 2 * i : 2 * i + 3, 2 * j : 2 * j + 2]
        top[n, o, i, j] = (WEIGHT[o] * seen).sum() + BIAS[o]
    return top


def pooled(x: np.ndarray, kernel: int, stride: int, pad: int) -> np.ndarray:
    sizes = []
    for size in x.shape[2:]:
        count = ceil((size + 2 * pad - kernel) / stride) + 1
        sizes.append(count - (pad > 0 and (count - 1) * stride >= size + pad))
    top = np.zeros((*x.shape[:2], *sizes))
    for n, c, i, j in np.ndindex(top.shape):
        rows = range(max(i * stride - pad, 0), min(i * stride - pad + kernel, x.shape[2]))
        columns = range(max(j * stride - pad, 0), min(j * stride - pad + kernel, x.shape[3]))
        for row in rows:
            for column in columns:
                top[n, c, i, j] = max(top[n, c, i, j], x[n, c, row, column])
    return top


def normalised(x: np.ndarray, size: int, alpha: float, beta: float, k: float) -> np.ndarray:
    top = np.empty(x.shape)
    for n, c, i, j in np.ndindex(x.shape):
        near = x[n, max(c - size // 2, 0) : c + size // 2 + 1, i, j]
        scale = k + float(np.float32(alpha)) / size * (near**2).sum()
        top[n, c, i, j] = x[n, c, i, j] * scale ** -float(np.float32(beta))
    return top


def test_convolution_and_relu(tmp_path: Path) -> None:
    want = np.maximum(convolved(X), 0)
    blobs = {"L": [WEIGHT, BIAS]}
    text = layer("ConvolutionReLU", CONVOLUTION)
    check(text, {"x": X}, {"y": want}, tmp_path, blobs=blobs)
    check_gradients(text, {"x": X[:1]}, tmp_path, blobs=blobs)


WINDOWS = [(2, 2, 0), (3, 2, 1), (2, 1, 0), (3, 3, 2)]


@pytest.mark.parametrize(("kernel", "stride", "pad"), WINDOWS)
def test_convolution_relu_and_pooling(kernel: int, stride: int, pad: int, tmp_path: Path) -> None:
    want = pooled(convolved(X), kernel, stride, pad)
    said = f"pooling_param {{ kernel_size: {kernel} stride: {stride} pad: {pad} }}"
    text = layer("ConvolutionReLUPool", CONVOLUTION, said)
    check(text, {"x": X}, {"y": want}, tmp_path, blobs={"L": [WEIGHT, BIAS]})


def test_pooling_of_it_all(tmp_path: Path) -> None:
    want = np.maximum(convolved(X).max((2, 3), keepdims=True), 0)
    text = layer("ConvolutionReLUPool", CONVOLUTION, "pooling_param { global_pooling: true }")
    check(text, {"x": X}, {"y": want}, tmp_path, blobs={"L": [WEIGHT, BIAS]})


@pytest.mark.parametrize(("alpha", "beta", "k"), [(2.0, 0.75, 1), (0.5, 0.6, 2.5), (-0.01, 0.5, 1)])
def test_convolution_relu_pooling_and_lrn(
    alpha: float, beta: float, k: float, tmp_path: Path
) -> None:
    want = normalised(pooled(convolved(X), 2, 2, 0), 3, alpha, beta, k)
    said = f"lrn_param {{ local_size: 3 alpha: {alpha} beta: {beta} k: {k} }}"
    pool = "pooling_param { kernel_size: 2 stride: 2 }"
    text = layer("ConvolutionReLUPoolLRN", CONVOLUTION, pool, said)
    blobs = {"L": [WEIGHT, BIAS]}
    check(text, {"x": X}, {"y": want}, tmp_path, blobs=blobs)
    check_gradients(text, {"x": X[:1]}, tmp_path, blobs=blobs)


@pytest.mark.parametrize(("kernel", "stride", "pad"), WINDOWS)
def test_relu_and_pooling(kernel: int, stride: int, pad: int, tmp_path: Path) -> None:
    x = X - 1
    said = f"pooling_param {{ kernel_size: {kernel} stride: {stride} pad: {pad} }}"
    want = pooled(x, kernel, stride, pad)
    assert (want == 0).any()
    check(layer("ReLUPooling", said), {"x": x}, {"y": want}, tmp_path)


@pytest.mark.parametrize("slope", [0, 0.25])
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_product_and_relu(slope: float, phase: str, tmp_path: Path) -> None:
    weight, bias = RNG.normal(size=(5, 168)), RNG.normal(size=5)
    product = X.reshape(2, -1) @ weight.T + bias
    want = np.maximum(product, 0) + slope * np.minimum(product, 0)
    said = "inner_product_param { num_output: 5 gemm_mode: SPMDM spmdm_transpose_out: false }"
    text = layer("InnerProductReLUDropout", said, f"relu_param {{ negative_slope: {slope} }}",
                 "dropout_param { dropout_ratio: 0.9 }")  # fmt: skip
    blobs = {"L": [weight, bias]}
    check(text, {"x": X}, {"y": want}, tmp_path, blobs=blobs, phase=phase)


def test_winograd(tmp_path: Path) -> None:
    weight = RNG.normal(size=(2, 4, 3, 3))
    wide = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))
    want = np.empty((2, 2, 7, 6))
    for n, o, i, j in np.ndindex(want.shape):
        want[n, o, i, j] = (weight[o] * wide[n, :, i : i + 3, j : j + 3]).sum()
    said = "convolution_param { num_output: 2 kernel_size: 3 pad: 1 bias_term: false }"
    check(layer("Winograd", said), {"x": X}, {"y": want}, tmp_path, blobs={"L": [weight]})


def test_weights_of_tiles_are_refused(tmp_path: Path) -> None:
    """A file whose weights were pruned as Winograd's tiles see them."""
    net = load(layer("Convolution", "convolution_param { num_output: 6 kernel_size: 6 }"),
               {"x": np.zeros((1, 2, 8, 8))}, tmp_path)  # fmt: skip
    weight = net.params["L"][0]
    weight.data = weight.data.new_zeros(6, 6, 2, 4)
    converter.save_caffemodel(net, tmp_path / "net.caffemodel")
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 4, 8, 8] } } }'
        + layer("Winograd", "convolution_param { num_output: 2 kernel_size: 3 }")
    )
    with pytest.raises(UnsupportedError, match="of tiles: such weights, pruned as those"):
        converter.load(path, tmp_path / "net.caffemodel")


def test_how_it_is_computed_says_nothing(tmp_path: Path) -> None:
    specs = "param { breadth_decay_mult: 1 block_group_lasso { xdimen: 2 } }"
    mode = "connectivity_mode: DISCONNECTED_ELTWISE"
    product = layer("InnerProduct", "inner_product_param { num_output: 2 gemm_mode: SPGEMM }")
    for old, new in (('"L"', '"M"'), ('"y"', '"z"'), ('"x"', '"y"')):
        product = product.replace(old, new)
    text = layer("Convolution", mode, CONVOLUTION, specs) + product
    net = load(text, {"x": X}, tmp_path)
    assert [net.layers[name].fork for name in "LM"] == ["bvlc", "bvlc"]


SLOPE = "relu_param { negative_slope: 0.1 }"
KERNEL = "pooling_param { kernel_size: 2 }"
REFUSED = {
    layer("ConvolutionReLU", CONVOLUTION, SLOPE): "negative_slope 0.1, which SkimCaffe",
    layer("ReLUPooling", KERNEL, SLOPE): "negative_slope 0.1",
    layer("ReLUPooling", "pooling_param { kernel_size: 2 pool: AVE }"): "AVE pooling behind a ReLU",
    layer("ReLUPooling", "pooling_param { kernel_size: 9 }"): "kernel .9, 9. is too large",
    layer("ReLUPooling", "pooling_param { kernel_size: 2 pad: 2 }"): "pad 2 wants to be less",
    layer("ReLUPooling", "pooling_param { global_pooling: true stride: 2 }"): "wants stride 1",
    layer("ReLUPooling"): "wants kernel_size",
    layer("ConvolutionReLUPool", CONVOLUTION): "wants kernel_size",
    layer("ConvolutionReLUPoolLRN", CONVOLUTION, KERNEL, "lrn_param { local_size: 4 }"): "is even",
    layer("ConvolutionReLUPoolLRN", CONVOLUTION, KERNEL,
          "lrn_param { norm_region: WITHIN_CHANNEL }"): "WITHIN_CHANNEL, which SkimCaffe",
    layer("InnerProductReLUDropout", "inner_product_param { num_output: 5 gemm_mode: SPGEMM }"):
        "SPGEMM, with which SkimCaffe's code computes nothing",
    layer("Winograd", "convolution_param { num_output: 5 kernel_size: 4 }"): "3 x 3 or 5 x 5",
    layer("Winograd", "convolution_param { num_output: 5 kernel_size: 3 stride: 2 }"): "stride 1",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=REFUSED[text]):
        load(text, {"x": X}, tmp_path)

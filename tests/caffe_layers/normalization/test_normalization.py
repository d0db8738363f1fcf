"""What the recorded cases of BatchNorm, CuDNNBatchNorm, LRN and MVN leave open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import caffe_layers
import converter
from prototxt import FormatError, ShapeError
from tests.support.recorded import assert_close


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng([1701, *shape]).standard_normal(shape) * 2 + 1


def load(tmp_path: Path, shape, layer: str, **how):
    dims = " ".join(f"dim: {size}" for size in shape)
    path = tmp_path / "net.prototxt"
    path.write_text(
        f"""
        layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}
        layer {{ name: "L" bottom: "x" top: "y" {layer} }}
        """
    )
    return converter.load(path, **how)


def run_onnx(net, path: Path, x: np.ndarray) -> np.ndarray:
    converter.export_onnx(net, path)
    converter.check_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (feed,) = session.get_inputs()
    dtype = {"tensor(float16)": np.float16, "tensor(float)": np.float32}[feed.type]
    return session.run(None, {"x": x.astype(dtype)})[0]


def test_a_half_network_keeps_batch_norms_sums(tmp_path):
    net = load(tmp_path, (2, 3, 4, 5), 'type: "BatchNorm"')
    mean, var, factor = net.params["L"]
    mean.copy_(torch.tensor([500.0, -300, 9e4]))
    var.copy_(torch.tensor([4000.0, 1e5, 2e6]))
    factor.fill_(999.0)
    x = values(2, 3, 4, 5)
    want = net(torch.from_numpy(x).float())["y"]
    net.half()
    assert [blob.dtype for blob in net.params["L"]] == [torch.float32] * 3
    got = net(torch.from_numpy(x).half())["y"]
    assert got.dtype == torch.float16
    assert_close(got.float(), want, "y", 2e-3)
    assert_close(run_onnx(net.float(), tmp_path / "net.onnx", x), want, "onnx", 1e-5)


def test_batch_norm_trains_without_an_eps():
    layer = caffe_layers.BatchNorm(1, eps=0).double().train()
    x = torch.tensor([[[1.0, 3, -4, 0]]], dtype=torch.float64, requires_grad=True)
    y = layer(x)
    want = np.array([[[1, 3, -4, 0]]]) / 6.5**0.5
    assert_close(y.detach(), want, "y")
    y[0, 0, 0].backward()
    centred = np.array([[[0.75, -0.25, -0.25, -0.25]]])
    assert_close(x.grad, (centred - want * want[0, 0, 0] / 4) / 6.5**0.5, "diff x")


def test_batch_norm_learns_the_statistics_of_a_batch():
    layer = caffe_layers.BatchNorm(3, moving_average_fraction=0.75).double().train()
    x = values(4, 3, 5)
    for _ in range(2):
        layer(torch.from_numpy(x))
    mean, var = x.mean((0, 2)), x.var((0, 2), ddof=1)
    for blob, want in zip(layer.blobs, (mean * 1.75, var * 1.75, [1.75]), strict=True):
        assert_close(blob, want, "a sum")
    layer.eval()
    centred = x - mean[:, None]
    want = centred / np.sqrt(var + float(np.float32(1e-5)))[:, None]
    assert_close(layer(torch.from_numpy(x)), want, "y")


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (1, 3)])
def test_one_value_per_channel_trains(shape):
    layer = caffe_layers.CuDNNBatchNorm(3, momentum=0.75).double().train()
    with torch.no_grad():
        layer.weight.fill_(2)
        layer.bias.copy_(torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1))
        layer.running_var.fill_(1)
    x = torch.from_numpy(values(*shape)).requires_grad_()
    top = layer(x)
    assert top.flatten().tolist() == [1, 2, 3]
    top.sum().backward()
    assert x.grad is not None
    assert not x.grad.any()
    assert_close(layer.running_mean.flatten(), 0.25 * x.detach().flatten(), "mean")
    assert layer.running_var.flatten().tolist() == [0.75] * 3


GENET = 'type: "CuDNNBatchNorm" cudnn_batch_norm_param { momentum: 0.5 eps: 0.25 }'


def test_genets_message_says_the_same(tmp_path):
    layer = load(tmp_path, (2, 3, 4), GENET).layers["L"]
    assert (layer.momentum, layer.eps, layer.frozen) == (0.5, 0.25, False)


def test_batch_norms_fields_are_none_of_cudnn_batch_norms(tmp_path):
    wrong = 'type: "CuDNNBatchNorm" batch_norm_param { use_global_stats: true }'
    with pytest.raises(FormatError, match="use_global_stats"):
        load(tmp_path, (2, 3, 4), wrong)


@pytest.mark.parametrize("kind", ["BatchNorm", "CuDNNBatchNorm"])
def test_a_layer_that_always_trains_is_exported_so(kind, tmp_path):
    net = load(tmp_path, (4, 3, 5, 2), f'type: "{kind}" phase: TRAIN', dtype=torch.float64)
    if kind == "CuDNNBatchNorm":
        with torch.no_grad():
            for blob, number in zip(net.params["L"], (3.0, -1.0), strict=False):
                blob.fill_(number)
    x = values(4, 3, 5, 2)
    centred = x - x.mean((0, 2, 3), keepdims=True)
    want = centred / np.sqrt(x.var((0, 2, 3), keepdims=True) + 1e-5)
    if kind == "CuDNNBatchNorm":
        want = 3 * want - 1
    assert_close(net(torch.from_numpy(x))["y"].detach(), want, "y", 1e-8)
    assert_close(run_onnx(net.float(), tmp_path / "net.onnx", x), want, "onnx", 1e-5)


def test_two_rows_that_let_statistics_learn_are_refused(tmp_path):
    with pytest.raises(ShapeError, match="param row 1 has lr_mult 1, wants 0"):
        load(tmp_path, (2, 3, 4), 'type: "BatchNorm" param { lr_mult: 0 } param { }')


@pytest.mark.parametrize("eps", [1e-9, 0.01])
@pytest.mark.parametrize("across", [False, True])
def test_mvn_of_one_value_has_a_gradient(eps, across):
    layer = caffe_layers.MVN(eps=eps, across_channels=across)
    x = torch.full((1, 2, 2, 3), 5.0, dtype=torch.float64, requires_grad=True)
    top = layer(x)
    assert not top.any()
    (top * torch.arange(12.0).view(top.shape)).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_mvns_gradient_is_true_where_eps_counts():
    x = torch.from_numpy(values(2, 3, 2, 2)).requires_grad_()
    assert torch.autograd.gradcheck(caffe_layers.MVN(eps=0.5), x)
    assert torch.autograd.gradcheck(caffe_layers.MVN(), x)


@pytest.mark.parametrize("region", ["ACROSS_CHANNELS", "WITHIN_CHANNEL"])
def test_lrn_has_a_gradient(region):
    layer = caffe_layers.LRN(local_size=3, alpha=0.7, norm_region=region)
    x = torch.from_numpy(values(1, 4, 3, 2)).requires_grad_()
    assert torch.autograd.gradcheck(layer, x)


@pytest.mark.parametrize("param", ["alpha: 0 k: 2", "beta: 0", "alpha: -0.5 k: 30", "beta: -0.5"])
def test_lrn_of_any_alpha_and_beta_goes_to_onnx(tmp_path, param):
    net = load(tmp_path, (2, 3, 4, 5), f'type: "LRN" lrn_param {{ local_size: 3 {param} }}')
    x = values(2, 3, 4, 5)
    want = net(torch.from_numpy(x).float())["y"]
    assert_close(run_onnx(net, tmp_path / "net.onnx", x), want, "onnx", 1e-5)

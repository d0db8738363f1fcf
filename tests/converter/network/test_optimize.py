"""Networks optimised for inference: the same outputs, and what was done is said."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import onnx
import pytest
import torch

import converter
from caffe_layers.fused.packed_convolution import HAS_ONEDNN, PackedConvolution
from caffe_layers.fused.selection import Selection
from caffe_layers.fused.shortcut_convolution import HAS_SUMS
from converter.network.parameters import learnable
from converter.onnx.runtime import run_onnx
from converter.verification.compare import relative_error
from prototxt import ShapeError, UnsupportedError, nets

INPUT = 'input: "data" input_shape { dim: 2 dim: 4 dim: 6 dim: 7 }\n'
CONV = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
  num_output: 6 kernel_size: 3 group: 2 bias_term: BIAS weight_filler { type: "xavier" } } }
"""
SAME = CONV.replace("num_output: 6", "num_output: 4 pad: 1").replace("BIAS", "true")
BN = 'layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }\n'
SCALE = """layer { name: "scale" type: "Scale" bottom: "conv" top: "scaled"
  scale_param { bias_term: true } }\n"""
RELU = 'layer { name: "relu" type: "ReLU" bottom: "LAST" top: "relu" }\n'


def load(folder: Path, text: str, **options: object) -> converter.CaffeNet:
    (folder / "net.prototxt").write_text(text)
    net = converter.load(folder / "net.prototxt", dtype=torch.float64, **options)
    generator = torch.Generator().manual_seed(1701)
    with torch.no_grad():
        for layer in net.layers.values():
            for name, blob in zip(layer.blob_names, layer.blobs, strict=True):
                blob.copy_(torch.randn(blob.shape, generator=generator, dtype=blob.dtype))
                if name in ("variance", "running_var", "factor"):
                    blob.abs_().add_(0.5)
    return net


def data(net: converter.CaffeNet) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(net.input_shapes[name], generator=generator, dtype=net.dtype)
        for name in net.inputs
        if name != "label"
    }


def check(net: converter.CaffeNet, folder: Path) -> converter.CaffeNet:
    """Compare the outputs in torch, laid out both ways, and in ONNX Runtime."""
    fed = data(net)
    faster = net.optimize()
    with torch.no_grad():
        want = net(fed)
        for other in (faster, net.optimize(channels_last=False)):
            got = other(fed)
            assert list(got) == list(want)
            for name, value in want.items():
                assert relative_error(got[name].numpy(), value.numpy()) <= 1e-12, name
    converter.export_onnx(faster.float(), folder / "net.onnx")
    converter.check_onnx(folder / "net.onnx")
    feeds = {name: value.float().numpy() for name, value in fed.items()}
    for name, value in run_onnx(folder / "net.onnx", feeds).items():
        assert relative_error(value, want[name].numpy()) <= 1e-5
    return faster


@pytest.mark.parametrize("bias", ["true", "false"])
def test_normalization_and_scale_go_into_the_convolution(tmp_path, bias):
    text = INPUT + CONV.replace("BIAS", bias) + BN + SCALE + RELU.replace("LAST", "scaled")
    faster = check(load(tmp_path, text), tmp_path)
    assert list(faster.layers) == ["input", "conv"]
    folded = "optimized: folded 2 layers of normalisation and scale into 1 convolutions"
    fused = "optimized: let 1 convolutions do the ReLU after them"
    assert faster.notes[:2] == [folded, fused]


def test_what_more_than_one_reads_stays(tmp_path):
    two = 'layer { name: "sum" type: "Eltwise" bottom: "scaled" bottom: "conv" top: "sum" }\n'
    text = INPUT + CONV.replace("BIAS", "true") + BN + SCALE + two
    faster = check(load(tmp_path, text), tmp_path)
    assert list(faster.layers) == ["input", "conv", "scale", "sum"]  # the norm alone is folded


def test_what_is_not_affine_for_each_channel_stays(tmp_path):
    wide = SCALE.replace("scale_param {", "scale_param { num_axes: 2")
    text = INPUT + CONV.replace("BIAS", "true") + wide + RELU.replace("LAST", "scaled")
    assert list(check(load(tmp_path, text), tmp_path).layers) == ["input", "conv", "scale", "relu"]
    batch = BN.replace(
        'top: "conv" }', 'top: "conv" batch_norm_param { use_global_stats: false } }'
    )
    text = INPUT + CONV.replace("BIAS", "true") + batch + RELU.replace("LAST", "conv")
    assert list(check(load(tmp_path, text), tmp_path).layers) == ["input", "conv", "bn", "relu"]


def test_what_overflows_stays(tmp_path):
    net = load(tmp_path, INPUT + CONV.replace("BIAS", "true") + SCALE)
    with torch.no_grad():
        net.layers["scale"].weight.fill_(1e300)
        net.layers["conv"].weight.fill_(1e100)
    assert "scale" in net.optimize().layers


def test_layers_that_do_nothing_go(tmp_path):
    text = (
        INPUT
        + 'layer { name: "split" type: "Split" bottom: "data" top: "a" top: "b" }\n'
        + 'layer { name: "drop" type: "Dropout" bottom: "a" top: "a" }\n'
        + 'layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }\n'
        + 'layer { name: "last" type: "Dropout" bottom: "sum" top: "out" }\n'
    )
    faster = check(load(tmp_path, text), tmp_path)
    assert list(faster.layers) == ["input", "sum", "last"]  # an output keeps its name
    assert faster.notes[0] == "optimized: left out 2 layers that do nothing in testing"


@pytest.mark.parametrize("branches", [2, 3])
def test_the_selection_is_one_layer(tmp_path, branches):
    small = {"layers": (1, 2), "width": 32, "groups": 4, "num_classes": 5, "branches": branches}
    shapes = {"data": (2, 3, 56, 56), "label": (2,)}
    net = load(tmp_path, str(nets.sknet.sknet("small", **small)), input_shapes=shapes)
    faster = check(net, tmp_path)
    assert "optimized: fused 3 selections of kernels" in faster.notes
    types = [step.cls.__name__ for step in faster.steps]
    assert types.count("Selection") == 3
    assert not {"Axpy", "Slice", "CuDNNBatchNorm"} & set(types)
    assert "Softmax" not in types
    assert types.count("Reshape") == 3  # that of the scores into branches
    # another reader of the weights: nothing is fused there
    text = str(nets.sknet.sknet("small", **small))
    text += 'layer { name: "x" type: "Silence" bottom: "conv2_1/B_softmax" }\n'
    other = load(tmp_path, text, input_shapes=shapes).optimize()
    assert "optimized: fused 2 selections of kernels" in other.notes


def test_selection_is_the_softmax_of_the_branches():
    generator = torch.Generator().manual_seed(1701)
    scores = torch.randn(2, 3, 4, 1, generator=generator, dtype=torch.float64)
    branches = [torch.randn(2, 4, 5, 6, generator=generator, dtype=torch.float64) for _ in range(3)]
    want = torch.zeros(2, 4, 5, 6, dtype=torch.float64)
    for n in range(2):
        for c in range(4):
            powers = torch.exp(scores[n, :, c, 0])
            for m in range(3):
                want[n, c] += powers[m] / powers.sum() * branches[m][n, c]
    got = Selection(3)(scores, *branches)
    assert relative_error(got.numpy(), want.numpy()) <= 1e-14
    with pytest.raises(ShapeError, match=r"wants \(2, 3, 4\)"):
        Selection(3).shapes((2, 4, 3, 1), *[(2, 4, 5, 6)] * 3)


def test_the_network_itself_stays(tmp_path):
    text = INPUT + CONV.replace("BIAS", "false") + BN
    net = load(tmp_path, text)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.optimize()
    assert list(net.layers) == ["input", "conv", "bn"]
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.filterwarnings("ignore:.*script_method.*deprecated")  # torch's own
def test_compiled(tmp_path):
    net = load(tmp_path, INPUT + CONV.replace("BIAS", "false") + BN)
    faster = net.optimize(compile=True)
    assert faster.notes[-1] == "optimized: compiled by torch at the first call"
    with torch.no_grad():
        got, want = faster(data(net))["conv"], net(data(net))["conv"]
    assert relative_error(got.numpy(), want.numpy()) <= 1e-12


def test_training_networks_are_refused(tmp_path):
    net = load(tmp_path, INPUT + CONV.replace("BIAS", "true"), phase="TRAIN")
    with pytest.raises(UnsupportedError, match="a network of the TRAIN phase"):
        net.optimize()


@pytest.mark.parametrize("slope", [0.0, 0.25])
def test_a_convolution_does_its_relu(tmp_path, slope):
    relu = RELU.replace("LAST", "conv").replace(
        " }\n", f" relu_param {{ negative_slope: {slope} }} }}\n"
    )
    faster = check(load(tmp_path, INPUT + CONV.replace("BIAS", "true") + relu), tmp_path)
    assert list(faster.layers) == ["input", "conv"]
    last = onnx.load(tmp_path / "net.onnx").graph.node[-1]
    assert last.op_type == ("LeakyRelu" if slope else "Relu")


def test_a_relu_stays_where_another_reads_what_it_reads(tmp_path):
    two = 'layer { name: "sum" type: "Eltwise" bottom: "relu" bottom: "conv" top: "sum" }\n'
    text = INPUT + CONV.replace("BIAS", "true") + RELU.replace("LAST", "conv") + two
    assert "relu" in check(load(tmp_path, text), tmp_path).layers


@pytest.fixture
def packed(tmp_path):
    """Return a float network of two convolutions, the first with a leaky ReLU; and it packed."""
    leaky = RELU.replace("LAST", "conv").replace(" }\n", " relu_param { negative_slope: 0.5 } }\n")
    more = CONV.replace("data", "relu").replace('"conv"', '"more"').replace("group: 2", "stride: 2")
    text = INPUT + CONV.replace("BIAS", "true") + leaky + more.replace("BIAS", "false")
    net = load(tmp_path, text).float()
    faster = net.optimize()
    assert "optimized: packed the weights of 2 convolutions for oneDNN" in faster.notes
    exported = net.optimize(channels_last=False)
    assert not any("oneDNN" in note for note in exported.notes), "a file has no use of it"
    assert not any(isinstance(each, PackedConvolution) for each in exported.layers.values())
    return net, faster


def agree(net, faster, fed, tolerance=1e-6):
    with torch.no_grad():
        want, got = net(fed)["more"], faster(fed)["more"]
    assert relative_error(got.numpy(), want.numpy()) <= tolerance


@pytest.mark.skipif(not HAS_ONEDNN, reason="this torch has no oneDNN")
class TestPacked:
    """Convolutions whose weights lie in oneDNN's order."""

    def test_the_same_numbers_for_any_size(self, packed):
        net, faster = packed
        for shape in ((2, 4, 6, 7), (1, 4, 6, 7), (5, 4, 9, 8), (1, 4, 4, 4)):
            agree(net, faster, {"data": torch.randn(shape)})
        assert all(faster.layers[name]._packed is not None for name in ("conv", "more"))

    def test_a_new_weight_is_packed_anew(self, packed):
        net, faster = packed
        agree(net, faster, data(net))
        for each in packed:
            with torch.no_grad():
                each.layers["conv"].weight.mul_(-2)
                each.layers["more"].weight.data = each.layers["more"].weight.data * 3
        agree(net, faster, data(net))

    def test_a_copy_has_the_weights_once(self, packed):
        net, faster = packed
        agree(net, faster, data(net))
        for twin in (copy.deepcopy(faster), pickle.loads(pickle.dumps(faster))):
            assert twin.layers["conv"]._packed is None
            agree(net, twin, data(net))

    def test_blobs_are_shared_and_trained_as_before(self, tmp_path):
        rows = 'param { name: "w" share_mode: PERMISSIVE lr_mult: 3 } convolution_param {'
        first = CONV.replace("BIAS", "false").replace("convolution_param {", rows)
        second = first.replace('"conv"', '"more"').replace("num_output: 6", "num_output: 3")
        net = load(tmp_path, INPUT + first + second.replace("group: 2", "")).float()
        assert net.layers["more"].weight.shape != net.layers["conv"].weight.shape
        faster = net.optimize()
        agree(net, faster, data(net))
        assert all(type(faster.layers[name]) is PackedConvolution for name in ("conv", "more"))
        assert len(learnable(faster.layers)) == len(learnable(net.layers)) == 1
        assert learnable(faster.layers)[0].lr_mult == 3
        with torch.no_grad():
            for each in (net, faster):
                each.layers["conv"].weight.mul_(-2)
        agree(net, faster, data(net))

    def test_gradients_and_other_types_take_torchs_own(self, packed):
        net, faster = packed
        x = data(net)["data"].requires_grad_()
        (want,) = torch.autograd.grad(net({"data": x})["more"].sum(), x)
        (got,) = torch.autograd.grad(faster({"data": x})["more"].sum(), x)
        assert relative_error(got.numpy(), want.numpy()) <= 1e-6
        agree(net.double(), faster.double(), {"data": x.detach().double()}, 1e-12)
        assert faster.layers["conv"]._packed is None

    def test_in_inference_mode(self, packed):
        net, faster = packed
        with torch.inference_mode():
            agree(net, copy.deepcopy(faster), data(net))


RESIDUAL = """
layer { name: "sum" type: "Eltwise" bottom: "conv" bottom: "data" top: "sum" }
layer { name: "relu" type: "ReLU" bottom: "sum" top: "sum" }
layer { name: "more" type: "Convolution" bottom: "sum" top: "more" convolution_param {
  num_output: 3 kernel_size: 1 weight_filler { type: "xavier" } } }
"""
ADDED = "optimized: let 1 convolutions add the shortcut beside them"


@pytest.mark.skipif(not HAS_SUMS, reason="this torch's oneDNN does not add")
class TestShortcuts:
    """Convolutions that add what is added to their tops."""

    @pytest.mark.parametrize("relu", [True, False])
    @pytest.mark.parametrize("order", ["conv data", "data conv"])
    def test_the_same_numbers(self, tmp_path, relu, order):
        first, second = order.split()
        text = RESIDUAL.replace(
            'bottom: "conv" bottom: "data"', f'bottom: "{first}" bottom: "{second}"'
        )
        lines = [line for line in text.splitlines() if relu or "ReLU" not in line]
        net = load(tmp_path, INPUT + SAME + "\n".join(lines)).float()
        faster = net.optimize()
        assert list(faster.layers) == ["input", "conv", "more"]
        assert ADDED in faster.notes
        last = torch.channels_last
        for shape in ((2, 4, 6, 7), (1, 4, 5, 5)):
            x = torch.randn(shape)
            agree(net, faster, {"data": x})
            agree(net, net.optimize(channels_last=False), {"data": x.to(memory_format=last)})
            with torch.inference_mode():
                agree(net, copy.deepcopy(faster), {"data": x})
        agree(net.double(), faster.double(), {"data": x.double()}, 1e-12)

    @pytest.mark.parametrize("relu", [["Relu"], []], ids=["with a ReLU", "without"])
    def test_in_onnx(self, tmp_path, relu):
        lines = [line for line in RESIDUAL.splitlines() if relu or "ReLU" not in line]
        net = load(tmp_path, INPUT + SAME + "\n".join(lines)).float()
        x = torch.randn(net.input_shapes["data"])
        converter.export_onnx(net.optimize(), tmp_path / "net.onnx")
        types = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
        assert types == ["Conv", "Add", *relu, "Conv"]
        got = run_onnx(tmp_path / "net.onnx", {"data": x.numpy()})["more"]
        with torch.no_grad():
            assert relative_error(got, net({"data": x})["more"].numpy()) <= 1e-6

    def test_gradients_take_torchs_own(self, tmp_path):
        net = load(tmp_path, INPUT + SAME + RESIDUAL).float()
        x = torch.randn(net.input_shapes["data"], requires_grad=True)
        (want,) = torch.autograd.grad(net({"data": x})["more"].square().sum(), x)
        (got,) = torch.autograd.grad(net.optimize()({"data": x})["more"].square().sum(), x)
        assert relative_error(got.numpy(), want.numpy()) <= 1e-5

    @pytest.mark.parametrize(
        ("old", "new", "layers"),
        [
            ('top: "sum" }', 'top: "sum" eltwise_param { coeff: [1, -1] } }', "conv sum relu more"),
            ('top: "sum" }', 'top: "sum" eltwise_param { operation: MAX } }', "conv sum relu more"),
            ('"data" top', '"data" bottom: "data" top', "conv sum relu more"),
            ('bottom: "data" top', 'bottom: "conv" top', "conv sum relu more"),
            ('"ReLU"', '"ReLU" relu_param { negative_slope: 0.5 }', "conv relu more"),
            ('"ReLU"', '"Sigmoid"', "conv relu more"),
        ],
        ids=["weighted", "the larger", "of three", "of itself", "leaky", "another layer"],
    )
    def test_what_is_no_shortcut_stays(self, tmp_path, old, new, layers):
        net = load(tmp_path, INPUT + SAME + RESIDUAL.replace(old, new)).float()
        faster = net.optimize()
        assert list(faster.layers) == ["input", *layers.split()]
        agree(net, faster, data(net), 2e-6)

    def test_a_relu_of_its_own_comes_first(self, tmp_path):
        own = 'layer { name: "own" type: "ReLU" bottom: "conv" top: "conv" }\n'
        net = load(tmp_path, INPUT + SAME + own + RESIDUAL).float()
        faster = net.optimize()
        assert list(faster.layers) == ["input", "conv", "sum", "relu", "more"]
        agree(net, faster, data(net))

    def test_a_convolution_that_others_read_stays(self, tmp_path):
        two = 'layer { name: "two" type: "AbsVal" bottom: "conv" top: "two" }\n'
        net = load(tmp_path, INPUT + SAME + RESIDUAL + two).float()
        assert "sum" in net.optimize().layers


SUM = """
layer { name: "sum" type: "Eltwise" bottom: "data" bottom: "conv" top: "sum"
  eltwise_param { coeff: 0.5 coeff: -2 } }
layer { name: "mean" type: "Pooling" bottom: "sum" top: "mean"
  pooling_param { pool: AVE global_pooling: true } }
"""


def test_a_sum_is_averaged_before_it_is_added(tmp_path):
    faster = check(load(tmp_path, INPUT + SAME + SUM), tmp_path)
    assert list(faster.layers) == ["input", "conv", "sum/mean0", "sum/mean1", "sum"]
    assert faster.notes[0] == "optimized: let 1 sums be averaged before they are added"
    types = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert types.count("GlobalAveragePool") == 2


@pytest.mark.parametrize(
    "text",
    [
        SUM + 'layer { name: "two" type: "AbsVal" bottom: "sum" top: "two" }\n',
        SUM.replace("coeff: 0.5 coeff: -2", "operation: MAX"),
        SUM.replace("global_pooling: true", "kernel_size: 2"),
        SUM.replace("AVE", "MAX"),
        SUM.replace('"sum"\n', '"data"\n').replace('bottom: "sum"', 'bottom: "data"'),
        SUM.replace('bottom: "sum"', 'bottom: "conv"'),
    ],
    ids=["another reader", "not a sum", "not global", "not an average", "in place", "of no sum"],
)
def test_other_averages_stay(tmp_path, text):
    faster = check(load(tmp_path, INPUT + SAME + text), tmp_path)
    assert "mean" in faster.layers
    assert "sum" in faster.layers


def test_weights_of_five_axes_keep_their_layout(tmp_path: Path) -> None:
    text = 'input: "data" input_shape { dim: 1 dim: 2 dim: 4 dim: 5 dim: 6 }\n'
    net = load(tmp_path, text + CONV.replace("group: 2 bias_term: BIAS", "") + BN)
    assert net.params["conv"][0].dim() == 5
    check(net, tmp_path)

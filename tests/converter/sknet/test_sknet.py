"""The native SKNet against what Caffe computed with the released definitions."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

import converter
import prototxt
from caffe_layers.kernels import selection
from converter.sknet import (
    SKNet,
    caffe_names,
    from_net,
    load_caffemodel,
    save_caffemodel,
    sknet50,
    sknet101,
)
from converter.sknet import model as model_module
from prototxt import CaffeError, UnsupportedError, WeightError
from prototxt.nets.sknet import sknet as build_sknet

TOLERANCE = 1e-9
BLOBS = {"Convolution": 1, "CuDNNBatchNorm": 4, "InnerProduct": 2}
NETS = {"sknet50": sknet50, "sknet101": sknet101}


def loaded(name: str, checkpoints: Path, dtype: torch.dtype = torch.float64) -> SKNet:
    model = NETS[name]().to(dtype).eval()
    load_caffemodel(model, checkpoints / f"{name}.caffemodel")
    return model


def small(**options) -> SKNet:
    torch.manual_seed(1701)
    options = {"layers": (1, 2), "width": 32, "groups": 4, "num_classes": 5, **options}
    model = SKNet(**options).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight.data, module.running_var):
                value.uniform_(0.5, 1.5)
            for value in (module.bias.data, module.running_mean):
                value.normal_()
    return model


def assert_close(got, want, tolerance: float = TOLERANCE) -> None:
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= tolerance * np.abs(want).max()


@pytest.mark.parametrize("name", NETS)
def test_classifier_is_caffes(name, sknet, checkpoints):
    model = loaded(name, checkpoints)
    data = torch.from_numpy(np.load(sknet / "input.npz")["data"]).double()
    with torch.no_grad():
        scores = model(data)
    assert_close(scores, np.load(sknet / f"{name}_test64.npz")["classifier"])


def test_training_step_is_caffes(sknet, checkpoints):
    model = loaded("sknet50", checkpoints).train()
    batch = np.load(sknet / "train_input.npz")
    scores = model(torch.from_numpy(batch["data"]).double())
    loss = F.cross_entropy(scores, torch.from_numpy(batch["label"]).long().flatten())
    loss.backward()
    blobs = np.load(sknet / "sknet50_train_data64.npz")
    assert_close(scores.detach(), blobs["classifier"])
    assert_close(loss.detach(), blobs["loss"])

    statistics = np.load(sknet / "sknet50_train_bnstats64.npz")
    gradients = np.load(sknet / "sknet50_train_grad64.npz")
    state, parameters = model.state_dict(), dict(model.named_parameters())
    places = {f"{layer}[{index}]": key for key, (layer, index) in caffe_names(model).items()}
    assert len(statistics.files) == 2 * 85
    for place in statistics.files:
        assert_close(state[places[place]].flatten(), statistics[place].flatten())
    for place, key in places.items():
        if key not in parameters:
            continue
        gradient = parameters[key].grad.flatten().numpy()
        assert_close(np.abs(gradient).max(), gradients[f"{place}|stats"][2])
        picked = np.linspace(0, gradient.size - 1, min(64, gradient.size))
        picked = np.unique(picked.astype(np.int64))
        largest = gradients[f"{place}|stats"][2]
        error = np.abs(gradient[picked] - gradients[f"{place}|sample"]).max()
        assert error <= TOLERANCE * largest, place


@pytest.mark.parametrize("name", NETS)
def test_converted_graph_computes_the_same(name, sknet, checkpoints):
    graph = converter.load(
        sknet / f"{name}.prototxt", checkpoints / f"{name}.caffemodel", dtype=torch.float64
    )
    image = torch.from_numpy(np.load(sknet / "input.npz")["data"][:1]).double()
    with torch.no_grad():
        want = graph({"data": image})["classifier"]
        got = loaded(name, checkpoints)(image)
    assert_close(got, want, 1e-12)


def test_float32_is_as_near_as_caffes_float_run(sknet, checkpoints):
    model = loaded("sknet50", checkpoints, torch.float32)
    data = torch.from_numpy(np.load(sknet / "input.npz")["data"])
    with torch.no_grad():
        scores = model(data)
    want, caffe = (np.load(sknet / f"sknet50_test{bits}.npz")["classifier"] for bits in (64, 32))
    assert scores.dtype == torch.float32
    assert np.abs(scores.numpy() - want).max() <= 2 * np.abs(caffe - want).max()


def test_takes_320_as_well_as_224(checkpoints):
    model = loaded("sknet50", checkpoints, torch.float32)
    image = torch.randn(1, 3, 320, 320, generator=torch.Generator().manual_seed(1701))
    with torch.no_grad():
        large, smaller = model(image), model(image[..., 48:272, 48:272])
    assert large.shape == smaller.shape == (1, 1000)
    assert F.cosine_similarity(large, smaller).item() > 0.9


def small_caffe(folder: Path, **options) -> Path:
    """Write a small SKNet's definition for 64 x 64 images, of which it pools the last map whole."""
    definition = build_sknet(
        "small", (1, 2), width=32, num_classes=5, data=(2, 3, 64, 64), **options
    )
    path = folder / "small.prototxt"
    path.write_text(str(definition))
    return path


POOL = 'top: "avepool/7x7"\n  pooling_param { pool: AVE engine: CAFFE global_pooling: true }'
SMALLER = 'top: "avepool/7x7"\n  pooling_param { pool: AVE kernel_size: 5 }'


@pytest.mark.parametrize("options", [{}, {"branches": 1}, {"branches": 3}, {"attention": (7, 9)}])
@pytest.mark.parametrize("phase", ["TEST", "TRAIN"])
def test_native_network_is_the_converted_one(options, phase, tmp_path):
    path = small_caffe(tmp_path, groups=4, **options)
    net = converter.load(path, phase=phase, dtype=torch.float64)
    model = from_net(net)
    image = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        before = {key: value.clone() for key, value in net.state_dict().items()}
        scores = model(image)
        assert_close(scores, net({"data": image})["classifier"], 1e-12)
        for value in model.state_dict().values():
            value.zero_()
    if phase == "TEST":
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_format_holds_what_the_note_says(tmp_path):
    path = small_caffe(tmp_path, groups=4)
    net = converter.load(path)
    converter.save_caffemodel(net, tmp_path / "small.caffemodel")
    report = converter.convert(
        tmp_path / "small.caffemodel", None, tmp_path / "out", formats=["sknet"], verify_it=False
    )
    file = tmp_path / "out" / "small.sknet.safetensors"
    call = "SKNet(layers=(1, 2), branches=2, groups=4, attention=(32, 32), width=32, num_classes=5)"
    assert f"{file.name} is the state_dict of converter.sknet.{call}" in report.notes
    model = SKNet((1, 2), groups=4, attention=(32, 32), width=32, num_classes=5).eval()
    model.load_state_dict(load_file(file))
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert_close(model(image), net({"data": image})["classifier"], 1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("conv3_2/", "conv3_9/", "layer 'conv3_9/1x1_reduce' (Convolution) is not as SKNet's"),
        ("pad: 3", "pad: 4", "layer 'conv1/7x7_s2' (Convolution) is not as SKNet's"),
        (POOL, SMALLER, "layer 'avepool/7x7' (Pooling) is not as SKNet's"),
        ("momentum: 0.95", "eps: 1e-3", "layer 'conv1/7x7_s2/bn' (CuDNNBatchNorm) is not as"),
        ("conv2_1/", "unit/", "small lacks layers that every SKNet has"),
        ("", "SIGMOID", "layer 'more' (Sigmoid) is not SKNet's"),
    ],
)
def test_network_that_is_no_sknet_is_refused(old, new, message, tmp_path):
    path = small_caffe(tmp_path, groups=4)
    text = path.read_text()
    more = 'layer { name: "more" type: "Sigmoid" bottom: "classifier" top: "more" }'
    assert old in text
    path.write_text(text.replace(old, new) if old else text + more)
    with pytest.raises(UnsupportedError) as caught:
        converter.convert(path, None, tmp_path / "out", formats=["sknet"])
    assert f"no SKNet: {message}" in str(caught.value)
    assert not list((tmp_path / "out").glob("*.safetensors"))


@pytest.mark.parametrize(("height", "width"), [(3, 3), (7, 5), (33, 64)])
def test_takes_any_size(height, width):
    with torch.no_grad():
        scores = small()(torch.randn(2, 3, height, width))
    assert scores.shape == (2, 5)
    assert scores.isfinite().all()


def test_first_pooling_rounds_up_as_caffes_does():
    pool = small().maxpool
    for size in range(3, 20):
        assert pool(torch.zeros(1, 1, size, size)).shape[-1] == -((3 - size) // 2) + 1


@pytest.mark.parametrize("branches", [1, 2, 3, 4])
def test_selection_weighs_each_branch_by_a_softmax(branches):
    model = small(layers=(1,), branches=branches).double()
    kernels = model.stages[0][0].kernels
    if branches > 1:
        kernels.select.weight.data.normal_()
    x = torch.randn(2, 32, 6, 5, dtype=torch.float64)
    with torch.no_grad():
        outputs = np.stack([branch(x).numpy() for branch in kernels.branches])
        got = kernels(x)
        if branches == 1:
            assert torch.equal(got, torch.from_numpy(outputs[0]))
            return
        mean = torch.from_numpy(outputs.sum(0).mean((2, 3), keepdims=True))
        scores = kernels.select(kernels.fuse(mean)).numpy().reshape(2, branches, 32)
    weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    want = sum(weights[:, m, :, None, None] * outputs[m] for m in range(branches))
    assert_close(got, want, 1e-12)


def test_numbers_are_caffes():
    norms = [module for module in sknet50().modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 85
    assert {norm.eps for norm in norms} == {1e-5}
    assert {norm.momentum for norm in norms} == {1 - float(np.float32(0.95))}


def test_weights_are_drawn_as_the_released_fillers_do():
    torch.manual_seed(1701)
    model = sknet50()
    drawn = dict(model.named_parameters())

    def spread(key: str) -> float:
        return drawn[key].std().item()

    assert spread("stem.conv.weight") == pytest.approx((2 / (3 * 49)) ** 0.5, rel=0.05)
    unit = "stages.2.0"
    assert spread(f"{unit}.reduce.conv.weight") == pytest.approx((2 / 512) ** 0.5, rel=0.05)
    grouped = f"{unit}.kernels.branches.1.conv.weight"
    assert spread(grouped) == pytest.approx((2 / (512 / 32 * 9)) ** 0.5, rel=0.05)
    for key in (f"{unit}.kernels.fuse.conv.weight", f"{unit}.kernels.select.weight", "fc.weight"):
        assert spread(key) == pytest.approx(0.01, rel=0.05)
    assert not drawn["fc.bias"].any()
    assert (drawn["stem.bn.weight"] == 1).all()
    assert not drawn["stem.bn.bias"].any()


def test_size_is_the_papers():
    for build, millions in ((sknet50, 27.48), (sknet101, 48.69)):
        count = sum(parameter.numel() for parameter in build().parameters())
        assert round(count / 1e6, 2) == millions


def test_attention_is_narrower_in_sknet101s_second_stage_alone():
    def widths(model: SKNet) -> list[int]:
        return [stage[0].kernels.select.in_channels for stage in model.stages]

    assert widths(sknet50()) == [32, 32, 32, 64]
    assert widths(sknet101()) == [32, 16, 32, 64]
    assert widths(SKNet((1, 1), width=512, reduction=8)) == [64, 128]


@pytest.mark.parametrize("name", NETS)
def test_names_are_those_of_the_released_definition(name, sknet):
    model = NETS[name]()
    names = caffe_names(model)
    assert set(model.state_dict()) - set(names) == {
        key for key in model.state_dict() if key.endswith("num_batches_tracked")
    }
    assert set(names) <= set(model.state_dict())
    released = prototxt.read_net(sknet / f"{name}.prototxt")
    assert list(names.values()) == [
        (layer.name, index)
        for layer in released.layers
        for index in range(BLOBS.get(layer.type, 0))
    ]


@pytest.mark.parametrize("options", [{}, {"branches": 1}, {"branches": 3}, {"attention": (7, 9)}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_go_to_caffe_and_back(options, dtype, tmp_path):
    model = small(**options).to(dtype)
    with torch.no_grad():
        for key in caffe_names(model):
            model.state_dict()[key].div_(3)  # no float holds a double's third
    save_caffemodel(model, tmp_path / "net.caffemodel")
    other = small(**options).to(dtype)
    for value in other.state_dict().values():
        value.zero_()
    load_caffemodel(other, tmp_path / "net.caffemodel")
    names, state = caffe_names(model), other.state_dict()
    for key, value in model.state_dict().items():
        assert key not in names or torch.equal(value, state[key]), key


def test_saved_file_is_caffes_byte_for_byte(checkpoints, tmp_path):
    model = loaded("sknet50", checkpoints, torch.float32)
    save_caffemodel(model, tmp_path / "sknet50.caffemodel", "sknet50_basic")
    ours = (tmp_path / "sknet50.caffemodel").read_bytes()
    assert ours == (checkpoints / "sknet50.caffemodel").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": (1, 3)}, "layer 'conv3_3/1x1_reduce' and 10 others are missing"),
        ({"layers": (1, 1)}, "layer 'conv3_2/1x1_reduce' and 10 others are not the model's"),
        ({"num_classes": 6}, "layer 'classifier': blob 0 is (5, 128), wants (6, 128)"),
        (
            {"attention": (32, 8)},
            "layer 'conv3_1/B_fc1': blob 0 is (32, 64, 1, 1), wants (8, 64, 1, 1)",
        ),
    ],
)
def test_weights_of_another_network_are_refused(options, message, tmp_path):
    path = tmp_path / "net.caffemodel"
    save_caffemodel(small(), path)
    model = small(**options)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightError) as caught:
        load_caffemodel(model, path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_file_that_is_none_is_refused(tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(b"no weights")
    with pytest.raises(CaffeError):
        load_caffemodel(small(), path)


def test_model_stands_alone():
    tree = ast.parse(Path(model_module.__file__).read_text("utf-8"))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported == {"__future__", "collections", "functools", "typing", "torch"}


def test_units_take_the_selection_that_they_are_given():
    def weigh_of(model):
        (kernels,) = (m for m in model.modules() if isinstance(m, model_module.SelectiveKernel))
        return kernels.weigh

    assert weigh_of(small(layers=(1,))) is selection.select
    assert weigh_of(small(layers=(1,), weigh=model_module.weigh)) is model_module.weigh
    plain = model_module.PlainSKNet(layers=(1,), width=8, groups=2)
    assert weigh_of(plain) is model_module.weigh


def test_exports_with_any_batch_and_size():
    model = small(layers=(1,))
    image = torch.randn(2, 3, 40, 36)
    sizes = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    program = torch.export.export(model, (image,), dynamic_shapes=(sizes,))
    other = torch.randn(3, 3, 32, 51)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(other), model(other))

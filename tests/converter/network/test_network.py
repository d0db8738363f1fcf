"""A loaded network as a PyTorch module: what goes in, what comes out, and what torch does to it."""

from __future__ import annotations

import copy
import pickle
import weakref
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

import converter
from converter.formats import Options, get_format
from prototxt import ShapeError
from tests.support.definitions import layer
from tests.support.recorded import assert_close

LAYERS = (
    'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 3, 5, 4] } } }\n'
)
LABEL = 'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } } }\n'


def convolution(name: str, bottom: str, top: str = "", more: str = "", outputs: int = 3) -> str:
    return f"""layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{top or name}"
        {more} convolution_param {{ num_output: {outputs} kernel_size: 1
        weight_filler {{ type: "msra" }} bias_filler {{ type: "gaussian" }} }} }}\n"""


def scores(bottom: str = "data", name: str = "scores") -> str:
    return f"""layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}"
        inner_product_param {{ num_output: 4 weight_filler {{ type: "xavier" }} }} }}\n"""


def loss(name: str = "loss", bottom: str = "scores", more: str = "") -> str:
    return f"""layer {{ name: "{name}" type: "SoftmaxWithLoss" bottom: "{bottom}" bottom: "label"
        top: "{name}" {more} }}\n"""


ACCURACY = 'layer { name: "top-1" type: "Accuracy" bottom: "scores" bottom: "label" top: "top-1" }'
CLASSIFIER = LAYERS + LABEL + convolution("conv", "data") + scores("conv") + loss() + ACCURACY


DEEP = LAYERS + "".join(
    convolution(name, bottom) for name, bottom in (("a", "data"), ("b", "a"), ("c", "b"))
)


@pytest.fixture
def load(tmp_path: Path):
    def from_text(text: str, **options) -> converter.CaffeNet:
        (tmp_path / "net.prototxt").write_text(text)
        return converter.load(tmp_path / "net.prototxt", **options)

    return from_text


def images(batch: int = 2, seed: int = 1701) -> Tensor:
    return torch.randn(batch, 3, 5, 4, generator=torch.Generator().manual_seed(seed))


def labels(batch: int = 2) -> Tensor:
    return torch.arange(batch).remainder(4).float()


class TestInputs:
    """What a network takes."""

    @pytest.mark.parametrize("batch", [1, 2, 7])
    def test_any_batch(self, load, batch: int) -> None:
        net = load(CLASSIFIER)
        whole = net(images(7))["scores"]
        assert_close(
            net(images(7)[:batch])["scores"].detach(), whole[:batch].detach(), "scores", 1e-6
        )

    def test_inputs_may_be_left_out(self, load) -> None:
        net = load(CLASSIFIER)
        assert list(net({"data": images()})) == ["scores"]
        assert sorted(net({"data": images(), "label": labels()})) == ["loss", "top-1"]
        assert sorted(net.blobs({"data": images()})) == ["conv", "data", "scores"]
        assert list(net({"label": labels()})) == []
        assert list(net()) == []

    def test_a_bare_tensor_goes_to_the_first_input(self, load) -> None:
        net = load(CLASSIFIER)
        assert net.inputs == ["data", "label"]
        assert torch.equal(net(images())["scores"], net({"data": images()})["scores"])

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.uint8])
    def test_labels_of_any_type(self, load, dtype: torch.dtype) -> None:
        net = load(CLASSIFIER)
        want = net.loss({"data": images(), "label": labels()})
        got = net.loss({"data": images(), "label": labels().to(dtype)})
        assert got.item() == want.item()

    def test_stray_input(self, load) -> None:
        with pytest.raises(ShapeError) as caught:
            load(CLASSIFIER)({"image": images()})
        assert str(caught.value) == "'image' is no input\n  fix: the inputs are data, label"

    def test_wrong_shape_names_the_layer(self, load) -> None:
        net = load(CLASSIFIER)
        with pytest.raises(ShapeError) as caught:
            net(images()[:, :2])
        assert str(caught.value).startswith("layer 'conv' (Convolution): ")
        with pytest.raises(ShapeError, match=r"^layer 'scores' \(InnerProduct\): "):
            net(images()[:, :, 1:])
        with pytest.raises(ShapeError, match=r"^layer 'loss' \(SoftmaxWithLoss\): "):
            net({"data": images(), "label": labels(3)})

    def test_a_network_without_inputs(self, load) -> None:
        text = (
            'layer { name: "d" type: "DummyData" top: "d" dummy_data_param { shape { dim: 2 } } }'
        )
        net = load(text + 'layer { name: "p" type: "Power" bottom: "d" top: "p" }')
        assert net()["p"].shape == (2,)


class TestParts:
    """Layers, blobs and losses by Caffe's names."""

    def test_params_are_caffes_blobs(self, load) -> None:
        net = load(CLASSIFIER)
        assert {name: [tuple(b.shape) for b in row] for name, row in net.params.items()} == {
            "conv": [(3, 3, 1, 1), (3,)],
            "scores": [(4, 60), (4,)],
        }
        net.params["conv"][0].data.zero_()
        assert not net.layers["conv"].weight.any()

    def test_layers_by_name(self, load) -> None:
        net = load(CLASSIFIER)
        assert list(net.layers) == ["data", "label", "conv", "scores", "loss", "top-1"]
        assert "conv" in net.layers
        assert "data2" not in net.layers
        assert len(net.layers) == 6
        assert type(net.layers["conv"]).__name__ == "Convolution"
        assert dict(net.layers.items()).keys() == set(net.layers.keys())
        assert net.layers.values()[2] is net.layers["conv"]

    def test_loss_is_the_weighted_sum(self, load) -> None:
        text = CLASSIFIER + loss("second", more="loss_weight: 0.25")
        fed = {"data": images(), "label": labels()}
        net = load(text)
        single = net.blobs(fed)["loss"].item()
        assert net.loss(fed).item() == pytest.approx(1.25 * single)
        net.loss(fed).backward()
        assert net.params["conv"][0].grad is not None

    def test_no_loss(self, load) -> None:
        with pytest.raises(ShapeError, match="no loss is computed from these inputs"):
            load(CLASSIFIER).loss({"data": images()})

    def test_a_blob_written_in_place_shows_its_last_version(self, load) -> None:
        relu = 'layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }\n'
        net = load(LAYERS + convolution("conv", "data") + relu)
        values = net.values(images())
        assert values["conv/by/conv"].min() < 0 <= values["conv"].min()
        assert torch.equal(net.blobs(images())["conv"], values["conv"])
        fed = images()
        before = fed.clone()
        over = load(LAYERS + relu.replace("conv", "data"))
        assert over(fed)["data"].min() >= 0
        assert torch.equal(fed, before), "the caller's tensor is left alone"


KEYS = {
    "loss": "loss",
    "weight": "weight",
    "a.b": "a%2Eb",
    "a%2Eb": "a%252Eb",
    "a/b.c": "a/b%2Ec",
    "0": "0",
    "": "%",
    "ä %": "ä %25",
    # Attributes of a module: `layers.type` would not be the layer.
    "type": "%74ype",
    "training": "%74raining",
    "forward": "%66orward",
    "layers": "layers",
}
"""Layers' names, and how state_dict quotes them."""


class TestNames:
    """Any name that Caffe takes."""

    @pytest.mark.parametrize("name", KEYS)
    def test_any_name(self, load, name: str, tmp_path: Path) -> None:
        net = load(LAYERS + convolution(name, "data", "top"))
        assert list(net.params) == [name]
        assert list(net.state_dict()) == [f"layers.{KEYS[name]}.{b}" for b in ("weight", "bias")]
        converter.save_caffemodel(net, tmp_path / "net.caffemodel")
        back = converter.load(tmp_path / "net.prototxt", tmp_path / "net.caffemodel")
        assert torch.equal(back.params[name][0], net.params[name][0])
        back.load_state_dict(net.state_dict())
        converter.export_onnx(net, tmp_path / "net.onnx")
        converter.check_onnx(tmp_path / "net.onnx")
        names = [w.name for w in onnx.load(tmp_path / "net.onnx").graph.initializer]
        assert names == [f"{name}.weight", f"{name}.bias"]
        options = Options()
        assert get_format("safetensors").write(net, tmp_path / "net.safetensors", options) == []
        with safe_open(tmp_path / "net.safetensors", "pt") as file:
            assert sorted(file.keys()) == [f"{name}.bias", f"{name}.weight"]

    @pytest.mark.parametrize("name", ["loss", "type", "training", "a.b"])
    def test_any_name_goes_through_torch_export(self, load, name: str) -> None:
        net = load(LAYERS + convolution(name, "data"))
        got = torch.export.export(net, ({"data": images()},)).module()({"data": images()})
        assert_close(got[name].detach(), net(images())[name].detach(), name, 1e-6)

    def test_one_name_twice(self, load, tmp_path: Path) -> None:
        net = load(LAYERS + convolution("conv", "data", "a") + convolution("conv", "data", "b"))
        assert list(net.params) == ["conv", "conv#2"]
        assert not torch.equal(net.params["conv"][0], net.params["conv#2"][0])
        blobs = net(images())
        assert not torch.equal(blobs["a"], blobs["b"])
        converter.save_caffemodel(net, tmp_path / "net.caffemodel")

    def test_state_dict_goes_into_another_network(self, load) -> None:
        net, other = load(CLASSIFIER), load(CLASSIFIER, seed=7)
        assert not torch.equal(net(images())["scores"], other(images())["scores"])
        other.load_state_dict(net.state_dict())
        assert torch.equal(net(images())["scores"], other(images())["scores"])


class TestTorch:
    """What PyTorch users do with modules."""

    @pytest.mark.parametrize(
        ("dtype", "tolerance"), [(torch.float16, 5e-3), (torch.bfloat16, 4e-2)]
    )
    def test_half_precision(self, tiny_sk: Path, dtype: torch.dtype, tolerance: float) -> None:
        net = tiny(tiny_sk)
        x = torch.randn(2, 3, 20, 20, generator=torch.Generator().manual_seed(1701))
        with torch.no_grad():
            want = net(x)["classifier"]
            got = net.to(dtype)(x.to(dtype))["classifier"]
        assert got.dtype == dtype
        assert net.dtype == dtype
        assert_close(got.float(), want, "classifier", tolerance)

    @pytest.mark.parametrize("backend", ["eager", "aot_eager"])
    def test_compile(self, tiny_sk: Path, backend: str) -> None:
        net = tiny(tiny_sk)
        torch._dynamo.reset()
        compiled = torch.compile(net, backend=backend, fullgraph=True)
        for batch in (2, 3):
            x = torch.randn(batch, 3, 20, 20)
            assert_close(
                compiled({"data": x})["classifier"].detach(),
                net({"data": x})["classifier"].detach(),
                "classifier",
                1e-6,
            )

    @pytest.mark.filterwarnings("ignore:.*Function.* should not be instantiated")  # dynamo's own
    def test_compiled_training(self, load) -> None:
        net = load(CLASSIFIER, phase="TRAIN")
        fed = {"data": images(), "label": labels()}
        torch._dynamo.reset()
        torch.compile(net, backend="aot_eager", fullgraph=True)(fed)["loss"].backward()
        got = [p.grad.clone() for p in net.parameters()]
        net.zero_grad()
        net.loss(fed).backward()
        for mine, want in zip(got, net.parameters(), strict=True):
            assert_close(mine, want.grad, "gradient", 1e-5)

    def test_export(self, tiny_sk: Path) -> None:
        net = tiny(tiny_sk)
        x = torch.randn(2, 3, 20, 20)
        shapes = ({"data": {0: torch.export.Dim("batch")}},)
        program = torch.export.export(net, ({"data": x},), dynamic_shapes=shapes)
        other = torch.randn(5, 3, 20, 20)
        with torch.no_grad():
            want, got = net({"data": other}), program.module()({"data": other})
        assert_close(got["classifier"], want["classifier"], "classifier", 1e-6)

    def test_copy_and_pickle(self, load) -> None:
        net = load(CLASSIFIER + loss("second"))
        want = net(images())["scores"]
        for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert torch.equal(other(images())["scores"], want)
            other.params["conv"][0].data.zero_()
        assert torch.equal(net(images())["scores"], want)

    def test_copies_of_shared_blobs_stay_shared(self, load) -> None:
        named = 'param { name: "w" } param { name: "b" }'
        text = LAYERS + convolution("a", "data", more=named) + convolution("b", "a", more=named)
        net = load(text)
        for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net.double()):
            other.params["a"][0].data.fill_(7)
            assert (other.params["b"][0] == 7).all()
            assert len(list(other.parameters())) == 2

    def test_blobs_shared_in_another_shape_survive_a_copy(self, load) -> None:
        text = LAYERS + scores(name="a").replace(
            "inner_product_param", "param { name: 'w' } inner_product_param"
        )
        text += """layer { name: "b" type: "Scale" bottom: "data" top: "b"
            param { name: "w" share_mode: PERMISSIVE } scale_param { axis: 0 num_axes: -1 } }"""
        text = text.replace("num_output: 4", "num_output: 2")
        net = load(text)
        other = copy.deepcopy(net)
        other.params["a"][0].data.fill_(7)
        assert (other.params["b"][0] == 7).all()
        assert not (net.params["b"][0] == 7).any()

    def test_device_and_dtype(self, load) -> None:
        net = load(CLASSIFIER, dtype=torch.float64, device="cpu")
        assert (net.dtype, net.device) == (torch.float64, torch.device("cpu"))
        assert net(images().double())["scores"].dtype == torch.float64


def tiny(tiny_sk: Path, **options) -> converter.CaffeNet:
    return converter.load(tiny_sk / "tiny_sk.prototxt", tiny_sk / "tiny_init.caffemodel", **options)


DROPOUT = 'layer { name: "drop" type: "Dropout" bottom: "data" top: "drop" %s }\n'


class TestModes:
    """Phases, and what is trained."""

    def test_phase_sets_the_mode(self, load) -> None:
        assert not load(LAYERS + DROPOUT % "").training
        assert load(LAYERS + DROPOUT % "", phase="TRAIN").training

    def test_train_and_eval_change_layers_without_a_phase(self, load) -> None:
        net = load(LAYERS + DROPOUT % "" + DROPOUT.replace("drop", "test") % "phase: TEST")
        net.train()
        blobs = net.blobs(images())
        assert (blobs["drop"] == 0).any()
        assert torch.equal(blobs["test"], blobs["data"])
        net.eval()
        assert torch.equal(net.blobs(images())["drop"], blobs["data"])
        always = load(LAYERS + DROPOUT % "phase: TRAIN")
        assert (always.eval()(images())["drop"] == 0).any()

    def test_phase_picks_layers(self, load) -> None:
        text = LAYERS + DROPOUT % "include { phase: TRAIN }"
        assert list(load(text + convolution("conv", "data")).layers) == ["data", "conv"]
        with pytest.raises(ShapeError, match="'drop' is no layer's top") as caught:
            load(text + convolution("conv", "drop"))
        assert caught.value.fix.startswith(
            "what makes it is left out: layer 'drop' (Dropout) by include { phase: TRAIN }; --phase"
        )
        with pytest.raises(ShapeError) as caught:
            load(text + convolution("conv", "dorp"))
        assert caught.value.fix.startswith("is it misspelt? An input's shape can be given")

    def test_rows_that_values_leave_out_are_checked(self, load) -> None:
        net = load(
            """
            layer { name: "in" type: "Input" top: "x" top: "keep"
                    input_param { shape { dim: 3 dim: 2 } shape { dim: 3 } } }
            layer { name: "filter" type: "Filter" bottom: "x" bottom: "keep" top: "rows" }
            layer { name: "fc" type: "InnerProduct" bottom: "rows" top: "fc"
                    inner_product_param { num_output: 2 axis: 0 } }
            """
        )
        x = torch.ones(3, 2)
        assert net({"x": x, "keep": torch.ones(3)})["fc"].shape == (2,)
        with pytest.raises(ShapeError) as caught:
            net({"x": x, "keep": torch.tensor([1.0, 0, 1])})
        assert str(caught.value) == (
            "layer 'fc' (InnerProduct): bottom (2, 2) has 4 values from axis 0 on, wants 6"
        )

    def test_propagate_down(self, load) -> None:
        below, above = convolution("below", "data"), convolution("above", "below")
        fed = {"data": images(), "label": labels()}
        for more, reaches in (("", True), ("propagate_down: false", False)):
            text = (
                LAYERS
                + LABEL
                + below
                + above.replace("convolution_param", f"{more} convolution_param")
            )
            net = load(text + scores("above") + loss(), phase="TRAIN")
            got = converter.backward(net, fed)
            assert got.params["above"][0].any()
            assert bool(got.params["below"][0].any()) is reaches
            assert bool(got.diffs["below"].any()) is reaches

    def test_a_layer_that_passes_no_diff_on_has_its_own(self, load) -> None:
        relu = (
            'layer { name: "relu" type: "ReLU" bottom: "conv" top: "relu" propagate_down: false }'
        )
        text = LAYERS + LABEL + convolution("conv", "data") + relu + scores("relu") + loss()
        got = converter.backward(load(text, phase="TRAIN"), {"data": images(), "label": labels()})
        assert got.diffs["relu"].any()
        assert not got.diffs["conv"].any()

    @pytest.mark.parametrize(("rows", "has"), [("", True), ("param { lr_mult: 0 } " * 3, False)])
    def test_statistics_without_rows_have_a_diff_above(self, load, rows, has) -> None:
        norm = f'layer {{ name: "norm" type: "BatchNorm" bottom: "data" top: "norm" {rows} }}'
        text = LAYERS + LABEL + norm + scores("norm") + loss()
        got = converter.backward(load(text, phase="TRAIN"), {"data": images(), "label": labels()})
        assert bool(got.diffs["norm"].any()) is has

    def test_a_learning_rate_of_0_asks_no_gradient(self, load) -> None:
        frozen = convolution("conv", "data", more="param { lr_mult: 0 } param { lr_mult: 2 }")
        text = LAYERS + LABEL + frozen + scores("conv") + loss()
        fed = {"data": images(), "label": labels()}
        net = load(text, phase="TRAIN")
        assert [blob.requires_grad for blob in net.params["conv"]] == [False, True]
        assert [net.layers["conv"].lr_mult(blob) for blob in (0, 1)] == [0, 2]
        assert not converter.backward(net, fed).params["conv"][0].any()
        forced = load("force_backward: true\n" + text, phase="TRAIN")
        assert all(blob.requires_grad for blob in forced.params["conv"])
        got = converter.backward(forced, fed)
        assert got.params["conv"][0].any()
        assert got.diffs["data"].any()

    def test_statistics_are_buffers(self, tiny_sk: Path) -> None:
        net = tiny(tiny_sk, phase="TRAIN")
        kinds = [isinstance(blob, nn.Parameter) for blob in net.params["conv1/bn"]]
        assert kinds == [True, True, False, False]

    def test_seed(self, load) -> None:
        first, again, other = (load(CLASSIFIER, seed=seed) for seed in (1, 1, 2))
        assert torch.equal(first.params["conv"][0], again.params["conv"][0])
        assert not torch.equal(first.params["conv"][0], other.params["conv"][0])
        assert np.isfinite(first.params["conv"][0].detach().numpy()).all()


def test_layers_of_eight_bits_are_named(tmp_path: Path) -> None:
    text = """
    input: "data" input_shape { dim: 1 dim: 2 dim: 4 dim: 4 }
    layer { name: "c" type: "Convolution" bottom: "data" top: "c"
      convolution_param { num_output: 2 kernel_size: 1 }
      quantization_param { bw_layer_in: 8 scale_in: 3.5 } }
    """
    (tmp_path / "net.prototxt").write_text(text)
    (note,) = converter.load(tmp_path / "net.prototxt").notes
    assert note.startswith("1 layers from 'c' on have a quantization_param: this is the float net")


def test_values_are_let_go_after_their_last_use(load) -> None:
    net = load(DEEP)
    seen: list[weakref.ref[Tensor]] = []
    alive: list[bool] = []
    net.layers["a"].register_forward_hook(lambda *args: seen.append(weakref.ref(args[2])))
    net.layers["c"].register_forward_hook(lambda *args: alive.append(seen[-1]() is not None))
    with torch.no_grad():
        outputs = net({"data": images()})
        blobs = net.blobs({"data": images()})
    assert alive == [False, True]  # `blobs` shows them all
    assert set(outputs) == {"c"}
    assert set(blobs) == {"data", "a", "b", "c"}


def test_a_loss_that_is_read_stays_for_the_sum(load) -> None:
    half = 'layer { name: "half" type: "Power" bottom: "loss" top: "half" loss_weight: 4 }'
    net = load(CLASSIFIER + half, phase="TRAIN")
    fed = {"data": images(), "label": labels()}
    blobs = net.blobs(fed)
    assert net.loss(fed).item() == pytest.approx(5 * blobs["loss"].item())


def test_an_earlier_value_takes_no_blobs_name(tmp_path: Path) -> None:
    definition = layer("in", "Input", "", "x", "input_param { shape { dim: [2, 3] } }")
    definition += layer("a", "AbsVal", "x", "y") + layer("b", "Power", "y", "y/by/a")
    definition += layer("c", "Exp", "y", "y")
    (tmp_path / "net.prototxt").write_text(definition)
    net = converter.load(tmp_path / "net.prototxt")
    assert [step.tops for step in net.steps][1:] == [("y/by/a_",), ("y/by/a",), ("y",)]
    graph = converter.export_onnx(net, tmp_path / "net.onnx")
    names = [name for node in graph.nodes for name in node.output]
    assert len(names) == len(set(names))
    assert not [name for name in names if "@" in name]

"""The ONNX file of a network: opsets, free axes, metadata, weights beside it, what is left out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import converter
from converter.onnx.emit import emit
from converter.onnx.file import write_onnx
from converter.onnx.model import run_exposed
from converter.onnx.runtime import run_onnx
from converter.version import VERSION
from prototxt import ShapeError, UnsupportedError
from tests.support.opsets import OPSETS
from tests.support.recorded import assert_close

FLOAT32 = 1e-5
"""Of a blob's largest value: two engines in float32, ten layers deep."""
INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 3] } } }\n'
SCORES = """layer { name: "scores" type: "InnerProduct" bottom: "BOTTOM" top: "scores"
    inner_product_param { num_output: 4 } }"""
LOSSES = ["label", "loss", "top-1"]


@pytest.fixture
def net(tiny_sk: Path) -> converter.CaffeNet:
    return converter.load(tiny_sk / "tiny_sk.prototxt", tiny_sk / "tiny_final_iter_12.caffemodel")


def write(folder: Path, text: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text(text)
    return path


def images(batch: int = 3, height: int = 20, width: int = 20) -> np.ndarray:
    shape = (batch, 3, height, width)
    return np.random.default_rng(1701).standard_normal(shape).astype(np.float32)


def torch_blobs(net: converter.CaffeNet, data: np.ndarray) -> dict[str, np.ndarray]:
    with torch.no_grad():
        return {name: blob.numpy() for name, blob in net.blobs(torch.from_numpy(data)).items()}


def sizes(infos) -> dict[str, list[int | str]]:
    return {
        info.name: [dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim]
        for info in infos
    }


@pytest.mark.parametrize("opset", OPSETS)
def test_every_blob_at_every_opset(net: converter.CaffeNet, opset: int, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, opset=opset)
    converter.check_onnx(path)
    model = onnx.load(path)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", opset)]
    assert run_onnx(path, {"data": images()}).keys() == {"classifier"}
    want = torch_blobs(net, images())
    del want["data"]
    got = run_exposed(path, {"data": images()}, list(want))
    assert got.keys() == want.keys(), "every blob keeps its name"
    for name, value in want.items():
        assert_close(got[name], value, name, FLOAT32)


def test_default_opset_needs_no_new_runtime(net: converter.CaffeNet, tmp_path: Path) -> None:
    converter.export_onnx(net, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)


@pytest.mark.parametrize("opset", [12, onnx.defs.onnx_opset_version() + 1])
def test_other_opsets_are_refused(net: converter.CaffeNet, opset: int, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        converter.export_onnx(net, tmp_path / "net.onnx", opset=opset)
    newest = onnx.defs.onnx_opset_version()
    assert str(caught.value) == f"opset {opset} is not in 13..{newest}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("dynamic", "want", "shapes"),
    [
        ((), [8, 3, 20, 20], [(8, 20, 20)]),
        (("batch",), ["batch", 3, 20, 20], [(1, 20, 20), (5, 20, 20)]),
        (("height", "width"), [8, 3, "height", "width"], [(8, 20, 20), (8, 27, 18)]),
        (("batch", "height", "width"), ["batch", 3, "height", "width"], [(2, 33, 26)]),
    ],
)
def test_free_axes(dynamic, want, shapes, tiny_sk: Path, tmp_path: Path) -> None:
    weights = tiny_sk / "tiny_final_iter_12.caffemodel"
    net = converter.load(tiny_sk / "tiny_sk.prototxt", weights, global_pool=True)
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, dynamic=dynamic)
    converter.check_onnx(path)
    model = onnx.load(path)
    assert sizes(model.graph.input) == {"data": want}
    assert sizes(model.graph.output) == {"classifier": [want[0], 10]}
    for batch, height, width in shapes:
        data = images(batch, height, width)
        blobs = torch_blobs(net, data)
        got = run_exposed(path, {"data": data}, list(blobs))
        for name, value in got.items():
            assert_close(value, blobs[name], f"{name} at {data.shape}", FLOAT32)


def test_axes_that_cannot_be_free_are_refused(net: converter.CaffeNet, tmp_path: Path) -> None:
    with pytest.raises(ShapeError) as caught:
        converter.export_onnx(net, tmp_path / "net.onnx", dynamic=("depth",))
    assert str(caught.value) == "dynamic axis 'depth' is none of batch, height, width"
    fixed = converter.load(
        write(tmp_path, INPUT.replace("[2, 3]", "[2, 3, 5, 5]") + SCORES.replace("BOTTOM", "x"))
    )
    with pytest.raises(ShapeError) as caught:
        converter.export_onnx(fixed, tmp_path / "net.onnx", dynamic=("height",))
    message = str(caught.value)
    assert message.startswith("with another height: layer 'scores' (InnerProduct): ")
    assert message.endswith("\n  fix: export with fewer dynamic axes, or none")
    assert not list(tmp_path.glob("*.onnx"))


def test_shapes_of_the_callers(net: converter.CaffeNet, tmp_path: Path) -> None:
    shapes = {"data": (3, 3, 20, 20)}
    converter.export_onnx(net, tmp_path / "net.onnx", dynamic=(), input_shapes=shapes)
    graph = onnx.load(tmp_path / "net.onnx").graph
    assert sizes(graph.input) == {"data": [3, 3, 20, 20]}
    assert sizes(graph.output) == {"classifier": [3, 10]}


def test_metadata_tell_the_origin(net: converter.CaffeNet, tiny_sk: Path, tmp_path: Path) -> None:
    converter.export_onnx(net, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    assert (model.producer_name, model.producer_version) == ("caffeport", VERSION)
    assert model.graph.name == "tiny_sk"
    files = ("tiny_sk.prototxt", "tiny_final_iter_12.caffemodel")
    hashes = [hashlib.sha256((tiny_sk / name).read_bytes()).hexdigest() for name in files]
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "caffeport.version": VERSION,
        "caffe.net": files[0],
        "caffe.net.sha256": hashes[0],
        "caffe.weights": files[1],
        "caffe.weights.sha256": hashes[1],
    }


def test_metadata_do_not_vouch_for_a_changed_file(tiny_sk: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.prototxt", tmp_path / "second.prototxt"
    for path in (first, second):
        path.write_bytes((tiny_sk / "tiny_sk.prototxt").read_bytes())
    nets = [converter.load(path) for path in (first, second)]
    first.write_text(first.read_text() + "# changed\n")
    second.unlink()
    for net in nets:
        graph = converter.export_onnx(net, tmp_path / "net.onnx")
        said = "the file has changed since it was loaded"
        assert graph.metadata["caffe.net.sha256"] == said


def test_equal_networks_give_equal_bytes(tiny_sk: Path, tmp_path: Path) -> None:
    files = (tiny_sk / "tiny_sk.prototxt", tiny_sk / "tiny_init.caffemodel")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        converter.export_onnx(converter.load(*files), tmp_path / name / "net.onnx")
    first, second = ((tmp_path / n / "net.onnx").read_bytes() for n in ("first", "second"))
    assert first == second


def test_weights_beside_the_model(net: converter.CaffeNet, tmp_path: Path) -> None:
    path, data = tmp_path / "net.onnx", tmp_path / "net.onnx.data"
    whole = tmp_path / "whole.onnx"
    graph = emit(net)
    assert write_onnx(graph, whole, VERSION) == [whole]
    size = whole.stat().st_size
    assert write_onnx(graph, tmp_path / "fits.onnx", VERSION, limit=size + 16) == [
        tmp_path / "fits.onnx"
    ]
    assert write_onnx(graph, path, VERSION, limit=size - 16) == [path, data]
    assert path.stat().st_size < size / 2
    converter.check_onnx(path)
    feeds = {"data": images()}
    want = run_onnx(whole, feeds)
    for name, value in run_onnx(path, feeds).items():
        assert np.array_equal(value, want[name])
    assert run_exposed(path, feeds, ["conv1"])["conv1"].shape == (3, 16, 20, 20)
    beside = 0
    for weight in onnx.load(path, load_external_data=False).graph.initializer:
        if weight.data_location != onnx.TensorProto.EXTERNAL:
            assert len(weight.raw_data) < 1024
            continue
        beside += 1
        place = {entry.key: entry.value for entry in weight.external_data}
        assert place["location"] == data.name
        assert int(place["offset"]) % 64 == 0
    weights = {w.name: w.raw_data for w in onnx.load(str(whole)).graph.initializer}
    assert 0 < beside == sum(len(raw) >= 1024 for raw in weights.values()) < len(weights)
    loaded = {w.name: w.raw_data for w in onnx.load(str(path)).graph.initializer}
    assert loaded == weights


def test_weights_beside_the_model_may_be_mapped(tmp_path: Path) -> None:
    two = SCORES.replace("BOTTOM", "x") + SCORES.replace("BOTTOM", "x").replace("scores", "more")
    text = INPUT.replace("[2, 3]", "[2, 75]") + two.replace("num_output: 4", "num_output: 5")
    graph = emit(converter.load(write(tmp_path, text)))
    write_onnx(graph, tmp_path / "net.onnx", VERSION, limit=0)
    weights = onnx.load(tmp_path / "net.onnx", load_external_data=False).graph.initializer
    places = [
        {entry.key: int(entry.value) for entry in weight.external_data[1:]} for weight in weights
    ]
    assert [place for place in places if place] == [
        {"offset": 0, "length": 1500},
        {"offset": 1536, "length": 1500},
    ]


def test_weights_are_no_inputs(net: converter.CaffeNet, tmp_path: Path) -> None:
    converter.export_onnx(net, tmp_path / "net.onnx", with_losses=True)
    graph = onnx.load(tmp_path / "net.onnx").graph
    inputs = {value.name for value in graph.input}
    weights = {value.name for value in graph.initializer}
    assert inputs == {"data", "label"}
    assert {"conv1.weight", "conv1/bn.running_mean", "classifier.bias"} <= weights
    assert not inputs & weights
    assert len(weights) == len(graph.initializer)
    assert weights <= {name for node in graph.node for name in node.input}


def test_losses_are_left_out(net: converter.CaffeNet, tmp_path: Path) -> None:
    converter.export_onnx(net, tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    assert not names.intersection(LOSSES)
    assert sizes(graph.input).keys() == {"data"}


def test_losses_are_kept_when_asked_for(net: converter.CaffeNet, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, with_losses=True)
    converter.check_onnx(path)
    label = np.array([1, 7, 4], np.float32)
    got = run_onnx(path, {"data": images(), "label": label})
    fed = {"data": torch.from_numpy(images()), "label": torch.from_numpy(label)}
    want = net(fed)
    assert got.keys() == want.keys() == {"loss", "top-1"}
    for name, value in want.items():
        assert_close(got[name], value.detach(), name, FLOAT32)
    assert converter.verify(net, path).passed


def test_softmax_ends_in_probabilities(net: converter.CaffeNet, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, softmax=True)
    converter.check_onnx(path)
    (name, got), *rest = run_onnx(path, {"data": images()}).items()
    assert (name, rest) == ("softmax", [])
    scores = torch.from_numpy(torch_blobs(net, images())["classifier"])
    assert_close(got, scores.softmax(1), "softmax", FLOAT32)
    report = converter.verify(net, path)
    assert report.passed
    assert [row.blob for row in report.comparisons[0].rows] == ["softmax"]


def test_softmax_of_a_softmax_is_not_taken(tmp_path: Path) -> None:
    text = INPUT + 'layer { name: "prob" type: "Softmax" bottom: "x" top: "prob" }'
    net = converter.load(write(tmp_path, text))
    assert len(emit(net, with_losses=True).notes) == 1
    graph = emit(net, softmax=True)
    assert "--softmax changes nothing" in graph.notes[0]
    assert [node.op_type for node in graph.nodes] == ["Softmax"]
    assert list(graph.outputs) == ["prob"]


def test_softmax_takes_no_name_that_a_blob_has(tmp_path: Path) -> None:
    relu = 'layer { name: "relu" type: "ReLU" bottom: "softmax" top: "y" }'
    net = converter.load(write(tmp_path, INPUT.replace('"x"', '"softmax"') + relu))
    converter.export_onnx(net, tmp_path / "net.onnx", softmax=True)
    converter.check_onnx(tmp_path / "net.onnx")
    assert converter.verify(net, tmp_path / "net.onnx").passed


def test_softmax_of_several_outputs_is_refused(tmp_path: Path) -> None:
    two = [f'layer {{ name: "{n}" type: "ReLU" bottom: "x" top: "{n}" }}\n' for n in "ab"]
    net = converter.load(write(tmp_path, INPUT + "".join(two)))
    with pytest.raises(UnsupportedError) as caught:
        emit(net, softmax=True)
    assert str(caught.value) == "softmax wants one output, the network has 2"


def test_folded(net: converter.CaffeNet, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, fold_bn=True)
    converter.check_onnx(path)
    kinds = [node.op_type for node in onnx.load(str(path)).graph.node]
    assert "BatchNormalization" not in kinds
    want = torch_blobs(net, images())["classifier"]
    assert_close(run_onnx(path, {"data": images()})["classifier"], want, "classifier", FLOAT32)
    assert converter.verify(net, path).passed


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_number_types(tiny_sk: Path, dtype: torch.dtype, tmp_path: Path) -> None:
    files = (tiny_sk / "tiny_sk.prototxt", tiny_sk / "tiny_init.caffemodel")
    net = converter.load(*files, dtype=dtype)
    converter.export_onnx(net, tmp_path / "net.onnx")
    converter.check_onnx(tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    kinds = {v.type.tensor_type.elem_type for v in [*graph.input, *graph.output]}
    want = {torch.float64: onnx.TensorProto.DOUBLE, torch.float16: onnx.TensorProto.FLOAT16}
    assert kinds == {want[dtype]}
    (first, *rest) = converter.verify(net, tmp_path / "net.onnx").comparisons
    if dtype == torch.float64:
        assert first.skipped.startswith("ONNX Runtime cannot run the model")
    else:
        assert first.passed
        assert not first.skipped
        assert len(rest) == 1


def test_bfloat16_is_refused(net: converter.CaffeNet, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"no ONNX export of torch\.bfloat16"):
        converter.export_onnx(net.bfloat16(), tmp_path / "net.onnx")


def test_a_wrong_weight_in_the_file_is_found(net: converter.CaffeNet, tmp_path: Path) -> None:
    converter.export_onnx(net, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    (weight,) = (w for w in model.graph.initializer if w.name == "u/3x3g4.weight")
    values = onnx.numpy_helper.to_array(weight).copy()
    values.flat[5] += 0.01
    weight.raw_data = values.tobytes()
    onnx.save(model, tmp_path / "net.onnx")
    report = converter.verify(net, tmp_path / "net.onnx")
    assert not report.passed
    exposed = report.comparisons[1]
    assert exposed.first_bad is not None
    assert exposed.first_bad.blob == "u/3x3g4"

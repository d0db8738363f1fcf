"""DummyData and the layers that are fed, beyond the recorded cases."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch

import caffe_layers
import converter
from caffe_layers import Filler
from prototxt import ShapeError

INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
DUMMY = (
    'layer { name: "d" type: "DummyData" top: "d" top: "e"'
    " dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 2 } %s } }\n"
)
PRODUCT = (
    'layer { name: "y" type: "Eltwise" bottom: "x" bottom: "d" top: "y"'
    " eltwise_param { operation: PROD } }\n"
)
ABS = 'layer { name: "y" type: "AbsVal" bottom: "d" top: "y" }\n'
CONSTANT = "data_filler { value: -2.5 }"
RANDOM = 'data_filler { type: "gaussian" std: 2 }'


def load(folder: Path, text: str, **options: object) -> converter.CaffeNet:
    path = folder / "net.prototxt"
    path.write_text(text)
    return converter.load(path, **options)  # type: ignore[arg-type]


def inputs_of(net: converter.CaffeNet, folder: Path) -> list[str]:
    graph = converter.export_onnx(net, folder / "net.onnx", dynamic=())
    converter.check_onnx(folder / "net.onnx")
    return list(graph.inputs)


def test_a_constant_is_made_once_and_a_random_top_anew() -> None:
    torch.manual_seed(1701)
    layer = caffe_layers.DummyData(
        (500, 4), (2,), data_filler=(Filler("gaussian", mean=3, std=0.5), Filler(value=0.1))
    ).double()
    first, constant = layer()
    second, _ = layer()
    assert not torch.equal(first, second)
    assert first.dtype == torch.float64
    assert first.mean().item() == pytest.approx(3, abs=0.05)
    assert first.std().item() == pytest.approx(0.5, abs=0.05)
    assert constant.tolist() == [0.10000000149011612] * 2
    assert not layer.state_dict()


def test_a_fed_top_is_not_made_nor_are_its_siblings(tmp_path: Path) -> None:
    net = load(tmp_path, INPUT + DUMMY % CONSTANT + PRODUCT)
    x, d = torch.full((2, 3), 2.0), torch.full((2, 3), 3.0)
    assert net({"x": x})["y"].tolist() == (x * -2.5).tolist()
    blobs = net.blobs({"x": x, "d": d})
    assert blobs["y"].tolist() == (x * d).tolist()
    assert "e" not in blobs


def test_constants_beside_other_inputs_are_no_inputs_of_the_exported_model(tmp_path: Path) -> None:
    net = load(tmp_path, INPUT + DUMMY % CONSTANT + PRODUCT)
    assert inputs_of(net, tmp_path) == ["x"]
    session = onnxruntime.InferenceSession(
        tmp_path / "net.onnx", providers=["CPUExecutionProvider"]
    )
    x = torch.randn(2, 3).numpy()
    assert session.run(["y"], {"x": x})[0].tolist() == (x * -2.5).tolist()


def test_constants_stand_for_the_inputs_where_there_are_no_others(tmp_path: Path) -> None:
    net = load(tmp_path, DUMMY % CONSTANT + ABS)
    assert inputs_of(net, tmp_path) == ["d"]


def test_random_tops_are_inputs_of_the_exported_model(tmp_path: Path) -> None:
    net = load(tmp_path, INPUT + DUMMY % RANDOM + PRODUCT)
    assert inputs_of(net, tmp_path) == ["x", "d"]


def test_an_empty_dummy_is_refused() -> None:
    with pytest.raises(ShapeError, match="empty"):
        caffe_layers.DummyData((2, 0))


def source(kind: str, text: str, tops: int = 2) -> str:
    names = " ".join(f'top: "{top}"' for top in ("data", "label")[:tops])
    return f'layer {{ name: "L" type: "{kind}" {names} {text} }}\n'


CROP = "transform_param { crop_size: 5 %s }"
MEANS = "mean_value: 1 mean_value: 2 mean_value: 3 mean_value: 4"


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        (
            source("Data", "data_param { batch_size: 6 }" + CROP % MEANS),
            {"data": (6, 4, 5, 5), "label": (6,)},
        ),
        (
            source("Data", "data_param { batch_size: 6 }" + CROP % MEANS, tops=1),
            {"data": (6, 4, 5, 5)},
        ),
        (
            source("ImageData", "image_data_param { batch_size: 6 new_height: 7 new_width: 8 }"),
            {"data": (6, 3, 7, 8), "label": (6,)},
        ),
        (
            source(
                "ImageData",
                "image_data_param { new_height: 7 new_width: 8 is_color: false }" + CROP % "",
            ),
            {"data": (1, 1, 5, 5), "label": (1,)},
        ),
        (
            source(
                "MemoryData", "memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 }"
            ),
            {"data": (2, 3, 4, 5), "label": (2,)},
        ),
        (
            source("MemoryData", "memory_data_param { dim: [2, 1, 5, 6, 7] }"),
            {"data": (2, 1, 5, 6, 7), "label": (2, 1, 1, 1, 1)},
        ),
        (
            source("WindowData", "window_data_param { batch_size: 6 }" + CROP % MEANS),
            {"data": (6, 4, 5, 5), "label": (6,)},
        ),
    ],
)
def test_shapes_are_what_the_definition_says(
    tmp_path: Path, text: str, shapes: dict[str, tuple[int, ...]]
) -> None:
    assert load(tmp_path, text).input_shapes == shapes


UNKNOWN = [
    source("Data", "data_param { batch_size: 6 }" + CROP % "mean_value: 1"),
    source("Data", "data_param { batch_size: 6 }" + (CROP % MEANS).replace("crop_size: 5", "")),
    source("ImageData", "image_data_param { batch_size: 6 }"),
    source("WindowData", "window_data_param { batch_size: 6 }" + CROP % ""),
]


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_the_definition_leaves_open_is_asked_for(tmp_path: Path, text: str) -> None:
    with pytest.raises(ShapeError, match="--input-shape data="):
        load(tmp_path, text)
    net = load(tmp_path, text, input_shapes={"data": (2, 3, 4, 5)})
    assert net.input_shapes == {"data": (2, 3, 4, 5), "label": (6,)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (source("ImageData", "image_data_param { new_height: 7 }"), "wants both or none"),
        (source("ImageData", "image_data_param { batch_size: 0 }"), "batch_size is 0"),
        (source("MemoryData", "memory_data_param { batch_size: 2 channels: 3 }"), "1 or more"),
        (source("MemoryData", "memory_data_param { dim: [2, 0] }"), r"dim is \(2, 0\)"),
        (source("WindowData", "window_data_param { batch_size: 6 }"), "crop_size is 0"),
        (
            source("Data", 'transform_param { mean_value: 1 mean_file: "m.binaryproto" }'),
            "both mean_file and mean_value",
        ),
    ],
)
def test_what_caffe_checks_is_checked(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        load(tmp_path, text)


def test_another_number_of_tops_is_an_input_in_test_alone(tmp_path: Path) -> None:
    text = source("MemoryData", "", tops=1)
    with pytest.raises(ShapeError, match="1 top, wants 2"):
        load(tmp_path, text, phase="TRAIN")
    with pytest.raises(ShapeError, match=r"does not say the shape of 'data'\n  fix: give it with"):
        load(tmp_path, text)
    net = load(tmp_path, text, input_shapes={"data": (1, 3, 4, 4)})
    (note,) = (note for note in net.notes if "passed over, of the reading of data alone" in note)
    assert note.endswith("1 tops, where it has 2 here; an input stands in the layer's place")


def test_the_transform_is_kept(tmp_path: Path) -> None:
    text = "transform_param { scale: 0.1 mirror: true crop_size: 3 mean_value: 104.1 }"
    net = load(tmp_path, source("Data", text), input_shapes={"data": (1, 3, 3, 3), "label": (1,)})
    transform = net.layers["L"].transform
    assert transform.scale == 0.10000000149011612
    assert transform.mean_value == (104.0999984741211,)
    assert (transform.mirror, transform.crop_size, transform.mean_file) == (True, 3, "")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Data", "data_param { batch_size: 6 }"),
        ("ImageData", "image_data_param { batch_size: 6 }"),
        ("WindowData", "window_data_param { batch_size: 6 }"),
    ],
)
def test_a_fork_without_prefetch_reads_on(tmp_path: Path, kind: str, text: str) -> None:
    text += CROP % f"multi_scale: true {MEANS}"  # yjxiong's, whose data_param has no prefetch
    net = load(tmp_path, source(kind, text))
    assert net.input_shapes["label"] == (6,)

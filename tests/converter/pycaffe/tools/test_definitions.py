"""NetSpec, coord_map and draw: definitions as Python, their coordinates, their pictures."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def spec(caffe: Any) -> Any:
    layers, params = caffe.layers, caffe.params
    net = caffe.NetSpec()
    net.data, net.label = layers.DummyData(
        shape=[{"dim": [1, 3, 20, 20]}, {"dim": [1]}], ntop=2, name="source"
    )
    net.conv = layers.Convolution(
        net.data, num_output=4, kernel_size=3, pad=1, param=[{"lr_mult": 2}]
    )
    net.relu = layers.ReLU(net.conv, in_place=True)
    net.pool = layers.Pooling(net.relu, pool=params.Pooling.AVE, kernel_size=2, stride=2)
    net.up = layers.Deconvolution(
        net.pool, convolution_param={"num_output": 4, "kernel_size": 4, "stride": 2}
    )
    net.norm = layers.Normalize(net.up, across_spatial=False)
    net.quiet = layers.Silence(net.label, ntop=0)
    return net


def test_a_definition_has_names_parameters_and_places(spec: Any) -> None:
    layers = {layer.name: layer for layer in spec.to_proto().layer}
    assert [*layers] == ["source", "conv", "relu", "pool", "up", "norm", "quiet"]
    assert list(layers["source"].top) == ["data", "label"]
    assert list(layers["relu"].bottom) == list(layers["relu"].top) == ["conv"]
    assert list(layers["pool"].bottom) == ["conv"]
    assert layers["pool"].pooling_param.pool == 1
    assert layers["conv"].param[0].lr_mult == 2
    assert list(layers["up"].convolution_param.kernel_size) == [4]
    assert not layers["norm"].norm_param.across_spatial  # SSD's
    assert list(layers["quiet"].top) == []


def test_names_are_made_up_by_type(caffe: Any) -> None:
    data = caffe.layers.Input(shape={"dim": [1, 2]})
    top = caffe.layers.ReLU(caffe.layers.ReLU(data))
    assert [layer.name for layer in top.to_proto().layer] == ["Input1", "ReLU1", "ReLU2"]
    assert caffe.to_proto(top, data) == top.to_proto()


def test_what_is_no_bottom_is_a_type_error(caffe: Any) -> None:
    with pytest.raises(TypeError, match=r"^Silence input 0 is not a Top \(type is <class 'tuple'>"):
        caffe.layers.Silence((1, 2), ntop=0)
    with pytest.raises(AttributeError):
        caffe.layers.ReLU(caffe.layers.Input(), nonsense=1).to_proto()


def test_kinds_of_parameters_by_their_fields(caffe: Any) -> None:
    names = caffe.net_spec.param_name_dict()
    assert (names["Convolution"], names["ReLU"], names["Normalize"]) == (
        "convolution",
        "relu",
        "norm",
    )


def test_coordinates_through_windows(spec: Any) -> None:
    maps = importlib.import_module("caffe.coord_map")
    # 3 x 3 of pad 1 leaves places; pooling halves them, less 1/4; 4 x 4 of stride 2 doubles.
    axis, scale, shift = maps.coord_map_from_to(spec.up, spec.data)
    assert (axis, float(scale[0]), float(shift[0])) == (1, 1.0, -1.0)
    layer = maps.crop(spec.up, spec.data)
    assert layer.fn.params["crop_param"] == {"axis": 2, "offset": [1]}
    with pytest.raises(AssertionError, match="scale mismatch"):
        maps.crop(spec.pool, spec.data)
    with pytest.raises(RuntimeError, match="connected by spatial layers"):
        maps.coord_map_from_to(spec.pool, spec.norm)
    with pytest.raises(maps.AxisMismatchException):
        maps.compose((1, 1, 0), (2, 1, 0))
    with pytest.raises(maps.UndefinedMapException):
        maps.coord_map(spec.norm.fn)


def test_pictures_in_each_format(spec: Any, tmp_path: Path) -> None:
    draw = importlib.import_module("caffe.draw")
    net = spec.to_proto()
    heads = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<svg", "raw": b'digraph "Net"'}
    for extension, head in heads.items():
        path = tmp_path / f"net.{extension}"
        draw.draw_net_to_file(net, str(path), "TB")
        assert path.read_bytes().startswith(head)
    svg = draw.draw_net(net, "LR", "svg").decode()
    for text in ("conv", "(Convolution)", "kernel size: 3", "(Pooling AVE)", "stride: 2", "label"):
        assert f">{text}</text>" in svg, text
    assert svg.count('fill="#90EE90"') == 1  # the one in place
    arrows = draw.get_pydot_graph(net, "LR").to_string()
    assert arrows.count("->") == 12


def test_labels_and_phases(caffe: Any, spec: Any) -> None:
    draw = importlib.import_module("caffe.draw")
    net = spec.to_proto()
    conv = net.layer[1]
    assert draw.get_layer_label(conv, "TB", display_lrm=True) == (
        '"conv (Convolution) kernel size: 3 stride: 1 pad: 1 lr mult: 2.0, 1.0"'
    )
    assert draw.get_edge_label(conv) == "4"
    assert draw.get_edge_label(net.layer[2]) == '""'
    with pytest.raises(ValueError, match="ReLU layers do not have"):
        draw.get_layer_lr_mult(net.layer[2])
    assert draw.choose_color_by_layertype("Pooling") == "#FF9900"
    net.layer[6].include.add(phase=caffe.TRAIN)
    shown = draw.get_pydot_graph(net, "LR", phase=caffe.TEST)
    assert "quiet" not in shown.to_string()
    assert "quiet" in draw.get_pydot_graph(net, "LR", phase=caffe.TRAIN).to_string()

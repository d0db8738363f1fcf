"""A data layer whose file is not there: fed by name, it needs none."""

from __future__ import annotations

import pytest
import torch

import converter
from converter.check import check
from prototxt import ShapeError

NET = """
layer { name: "data" type: "HDF5Data" top: "data" top: "label"
  hdf5_data_param { source: "nowhere.txt" batch_size: 4 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
SHAPES = {"data": (4, 3), "label": (4,)}


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return path


def test_given_shapes_stand_for_the_file(net, tmp_path):
    loaded = converter.load(net, input_shapes=SHAPES)
    assert loaded.input_shapes == SHAPES
    assert list(loaded({"data": torch.rand(5, 3)})) == ["ip"]
    assert list(loaded({"data": torch.rand(5, 3), "label": torch.zeros(5)})) == ["loss"]
    assert list(loaded()) == []
    assert converter.convert(net, None, tmp_path / "out", input_shapes=SHAPES).passed
    assert check(net, input_shapes=SHAPES).passed


def test_without_shapes_the_file_is_named(net):
    said = (
        r"layer 'data' \(HDF5Data\): the file does not say the shape of 'data', and the list "
        r"'nowhere.txt' cannot be read: .*\n  fix: give them with --input-shape data=4,3,224,224 "
        "--input-shape label=4"
    )
    with pytest.raises(ShapeError, match=said):
        converter.load(net)
    assert "the list 'nowhere.txt'" in check(net).text()


def test_every_top_wants_its_shape(net):
    with pytest.raises(ShapeError, match="does not say the shape of 'label'"):
        converter.load(net, input_shapes={"data": (4, 3)})

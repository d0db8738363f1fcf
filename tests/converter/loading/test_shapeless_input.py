"""Inputs that a file names without a shape: asked for where a layer reads them, else left out."""

from __future__ import annotations

import pytest
import torch

import converter
from prototxt import ShapeError

RELU = 'layer { name: "r" type: "ReLU" bottom: "%s" top: "y" }'
OTHER = """layer { name: "%s" type: "Input" top: "%s"
  input_param { shape { dim: 2 dim: 3 } } }"""


def load(folder, *text, **options):
    net = folder / "net.prototxt"
    net.write_text("\n".join(text))
    return converter.load(net, **options)


def test_shape_that_is_read_is_asked_for(tmp_path):
    with pytest.raises(ShapeError) as caught:
        load(tmp_path, 'input: "x"', RELU % "x")
    assert str(caught.value).endswith(
        "net.prototxt: layer 'x' (Input): the file does not say the shape of 'x'\n"
        "  fix: give it with --input-shape x=1,3,224,224"
    )


def test_given_shape_is_the_inputs_and_is_kept(tmp_path):
    sums = 'layer { name: "s" type: "Eltwise" bottom: "x" bottom: "z" top: "y" }'
    shapes = {"x": (2, 3), "z": (2, 3)}
    net = load(tmp_path, 'input: "x" input: "z"', sums, input_shapes=shapes)
    assert net.inputs == ["x", "z"]
    assert net({"x": torch.ones(2, 3), "z": torch.ones(2, 3)})["y"].sum() == 12
    converter.save_caffemodel(net, tmp_path / "net.caffemodel")
    assert converter.load(tmp_path / "net.caffemodel").input_shapes == shapes


def test_input_that_no_layer_reads_is_left_out_as_by_caffe(tmp_path):
    net = load(tmp_path, 'input: "x"', OTHER % ("data", "z"), RELU % "z")
    assert net.inputs == ["z"]


def test_input_that_a_layer_makes_is_the_layers(tmp_path):
    net = load(tmp_path, 'input: "x"', OTHER % ("data", "x"), RELU % "x")
    assert net.input_shapes == {"x": (2, 3)}
    assert [step.key for step in net.steps] == ["data", "r"]


DATA = """layer { name: "d" type: "Data" top: "data" include { phase: TRAIN }
  data_param { source: "db" batch_size: 1 } }"""


def test_a_snapshot_has_its_data_layer_in_the_other_phase(tmp_path):
    with pytest.raises(ShapeError, match="can be given: --input-shape data="):
        load(tmp_path, DATA, RELU % "data")
    net = load(tmp_path, DATA, RELU % "data", input_shapes={"data": (2, 3)})
    assert (net.inputs, net({"data": -torch.ones(2, 3)})["y"].sum()) == (["data"], 0)
    with pytest.raises(ShapeError, match="'date' is no input"):
        load(tmp_path, DATA, RELU % "data", input_shapes={"data": (2, 3), "date": (1, 1)})


LMDB = """layer { name: "d" type: "Data" top: "data" top: "label"
  transform_param { crop_size: 227 mean_file: "m" } data_param { source: "db" batch_size: 50 } }"""


def test_what_is_advised_is_what_the_file_says_and_works(tmp_path):
    with pytest.raises(ShapeError) as caught:
        load(tmp_path, LMDB, RELU % "data")
    assert caught.value.fix == "give it with --input-shape data=50,3,227,227"
    net = load(tmp_path, LMDB, RELU % "data", input_shapes={"data": (50, 3, 227, 227)})
    assert net.input_shapes["data"] == (50, 3, 227, 227)


def test_a_label_is_advised_as_many_as_there_are_samples(tmp_path):
    layer = LMDB.replace('"Data"', '"HDF5Data"').partition("transform")[0]
    layer += 'hdf5_data_param { source: "gone.txt" batch_size: 4 } }'
    with pytest.raises(ShapeError) as caught:
        load(tmp_path, layer, RELU % "data", input_shapes={"data": (2, 3)})
    assert caught.value.fix == "give it with --input-shape label=2"
    load(tmp_path, layer, RELU % "data", input_shapes={"data": (2, 3), "label": (2,)})

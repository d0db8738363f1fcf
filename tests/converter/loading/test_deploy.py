"""What `--deploy` keeps of a training definition, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

import caffe_layers
import converter
from converter.__main__ import main
from prototxt import UnsupportedError
from tests.support import layers_with_blobs

DATA = """layer { name: "mnist" type: "Data" top: "data" top: "label"
  transform_param { scale: 0.5 crop_size: 8 mean_value: [1, 2, 3] mirror: true }
  data_param { source: "no_such_folder" batch_size: 4 } }"""
FC = """layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 5 } }"""
LOSS = """layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }"""


def load(folder: Path, *layers: str, **options: object) -> converter.CaffeNet:
    path = folder / "train_val.prototxt"
    path.write_text("\n".join(layers))
    return converter.load(path, deploy=True, **options)  # type: ignore[arg-type]  # for brevity


def names(net: converter.CaffeNet) -> list[str]:
    return [step.key for step in net.steps]


def test_classifier_ends_in_logits_and_says_so(tmp_path):
    net = load(tmp_path, DATA, FC, LOSS)
    assert [step.layer.type for step in net.steps] == ["Input", "InnerProduct"]
    assert net.input_shapes == {"data": (4, 3, 8, 8)}
    assert list(net.shapes()) == ["data", "fc"]
    assert net.notes == [
        "--deploy put the input 'data' in the place of layer 'mnist' (Data), which also did this "
        "to what it read: mean 1, 2, 3; scale 0.5; crop to 8; mirror",
        "--deploy left out layer 'accuracy' (Accuracy), layer 'loss' (SoftmaxWithLoss)",
        "--deploy left out what only they use: 'label'",
        "the output 'fc' is logits: the softmax went with its loss",
    ]


def test_labels_and_what_is_made_of_them_go(tmp_path):
    sliced = """layer { name: "cut" type: "Slice" bottom: "label" top: "label1" top: "rest" }
    layer { name: "quiet" type: "Silence" bottom: "rest" }"""
    net = load(tmp_path, DATA, sliced, FC, LOSS.replace('"label"', '"label1"'))
    assert names(net) == ["mnist", "fc"]


def test_probabilities_that_the_definition_makes_stay(tmp_path):
    prob = 'layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }'
    accuracy = LOSS.splitlines()[0].replace('bottom: "fc"', 'bottom: "prob"')
    net = load(tmp_path, DATA, FC, prob, accuracy)
    assert names(net) == ["mnist", "fc", "prob"]
    assert not any("logits" in note for note in net.notes)


HEADS = [row for row in layers_with_blobs.ROWS if not caffe_layers.LAYERS[row[0]][row[1]].is_loss]


@pytest.mark.parametrize(("kind", "fork"), HEADS)
def test_head_of_any_layer_that_learns_stays(kind, fork, tmp_path):
    parts = [
        layers_with_blobs.inputs(),
        FC.replace('"data"', '"x"'),
        layers_with_blobs.layer(kind, layers_with_blobs.ROWS[kind, fork]),
        """layer { name: "target" type: "DummyData" top: "t" dummy_data_param { shape { dim: 1 } } }
        layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }""",
    ]
    net = load(tmp_path, *parts, dialect=None if fork == "bvlc" else fork)
    assert {"fc", "y"} <= net.shapes().keys()


def test_head_whose_scale_is_data_is_no_prediction(tmp_path):
    scaled = 'layer { name: "s" type: "Scale" bottom: "label" bottom: "label" top: "t" }'
    loss = 'layer { name: "l2" type: "EuclideanLoss" bottom: "fc" bottom: "t" top: "l2" }'
    assert names(load(tmp_path, DATA, FC, scaled, loss)) == ["mnist", "fc"]


def test_target_of_a_regression_is_no_output(tmp_path):
    loss = 'layer { name: "l2" type: "EuclideanLoss" bottom: "label" bottom: "fc" top: "l2" }'
    assert names(load(tmp_path, DATA, FC, loss)) == ["mnist", "fc"]


def test_both_towers_of_a_siamese_network_stay(tmp_path):
    twin = FC.replace('"fc"', '"fc_p"').replace('"data"', '"pair"')
    pair = """layer { name: "in" type: "Input" top: "data" top: "pair" top: "same"
      input_param { shape { dim: [2, 7] } shape { dim: [2, 7] } shape { dim: 2 } } }"""
    loss = """layer { name: "far" type: "ContrastiveLoss" bottom: "fc" bottom: "fc_p"
      bottom: "same" top: "far" }"""
    net = load(tmp_path, pair, FC, twin, loss)
    assert net.input_shapes == {"data": (2, 7), "pair": (2, 7)}
    assert {step.key for step in net.steps} == {"in", "fc", "fc_p"}


def test_copies_for_losses_are_no_outputs(tmp_path):
    split = 'layer { name: "s" type: "Split" bottom: "fc" top: "fc_0" top: "fc_1" }'
    loss = LOSS.replace('"fc"', '"fc_0"', 1).replace('"fc"', '"fc_1"')
    net = load(tmp_path, DATA, FC, split, loss)
    assert names(net) == ["mnist", "fc"]


def test_copy_that_is_silenced_changes_nothing(tmp_path):
    split = """layer { name: "s" type: "Split" bottom: "fc" top: "fc_0" top: "fc_1" }
    layer { name: "quiet" type: "Silence" bottom: "fc_1" }"""
    loss = LOSS.splitlines()[1].replace('"fc"', '"fc_0"')
    assert names(load(tmp_path, DATA, FC, split, loss)) == ["mnist", "fc"]


def test_teacher_is_left_out(tmp_path):
    teacher = FC.replace('"fc"', '"teacher"')
    loss = """layer { name: "l" type: "SigmoidCrossEntropyLoss" bottom: "fc" bottom: "teacher"
      top: "l" }"""
    net = load(tmp_path, DATA, FC, teacher, loss)
    assert names(net) == ["mnist", "fc"]
    assert net.notes[-1] == "the output 'fc' is logits: the sigmoid went with its loss"


@pytest.mark.parametrize("kind", ["SoftmaxWithLoss", "SoftmaxWithLossOHEM", "InfogainLoss"])
def test_softmax_goes_with_every_loss_that_has_one(kind, tmp_path):
    loss = LOSS.splitlines()[1].replace("SoftmaxWithLoss", kind)
    net = load(tmp_path, DATA, FC, loss)
    assert net.notes[-1] == "the output 'fc' is logits: the softmax went with its loss"


def test_sum_with_a_loss_weight_goes(tmp_path):
    sum_ = """layer { name: "sum" type: "Reduction" bottom: "fc" top: "sum" loss_weight: 1 }"""
    assert names(load(tmp_path, DATA, FC, sum_)) == ["mnist", "fc"]


def test_shape_comes_from_the_caller_where_the_file_does_not_say_it(tmp_path, capsys):
    data = DATA.replace("crop_size: 8", "")
    with pytest.raises(converter.ShapeError, match="--input-shape data="):
        load(tmp_path, data, FC, LOSS)
    path = str(tmp_path / "train_val.prototxt")
    shape = ["--input-shape", "data=1,3,6,6"]
    assert main(["show", path, "--deploy", *shape]) == 0
    out = capsys.readouterr().out
    assert "note: --deploy left out layer 'accuracy'" in out
    assert "data 1x3x6x6: 2 layers" in out
    assert main(["check", path, "--deploy", *shape]) == 0


def test_network_without_blobs_keeps_its_outputs(tmp_path):
    relu = 'layer { name: "relu" type: "ReLU" bottom: "data" top: "y" }'
    assert names(load(tmp_path, DATA, relu)) == ["mnist", "relu"]


def test_network_of_losses_alone_is_refused(tmp_path):
    loss = 'layer { name: "l" type: "EuclideanLoss" bottom: "data" bottom: "label" top: "l" }'
    with pytest.raises(UnsupportedError, match="no layer is left that makes an output"):
        load(tmp_path, DATA, loss)


def test_published_training_definition(shared):
    file = shared / "prototxts" / "Caffe__models__bvlc_alexnet__train_val.prototxt"
    net = converter.load(file, deploy=True, input_shapes={"data": (1, 3, 227, 227)})
    assert net.shapes()["fc8"] == (1, 100)  # this copy is for 100 classes
    assert net.inputs == ["data"]
    assert names(net)[-1] == "fc8"


def test_data_layer_whose_fork_has_no_input_becomes_one(tmp_path):
    """DeepLab's and PSPNet's schema has interp_param at the number of BVLC's input_param."""
    data = DATA.replace("crop_size: 8", "crop_height: 8 crop_width: 6")
    with pytest.raises(converter.ShapeError, match="--input-shape data="):
        load(tmp_path, data, FC, LOSS)
    net = load(tmp_path, data, FC, LOSS, input_shapes={"data": (1, 3, 8, 6)})  # and no label's
    assert net.input_shapes == {"data": (1, 3, 8, 6)}
    assert names(net) == ["mnist", "fc"]


JUDGE = 'layer { name: "odd" type: "OddHead" bottom: "fc" bottom: "%s" top: "odd" }'


def test_a_stranger_that_judges_by_labels_goes_and_is_named(tmp_path):
    net = load(tmp_path, DATA, FC, JUDGE % "label")
    assert names(net) == ["mnist", "fc"]
    said = "--deploy took layer 'odd' (OddHead) for what only measures: nobody knows it here or "
    assert f"{said}reads it" in net.notes
    python = JUDGE.replace('"OddHead"', '"Python"').replace("}", "python_param { module: 'm' } }")
    net = load(tmp_path, DATA, FC, python % "label")
    assert names(net) == ["mnist", "fc"]


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ((DATA, FC, JUDGE % "data"), "images are no labels"),
        ((DATA, FC, JUDGE % "fc"), "nor are predictions"),
        ((DATA.replace(' top: "label"', ""), FC, JUDGE % "label"), "nobody brings it"),
        (
            (DATA, FC, JUDGE % "label", 'layer { name: "r" type: "ReLU" bottom: "odd" top: "r" }'),
            "it is read",
        ),
    ],
)
def test_a_stranger_that_may_predict_stays_and_is_refused(tmp_path, layers, why):
    with pytest.raises(UnsupportedError, match="layer type 'OddHead' is unknown"):
        load(tmp_path, *layers)


def test_a_stranger_at_an_inputs_second_blob_stays(tmp_path):
    """An image's numbers come so to a detector."""
    data = """layer { name: "in" type: "Input" top: "data" top: "info"
      input_param { shape { dim: [1, 3, 8, 8] } shape { dim: [1, 3] } } }"""
    with pytest.raises(UnsupportedError, match="layer type 'OddHead' is unknown"):
        load(tmp_path, data, FC, JUDGE % "info")


def test_without_deploy_a_stranger_with_labels_is_refused(tmp_path):
    path = tmp_path / "train_val.prototxt"
    path.write_text("\n".join([DATA, FC, JUDGE % "label"]))
    with pytest.raises(UnsupportedError, match="layer type 'OddHead' is unknown"):
        converter.load(path)


def test_a_stranger_with_a_list_of_parameters_is_named(tmp_path):
    """ConvLSTM's schema has a parameter message that may stand several times."""
    layers = """layer { name: "odd" type: "OddHead" bottom: "fc" top: "odd"
      lstm_conv_param { type: "i" } lstm_conv_param { type: "f" } }"""
    with pytest.raises(UnsupportedError, match="layer type 'OddHead' is unknown; it has lstm_conv"):
        load(tmp_path, DATA, FC, layers)

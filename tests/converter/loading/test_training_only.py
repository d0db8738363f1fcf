"""What only training needs stops no network that is not trained, and each thing is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import converter
from converter.__main__ import main
from prototxt import CaffeError, FormatError, UnsupportedError

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 3, 8, 9] } } }\n'
DATA = """layer { name: "data" type: "ImageData" top: "x" top: "label"
  image_data_param { source: "no.txt" batch_size: 2 new_height: 8 new_width: 9 %s } }
"""
CONV = """layer { name: "conv" type: "Convolution" bottom: "x" top: "c" %s
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" %s } %s } }
"""
FC = """layer { name: "fc" type: "InnerProduct" bottom: "x" top: "c"
  inner_product_param { num_output: 4 } }
"""
LOSS = """layer { name: "loss" type: "SoftmaxWithLoss" bottom: "c" bottom: "label" top: "loss"
  loss_param { %s } }
"""


def write(folder: Path, *layers: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text("".join(layers))
    return path


def loaded(net: Path, **options: object) -> converter.CaffeNet:
    return converter.load(net, weightless=True, **options)


def passed_over(net: converter.CaffeNet) -> list[str]:
    return [note for note in net.notes if note.startswith("passed over")]


def test_a_field_of_a_param_row(tmp_path: Path) -> None:
    net = write(tmp_path, INPUT, CONV % ("param { lr_mult: 1 odd_mult: 2 }", "", ""))
    found = converter.load(net)
    assert passed_over(found) == [f"passed over, of training alone: {net}:2:82: ParamSpec.odd_mult"]
    assert found.layers["conv"].lr_mult(0) == 1
    with pytest.raises(FormatError, match="ParamSpec has no field 'odd_mult'"):
        converter.load(net, phase="TRAIN")


def test_a_placeholder_in_a_param_row(tmp_path: Path) -> None:
    net = write(tmp_path, INPUT, CONV % ("param { lr_mult: ${LR} }", "", ""))
    (note,) = passed_over(converter.load(net))
    assert note.endswith(":2:80: ${LR}")


def test_a_field_of_a_filler_where_its_values_are_not_wanted(tmp_path: Path) -> None:
    net = write(tmp_path, INPUT, CONV % ("", "odd: 2", ""))
    said = [f"passed over, of training alone: {net}:3:83: FillerParameter.odd"]
    assert passed_over(loaded(net)) == said
    with pytest.raises(FormatError, match="FillerParameter has no field 'odd'"):
        converter.load(net)
    plain = write(tmp_path / "..", INPUT, CONV % ("", "", ""))
    model = tmp_path / "net.caffemodel"
    converter.save_caffemodel(converter.load(plain), model)
    assert passed_over(converter.load(net, model)) == said


OWN = """syntax = "proto2"; package caffe;
message FillerParameter { optional float odd = 50; }
message ParamSpec { optional float odd = 50; }
message ConvolutionParameter { optional uint32 odd_dilation = 90; }
"""


def test_a_field_of_a_known_fork_that_the_layers_class_refuses(tmp_path: Path) -> None:
    (tmp_path / "mine.proto").write_text(OWN)
    own = tmp_path / "mine.py"
    own.write_text("")
    net = write(tmp_path, INPUT, CONV % ("param { odd: 1 }", "odd: 1", ""))
    (note,) = passed_over(loaded(net, layers=own))
    assert note == (
        f"passed over, of training alone: {net}:2: layer 'conv' (Convolution): param.odd, "
        "convolution_param.weight_filler.odd"
    )
    with pytest.raises(UnsupportedError, match=r"weight_filler\.odd is set, a field of mine"):
        converter.load(net, layers=own)
    with pytest.raises(UnsupportedError, match=r"param\.odd is set, a field of mine"):
        converter.load(net, layers=own, phase="TRAIN")
    net = write(tmp_path, INPUT, CONV % ("param { odd: 1 }", "", "odd_dilation: 2"))
    with pytest.raises(UnsupportedError, match="odd_dilation is set, a field of mine"):
        loaded(net, layers=own)


def test_a_field_that_shapes_depend_on_is_refused(tmp_path: Path) -> None:
    net = write(tmp_path, INPUT, CONV % ("", "", "dilatation: 2"))
    with pytest.raises(FormatError, match="ConvolutionParameter has no field 'dilatation'"):
        loaded(net)


def test_a_field_of_a_data_layer_makes_it_an_input(tmp_path: Path) -> None:
    net = write(tmp_path, DATA % "normalized: true", FC, LOSS % "")
    found = loaded(net)
    assert found.input_shapes == {"x": (2, 3, 8, 9), "label": (2,)}
    assert passed_over(found) == [
        f"passed over, of the reading of data alone: {net}:2:80: ImageDataParameter.normalized; "
        "an input stands in the layer's place"
    ]
    with pytest.raises(FormatError, match="ImageDataParameter has no field 'normalized'"):
        loaded(net, phase="TRAIN")


def test_a_field_that_may_be_a_size_leaves_the_shape_to_the_caller(tmp_path: Path) -> None:
    net = write(tmp_path, DATA % "new_dim: 2", FC, LOSS % "")
    with pytest.raises(CaffeError, match="the file does not say the shape of 'x'"):
        loaded(net)
    given = {"x": (1, 3, 10, 10), "label": (1,)}
    assert loaded(net, input_shapes=given).shapes()["c"] == (1, 4)


@pytest.mark.parametrize(
    ("dim", "said"),
    [
        ("dim: ${N}", r"give its value with --set N="),
        ("dim: 8.0", "8.0 where a whole number belongs"),
        ('dim: "8"', '"8" where a whole number belongs'),
        ("dims: 8", "BlobShape has no field 'dims'"),
    ],
)
def test_an_inputs_sizes_are_not_passed_over(tmp_path: Path, dim: str, said: str) -> None:
    net = write(tmp_path, INPUT.replace("dim: [2, 3, 8, 9]", f"dim: 2 dim: 3 {dim} dim: 9"), FC)
    with pytest.raises(CaffeError, match=said):
        loaded(net)
    assert loaded(net, input_shapes={"x": (1, 2, 3)}).shapes()["c"] == (1, 4)


def test_a_size_that_does_not_read_is_no_default(tmp_path: Path) -> None:
    data = DATA.replace("batch_size: 2 ", "batch_size: 2.0 ") % ""
    with pytest.raises(CaffeError, match="the file does not say the shape of 'x'"):
        loaded(write(tmp_path, data, FC, LOSS % ""))


def test_a_field_of_what_deploy_leaves_out_is_said(tmp_path: Path) -> None:
    label = """layer { name: "more" type: "HDF5Data" top: "label" hdf5_data_param { odd: 1 } }\n"""
    data = DATA.replace(' top: "label"', ' top: "unused"') % ""
    net = write(tmp_path, data, label, CONV % ("", "", ""), LOSS % "normalized: 3")
    found = loaded(net, deploy=True)
    assert list(found.exported().plan.outputs) == ["c"]
    assert passed_over(found) == [
        f"passed over, left out: {net}:3:70: HDF5DataParameter.odd",
        f"passed over, left out: {net}:7:16: LossParameter.normalized",
    ]


def test_a_loss_that_does_not_read_is_left_out(tmp_path: Path) -> None:
    net = write(tmp_path, DATA % "", CONV % ("", "", ""), LOSS % "normalized: 3")
    found = loaded(net)
    assert [step.key for step in found.steps] == ["data", "conv"]
    assert passed_over(found) == [
        f"passed over, of training alone: {net}:6:16: LossParameter.normalized; the layer is left "
        "out, and so is its softmax"
    ]


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ('type: "OddLoss" bottom: "c" bottom: "label" top: "l"', True),
        ('type: "OddAccuracy" bottom: "c" bottom: "label" top: "l"', True),
        ('type: "OddMeasure" bottom: "c" bottom: "label" top: "l" loss_weight: 1', True),
        ('type: "OddMeasure" bottom: "c" top: "l" loss_param { ignore_label: 3 }', True),
        ('type: "Python" bottom: "c" top: "l" loss_weight: 1 python_param { layer: "L" }', True),
        ('type: "OddMeasure" bottom: "c" bottom: "label" top: "l"', False),
        ('type: "OddLoss" bottom: "c" top: "l"', False),
        ('type: "GlossyHead" bottom: "c" bottom: "label" top: "l"', False),
    ],
)
def test_an_unknown_type_that_calls_itself_a_loss(tmp_path: Path, layer: str, told: bool) -> None:
    net = write(tmp_path, DATA % "", CONV % ("", "", ""), f'layer {{ name: "l" {layer} }}\n')
    if not told:
        with pytest.raises(UnsupportedError):
            loaded(net)
        return
    found = loaded(net)
    assert [step.key for step in found.steps] == ["data", "conv"]
    (note,) = passed_over(found)
    assert note.startswith(f"passed over, of training alone: {net}:5: layer 'l' (")
    assert note.endswith("; the layer is left out")
    with pytest.raises(CaffeError):
        loaded(net, phase="TRAIN")


def test_an_unknown_loss_whose_top_is_read_is_refused(tmp_path: Path) -> None:
    layers = """layer { name: "l" type: "OddLoss" bottom: "c" bottom: "label" top: "l" }
    layer { name: "r" type: "ReLU" bottom: "l" top: "r" }"""
    net = write(tmp_path, DATA % "", CONV % ("", "", ""), layers)
    with pytest.raises(UnsupportedError, match="layer type 'OddLoss' is unknown"):
        loaded(net)


def test_what_only_losses_read_goes_with_them(tmp_path: Path) -> None:
    layers = """layer { name: "l" type: "OddLoss" bottom: "c" bottom: "label" top: "l" }
    layer { name: "m" type: "MoreLoss" bottom: "l" bottom: "label" top: "m" }"""
    net = write(tmp_path, DATA % "", CONV % ("", "", ""), layers)
    assert [step.key for step in loaded(net).steps] == ["data", "conv"]


def test_an_unknown_data_layer_is_an_input(tmp_path: Path) -> None:
    data = 'layer { name: "d" type: "OddData" top: "x" top: "unread" odd_param { a: 1 } }\n'
    net = write(tmp_path, data, CONV % ("", "", ""))
    with pytest.raises(CaffeError, match=r"layer 'd' .* does not say the shape of 'x'"):
        loaded(net)
    found = loaded(net, input_shapes={"x": (1, 3, 8, 8)})
    assert found.input_shapes == {"x": (1, 3, 8, 8)}
    assert passed_over(found) == [
        f"passed over, of the reading of data alone: {net}:1:58: LayerParameter.odd_param; an "
        "input stands in the layer's place"
    ]


def test_the_shape_of_an_unknown_data_layers_top_is_enough(tmp_path: Path) -> None:
    """Its labels went with what read them, and no shape is asked for them."""
    data = 'layer { name: "d" type: "OddData" top: "x" top: "label" top: "more" }\n'
    bottoms = 'bottom: "c" bottom: "label" bottom: "more"'
    loss = f'layer {{ name: "l" type: "OddLoss" {bottoms} top: "l" }}'
    net = write(tmp_path, data, CONV % ("", "", ""), loss)
    found = loaded(net, input_shapes={"x": (1, 3, 8, 8)})
    assert found.input_shapes == {"x": (1, 3, 8, 8)}
    assert [step.key for step in found.steps] == ["d", "conv"]
    given = {"x": (1, 3, 8, 8), "label": (1,), "more": (1,)}
    with pytest.raises(UnsupportedError, match="layer type 'OddLoss' is unknown"):
        loaded(net, phase="TRAIN", input_shapes=given)


def test_a_layer_that_is_known_to_read_files_is_an_input(tmp_path: Path) -> None:
    data = 'layer { name: "d" type: "CustomData" top: "x" }\n'
    net = write(tmp_path, data, CONV % ("", "", ""))
    found = loaded(net, input_shapes={"x": (1, 3, 8, 8)})
    assert found.input_shapes == {"x": (1, 3, 8, 8)}
    assert passed_over(found) == [
        f"passed over, of the reading of data alone: {net}:1: layer 'd' (CustomData): it is not "
        "computed here; an input stands in the layer's place"
    ]


def test_a_data_layer_with_the_tops_of_a_fork_is_an_input(tmp_path: Path) -> None:
    memory = """layer { name: "d" type: "MemoryData" top: "x" top: "label" top: "size"
      memory_data_param { batch_size: 2 channels: 3 height: 8 width: 9 } }\n"""
    net = write(tmp_path, memory, CONV % ("", "", ""))
    found = loaded(net, input_shapes={"x": (1, 3, 8, 8)})
    assert passed_over(found) == [
        f"passed over, of the reading of data alone: {net}:1: layer 'd' (MemoryData): 3 tops, "
        "where it has 2 here; an input stands in the layer's place"
    ]
    with pytest.raises(CaffeError, match="3 tops, wants 2"):
        loaded(net, phase="TRAIN")


def test_the_definitions_own_values_are_no_data(tmp_path: Path) -> None:
    dummy = """layer { name: "d" type: "DummyData" top: "x"
      dummy_data_param { shape { dim: [1, 3, 8, 8] } odd: 1 } }\n"""
    net = write(tmp_path, dummy, CONV % ("", "", ""))
    with pytest.raises(FormatError, match="DummyDataParameter has no field 'odd'"):
        loaded(net)


def test_a_rule_that_does_not_read_is_refused_whatever_it_leaves_out(tmp_path: Path) -> None:
    loss = (LOSS % "").replace("loss_param", "include { phase: TRAIN odd: 1 } loss_param")
    net = write(tmp_path, INPUT, CONV % ("", "", ""), loss)
    with pytest.raises(FormatError, match="NetStateRule has no field 'odd'"):
        loaded(net)


def test_what_another_phase_has_is_none_of_this_ones(tmp_path: Path) -> None:
    loss = (LOSS % "odd: 1").replace("loss_param", "include { phase: TRAIN } loss_param")
    net = write(tmp_path, INPUT, CONV % ("", "", ""), loss)
    assert passed_over(loaded(net)) == []
    with pytest.raises(FormatError, match="LossParameter has no field 'odd'"):
        loaded(net, phase="TRAIN")


def test_convert_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = write(tmp_path, DATA % "normalized: true", CONV % ("", "", ""), LOSS % "normalized: 3")
    torch.manual_seed(1)
    assert main(["convert", net.name, "-o", "out"]) == 0
    report = Path("out/report.md").read_text()
    assert "* passed over, of the reading of data alone: net.prototxt:2:80: " in report
    assert "* passed over, of training alone: net.prototxt:6:16: LossParameter.norm" in report


def test_an_unknown_filler_where_weights_are_given_or_none_are_wanted(tmp_path: Path) -> None:
    whole = write(tmp_path, INPUT, CONV % ("", "", ""))
    model = tmp_path / "net.caffemodel"
    converter.save_caffemodel(converter.load(whole), model)
    net = write(tmp_path, INPUT, (CONV % ("", "", "")).replace("xavier", "gabor"))
    said = ["passed over, of training alone: layer 'conv' (Convolution): filler type "
            "'gabor'"]  # fmt: skip
    assert passed_over(loaded(net)) == said
    filled = converter.load(net, model)
    assert passed_over(filled) == said
    assert torch.equal(filled.params["conv"][0], converter.load(whole, model).params["conv"][0])
    with pytest.raises(UnsupportedError, match="filler type 'gabor' is unknown"):
        converter.load(net)
    with pytest.raises(UnsupportedError, match="filler type 'gabor' is unknown"):
        converter.load(net, model, phase="TRAIN")


REFUSED = """
from caffe_layers.base.refused import Refused


class HiddenLoss(Refused, type="HiddenLoss", fork="hidden", bottoms=2):
    is_loss = True
    why = "its authors published its name, and not its formula"
"""


def test_a_loss_whose_formula_is_not_here_is_left_out(tmp_path: Path) -> None:
    loss = 'layer { name: "l" type: "HiddenLoss" bottom: "c" bottom: "label" top: "l" }'
    net = write(tmp_path, DATA % "", FC, loss)
    layers = tmp_path / "hidden.py"
    layers.write_text(REFUSED)
    found = loaded(net, layers=layers)
    assert [step.key for step in found.steps] == ["data", "fc"]
    (note,) = passed_over(found)
    assert note.endswith("layer 'l' (HiddenLoss): it is not computed here; the layer is left out")
    with pytest.raises(UnsupportedError, match="not its formula"):
        loaded(net, layers=layers, phase="TRAIN")


def test_a_solvers_field_among_a_networks(tmp_path: Path) -> None:
    net = write(tmp_path, "base_lr: 0.1\nodd: 1\n" + INPUT, CONV % ("", "", ""))
    with pytest.raises(FormatError, match="NetParameter has no field 'odd'"):
        loaded(net)
    net.write_text(net.read_text().replace("odd: 1", "iter_size: 2"))
    assert passed_over(loaded(net)) == [
        f"passed over, of training alone: {net}:1:1: NetParameter.base_lr",
        f"passed over, of training alone: {net}:2:1: NetParameter.iter_size",
    ]
    with pytest.raises(FormatError, match="NetParameter has no field 'base_lr'"):
        loaded(net, phase="TRAIN")

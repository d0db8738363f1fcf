"""The shapes of all inputs that lack one are asked for at once, each with one that works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import converter
from converter.check import check
from converter.loading.load import load
from prototxt import CaffeError

DATA = """layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST } %s
  data_param { source: "no_lmdb" batch_size: 5 } }
"""
CONV = """layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 stride: 2 %s } }
"""
FC = """layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 7 } }
"""
LOSS = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "%s" bottom: "label" top: "loss" }\n'

OPTION = re.compile(r"--input-shape ([^\s=]+)=([\d,]+)")


def write(folder: Path, *layers: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text("".join(layers))
    return path


def advised(net: Path, weights: Path | None = None, **options: object) -> dict[str, str]:
    """Return the shapes that the first message suggests; with them the network loads."""
    with pytest.raises(CaffeError) as caught:
        load(net, weights, weightless=True, **options)
    found = dict(OPTION.findall(caught.value.fix))
    given = {name: tuple(map(int, shape.split(","))) for name, shape in found.items()}
    given |= options.pop("input_shapes", {})
    loaded = load(net, weights, weightless=True, input_shapes=given, **options)
    assert all(loaded.input_shapes[name] == given[name] for name in found)
    return found


def test_one_message_asks_for_all(tmp_path: Path) -> None:
    one = 'layer { name: "in" type: "Input" top: "data" }\n'
    more = """layer { name: "two" type: "Input" top: "other" }
    layer { name: "sum" type: "Eltwise" bottom: "fc" bottom: "third" top: "sum" }
    layer { name: "conv2" type: "Convolution" bottom: "other" top: "conv2"
      convolution_param { num_output: 4 kernel_size: 3 } }\n"""
    net = write(tmp_path, one, CONV % "", FC, more, LOSS % "sum")
    assert advised(net) == {
        "third": "1,7",
        "label": "1",
        "data": "1,3,224,224",
        "other": "1,3,224,224",
    }


@pytest.mark.parametrize(
    ("transform", "shape"),
    [
        ("transform_param { crop_size: 33 mean_file: 'm' }", "5,3,33,33"),
        ("transform_param { crop_size: 33 mean_value: 1 }", "5,3,33,33"),
        ("transform_param { force_gray: true }", "5,1,224,224"),
        ("transform_param { mean_value: [1, 2, 3, 4] }", "5,4,224,224"),
    ],
)
def test_the_layer_itself_says_what_it_can(tmp_path: Path, transform: str, shape: str) -> None:
    net = write(tmp_path, DATA % transform, CONV % "", FC, LOSS % "fc")
    assert advised(net) == {"data": shape}


def test_the_other_phases_layer_says_the_rest(tmp_path: Path) -> None:
    train = """layer { name: "d" type: "ImageData" top: "data" top: "label" include { phase: TRAIN }
      image_data_param { source: "l" batch_size: 9 new_height: 20 new_width: 30 is_color: false } }
    """
    net = write(tmp_path, train, DATA % "", CONV % "", FC, LOSS % "fc")
    assert advised(net) == {"data": "5,1,20,30"}


def test_the_weights_say_the_channels_and_the_size(tmp_path: Path) -> None:
    shape = 'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: [%s] } } }\n'
    whole = write(tmp_path, shape % "1, 6, 227, 227", CONV % "group: 2", FC)
    model = tmp_path / "net.caffemodel"
    converter.save_caffemodel(converter.load(whole), model)
    net = write(tmp_path, DATA % "", CONV % "group: 2", FC, LOSS % "fc")
    assert advised(net, model) == {"data": "5,6,227,227"}


def test_a_size_that_the_layers_take_is_tried(tmp_path: Path) -> None:
    crop = """layer { name: "r" type: "Reshape" bottom: "conv" top: "r"
      reshape_param { shape { dim: [5, 4, 149, 149] } } }\n"""
    net = write(tmp_path, DATA % "", CONV % "", crop)
    assert advised(net) == {"data": "5,3,299,299"}


def test_clips_for_convolutions_over_frames(tmp_path: Path) -> None:
    conv = """layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
      convolution_param { num_output: 2 kernel_size: [3, 3, 3] } }\n"""
    net = write(tmp_path, 'layer { name: "d" type: "Input" top: "data" }\n', conv)
    assert advised(net) == {"data": "1,3,16,112,112"}


def test_clips_of_a_layer_that_reads_videos(tmp_path: Path) -> None:
    """Of C3D 1.0 and 1.1: the frames that it says, of the size that it crops."""
    old = """layers { name: "d" type: VIDEO_DATA top: "data" top: "label" image_data_param {
      source: "list.txt" batch_size: 5 crop_size: 48 new_length: 8 use_image: true } }
    layers { name: "conv" type: CONVOLUTION3D bottom: "data" top: "conv" convolution_param {
      num_output: 2 kernel_size: 3 kernel_depth: 3 } }\n"""
    net = write(tmp_path, old)
    assert advised(net) == {"data": "5,3,8,48,48"}
    assert advised(net, deploy=True) == {"data": "5,3,8,48,48"}
    net = write(tmp_path, old.replace("new_length: 8", ""))
    assert advised(net, deploy=True) == {"data": "5,3,16,48,48"}


def test_what_deploy_puts_in_a_layers_place_is_like_its_data(tmp_path: Path) -> None:
    data = """layer { name: "in" type: "Python" top: "data" top: "label"
      python_param { module: "nyud_layers" layer: "NYUDSegDataLayer"
      param_str: "{'split': 'val', 'tops': ['depth', 'label']}" } }\n"""
    net = write(tmp_path, data, CONV % "", LOSS % "conv")
    assert advised(net, deploy=True) == {"data": "1,1,425,560"}


@pytest.mark.parametrize(
    ("loss", "label"),
    [
        ('type: "SoftmaxWithLoss" bottom: "conv" bottom: "y"', "2,1,4,5"),
        ('type: "Concat" bottom: "conv" bottom: "y"', "2,4,4,5"),
        ('type: "Eltwise" bottom: "conv" bottom: "y"', "2,4,4,5"),
        ('type: "SoftmaxWithLoss" bottom: "fc" bottom: "y"', "2"),
        ('type: "Accuracy" bottom: "fc" bottom: "y"', "2"),
        ('type: "EuclideanLoss" bottom: "conv" bottom: "y"', "2,4,4,5"),
        ('type: "SigmoidCrossEntropyLoss" bottom: "fc" bottom: "y"', "2,7"),
        ('type: "ROIPooling" bottom: "conv" bottom: "y" roi_pooling_param { %s }', "1,5"),
    ],
)
def test_what_is_read_beside_something_fits_it(tmp_path: Path, loss: str, label: str) -> None:
    data = (
        'layer { name: "d" type: "Input" top: "data" input_param { shape { dim: [2,3,9,11] } } }\n'
    )
    loss = loss.replace("%s", "pooled_h: 1 pooled_w: 1")
    net = write(tmp_path, data, CONV % "", FC, f'layer {{ name: "l" {loss} top: "l" }}\n')
    assert advised(net) == {"y": label}


def test_what_is_given_says_the_batch(tmp_path: Path) -> None:
    net = write(tmp_path, 'input: "data" input: "other"\n', CONV % "", FC, LOSS % "fc")
    net.write_text(net.read_text().replace('bottom: "label"', 'bottom: "other"'))
    assert advised(net, input_shapes={"data": (6, 3, 8, 8)}) == {"other": "6"}


def test_check_asks_for_all_too(tmp_path: Path) -> None:
    net = write(tmp_path, DATA % "", CONV % "", FC, LOSS.replace("label", "truth") % "fc")
    text = check(net).text()
    assert (
        "\nshapes that the file does not say: --input-shape truth=5 "
        "--input-shape data=5,3,224,224" in text
    )


def test_a_bottom_without_a_name_cannot_be_given(tmp_path: Path) -> None:
    data = """layer { name: "d" type: "Python" top: "data" top: "label"
      python_param { module: "siftflow_layers" layer: "SIFTFlowSegDataLayer"
        param_str: "{'siftflow_dir': 'd', 'seed': 1, 'split': 'val'}" } }
    """
    with pytest.raises(CaffeError) as caught:
        load(write(tmp_path, data, CONV % "", FC, LOSS % ""), weightless=True)
    assert OPTION.findall(caught.value.fix)
    assert all(name for name, _ in OPTION.findall(caught.value.fix))
    assert "--input-shape =" not in caught.value.fix


def test_a_bottom_of_a_misspelt_name_may_be_that(tmp_path: Path) -> None:
    net = write(tmp_path, 'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }')
    with pytest.raises(CaffeError) as caught:
        load(net)
    assert caught.value.fix == (
        "is it misspelt? An input's shape can be given: --input-shape x=1,3,224,224"
    )


def test_a_template_of_sizes_lists_its_placeholders_and_its_inputs(tmp_path: Path) -> None:
    head = 'input: "data" input_dim: 2 input_dim: 3 input_dim: {rows} input_dim: {columns}\n'
    net = write(tmp_path, head, CONV % "")
    found = check(net, input_shapes={"data": (2, 3, 9, 9)})
    assert not found.passed
    assert [verdict.torch for verdict in found.verdicts] == ["", ""]
    assert found.unknown == [
        "placeholder {rows}: once, line 1",
        "placeholder {columns}: once, line 1",
    ]
    with pytest.raises(CaffeError, match=r"net.prototxt:1:52: \{rows\} is a placeholder"):
        load(net, input_shapes={"data": (2, 3, 9, 9)})
    assert load(net, values={"rows": "9", "columns": "9"}).shapes()["conv"] == (2, 4, 4, 4)


ROI = """layer { name: "in" type: "Python" top: "data" top: "im_info" top: "gt_boxes"
  python_param { module: "roi_data_layer.layer" layer: "RoIDataLayer"
    param_str: "'num_classes': 21" } }
layer { name: "a" type: "Convolution" bottom: "data" top: "a"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: %d } }
layer { name: "b" type: "Convolution" bottom: "data" top: "b"
  convolution_param { num_output: 4 kernel_size: %d stride: %d } }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }
"""


@pytest.mark.parametrize(("stride", "size"), [(16, (608, 1024)), (64, (640, 1024))])
def test_an_assumed_size_is_said_and_another_is_asked_for(
    tmp_path: Path, stride: int, size: tuple[int, int]
) -> None:
    net = write(tmp_path, ROI % (stride, stride, stride))
    with pytest.raises(CaffeError) as caught:
        load(net)
    height, width = size
    fix = f"the size of 'data' is assumed, give the data's: --input-shape data=1,3,{height},{width}"
    assert caught.value.fix == fix
    assert fix in check(net).text()
    found = load(net, input_shapes={"data": (1, 3, *size)})
    assert found.shapes()["sum"] == (1, 4, height // stride, width // stride)
    assert found.notes == [
        "assumed, for the data are not here: 'im_info' 1x3, 'gt_boxes' 1x5; --input-shape gives "
        "theirs"
    ]


def test_what_no_size_mends_is_not_put_down_to_it(tmp_path: Path) -> None:
    net = write(tmp_path, (ROI % (16, 16, 16)).replace("num_output: 4 kernel_size: 3", NINE))
    with pytest.raises(CaffeError) as caught:
        load(net)
    assert caught.value.fix == ""


NINE = "num_output: 9 kernel_size: 3"


def test_what_a_layers_data_are_like_is_advised(tmp_path: Path) -> None:
    data = """layer { name: "in" type: "Python" top: "data" top: "label"
      python_param { module: "voc_layers" layer: "VOCSegDataLayer" } }\n"""
    net = write(tmp_path, data, CONV % "")
    assert advised(net) == {"data": "1,3,500,500", "label": "1,1,500,500"}


def test_an_images_numbers_are_three(tmp_path: Path) -> None:
    layers = """layer { name: "in" type: "Input" top: "s" top: "t"
      input_param { shape { dim: [1, 18, 9, 9] } shape { dim: [1, 36, 9, 9] } } }
    layer { name: "p" type: "Python" bottom: "s" bottom: "t" bottom: "im_info" top: "rois"
      python_param { module: "rpn.proposal_layer" layer: "ProposalLayer"
        param_str: "'feat_stride': 16" } }"""
    assert advised(write(tmp_path, layers)) == {"im_info": "1,3"}


def test_a_label_has_a_row_for_each_prediction(tmp_path: Path) -> None:
    rows = """layer { name: "r" type: "Reshape" bottom: "fc" top: "r"
      reshape_param { shape { dim: [-1, 1] } } }\n"""
    data = (
        'layer { name: "d" type: "Input" top: "data" input_param { shape { dim: [2,3,9,9] } } }\n'
    )
    net = write(tmp_path, data, CONV % "", FC, rows, LOSS % "r")
    assert advised(net) == {"label": "14"}


def test_images_that_stand_together_are_of_the_size_that_one_is_said_to_be(tmp_path: Path) -> None:
    layers = """layer { name: "e" type: "Input" top: "right" }
    layer { name: "conv2" type: "Convolution" bottom: "right" top: "conv2"
      convolution_param { num_output: 4 kernel_size: 3 stride: 2 } }
    layer { name: "sum" type: "Eltwise" bottom: "conv" bottom: "conv2" top: "sum" }"""
    net = write(tmp_path, DATA % "transform_param { crop_size: 40 }", CONV % "", layers)
    assert advised(net) == {"data": "5,3,40,40", "right": "5,3,40,40"}


def test_several_blobs_beside_one(tmp_path: Path) -> None:
    layers = """layer { name: "cat" type: "Concat" top: "cat"
      bottom: "conv" bottom: "a" bottom: "b" }
    layer { name: "sum" type: "Eltwise" bottom: "conv" bottom: "b" top: "sum" }"""
    data = (
        'layer { name: "d" type: "Input" top: "data" input_param { shape { dim: [2,3,9,9] } } }\n'
    )
    net = write(tmp_path, data, CONV % "", layers)
    assert advised(net) == {"a": "2,4,4,4", "b": "2,4,4,4"}


@pytest.mark.parametrize(("points", "data"), [("3, 6, 9", "5,12,224,224"), ("4", "5,6,224,224")])
def test_several_images_behind_each_other(tmp_path: Path, points: str, data: str) -> None:
    """What is cut into images has their channels together."""
    tops = "".join(f' top: "part{at}"' for at in range(points.count(",") + 2))
    cut = (
        f'layer {{ name: "cut" type: "Slice" bottom: "data"{tops} '
        f"slice_param {{ slice_point: [{points}] }} }}\n"
    )
    net = write(tmp_path, DATA % "", cut)
    assert advised(net) == {"data": data}


def test_one_channel_where_three_do_not_fit(tmp_path: Path) -> None:
    add = """layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
      convolution_param { num_output: 1 kernel_size: 3 pad: 1 } }
    layer { name: "sum" type: "Eltwise" bottom: "conv" bottom: "data" top: "sum" }\n"""
    assert advised(write(tmp_path, DATA % "", add))["data"] == "5,1,224,224"


def test_what_is_cut_is_no_smaller(tmp_path: Path) -> None:
    cut = """layer { name: "half" type: "Power" bottom: "data" top: "half" }
    layer { name: "cut" type: "DataAugmentation" bottom: "half" top: "cut"
      augmentation_param { crop_width: 640 crop_height: 256 } }\n"""
    assert advised(write(tmp_path, DATA % "", cut))["data"] == "5,3,256,640"


def test_what_a_blob_in_place_is_read_beside(tmp_path: Path) -> None:
    """The layer writes over what it reads: its shape is known from before."""
    guided = """layer { name: "g" type: "Input" top: "g" }
    layer { name: "drop" type: "GuidedDropout" bottom: "conv" bottom: "g" top: "conv" }\n"""
    net = write(
        tmp_path,
        DATA % "",
        CONV % "",
        'layer { name: "p" type: "Pooling" bottom: "conv" top: "conv1" '
        "pooling_param { global_pooling: true } }\n",
        guided.replace('"conv"', '"conv1"'),
    )
    assert advised(net)["g"] == "5,4,1,1"


@pytest.mark.parametrize("size", [32, 48])
def test_a_size_that_the_weights_were_learnt_at(tmp_path: Path, size: int) -> None:
    net = write(tmp_path, 'layer { name: "in" type: "Input" top: "data" }\n', CONV % "", FC)
    weights = tmp_path / "net.caffemodel"
    given = {"data": (1, 3, size, size)}
    converter.save_caffemodel(load(net, input_shapes=given), weights)
    assert advised(net, weights) == {"data": f"1,3,{size},{size}"}

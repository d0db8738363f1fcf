"""Which names are taken for others, and which are names of their own."""

from __future__ import annotations

import pytest

import caffe_layers
from prototxt import FormatError, UnsupportedError, parse_text
from prototxt.spelling import meant, nearest


def said(layer_type: str) -> str:
    layer = parse_text(f'layer {{ name: "l" type: "{layer_type}" }}').layers[0]
    with pytest.raises(UnsupportedError) as caught:
        caffe_layers.find(layer)
    return caught.value.fix


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("BATCHNORM", "BatchNorm"),
        ("inner_product", "InnerProduct"),
        ("SOFTMAX_LOSS", "SoftmaxWithLoss"),
        ("SoftmaxLoss", "SoftmaxWithLoss"),
        ("Convoluton", "Convolution"),
        ("Convolutoin", "Convolution"),
        ("Convolutionn", "Convolution"),
        ("Convolutiom", "Convolution"),
    ],
)
def test_the_same_type_written_otherwise_is_suggested(written, means):
    assert said(written) == f"did you mean {means!r}?"


@pytest.mark.parametrize(
    "written",
    [
        *(
            "GuidedInnerProduct",
            "Pooling4D",
            "NdDeconvolution",
            "NdUnpooling",
            "PoolingGrid",
            "Poolings3",
        ),
        *("SigmoidCrossEntropyBalanceLoss", "UnPooling", "Convolution4D", "CReLU", "LReLU", "BNN"),
        *("PRoIPooling", "TanG", "LRNs", "ELUx"),
        *("XConvolution", "QuantConvolution", "LRNPruned", "SoftmaxWithFocalLoss"),
    ],
)
def test_a_forks_type_is_not_taken_for_the_plain_one(written):
    assert said(written).startswith("`caffeport layers` lists the types that are here")


@pytest.mark.parametrize("written", ["UNPOOLINGS", "CONVOLUTION4D", "POOLING4D"])
def test_nor_is_a_forks_type_of_v1(written):
    with pytest.raises(FormatError, match=f"LayerType has no value {written}") as caught:
        parse_text(f"layers {{ type: {written} }}")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("kernal_size", "kernel_size"),
        ("kernelSize", "kernel_size"),
        ("pda", "pad"),
        ("strid", "stride"),
    ]
    + [(word, "") for word in ("dtow_param", "scale_filler", "kernel_size_3d", "pa", "rstride")],
)
def test_fields(word, means):
    known = ["data_param", "slope_filler", "kernel_size", "pad", "stride"]
    assert meant(word, known) == means


def test_names_of_layers_and_blobs_are_advised_by_their_likeness() -> None:
    assert nearest("conv1_1", ["conv2", "conv1_2", "fc"]) == "did you mean 'conv1_2'?"
    assert nearest("FC_7", ["fc6", "fc7"]) == "did you mean 'fc7'?"
    assert nearest("zzz", ["a", "b", "a"]) == "there are 'a', 'b'"
    assert nearest("zzz", map(str, range(10))).endswith("'6', '7' and 2 more")
    assert nearest("zzz", []) == "there are none"

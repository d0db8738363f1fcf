"""Layers of FlowNet2 that are known by name and not computed: each says why."""

from __future__ import annotations

from caffe_layers.base.refused import Refused


class _Augments(Refused):
    why = "it changes images at random, for training alone"


class _Reads(Refused):
    why = "it reads files of the machine that trained the network"
    fix = "replace it by an Input layer, and feed it"


class FlowAugmentation(
    _Augments, type="FlowAugmentation", fork="flownet2", bottoms=(1, None), tops=(1, None)
):
    """Moves a flow as DataAugmentation moved its two images.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/flow_augmentation_layer.cpp
    """


class GenerateAugmentationParameters(
    _Augments,
    type="GenerateAugmentationParameters",
    fork="flownet2",
    bottoms=(0, None),
    tops=(1, None),
):
    """Draws how DataAugmentation changes images.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/generate_augmentation_parameters_layer.cpp
    """


class BlackAugmentation(
    _Augments, type="BlackAugmentation", fork="flownet2", bottoms=(1, None), tops=(1, None)
):
    """Blackens parts of images.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/black_augmentation_layer.cpp
    """


class CustomData(_Reads, type="CustomData", fork="flownet2", bottoms=0, tops=(1, None)):
    """Images and flows from an LMDB of its own layout.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/custom_data_layer.cpp
    """


class ImgReader(_Reads, type="ImgReader", fork="flownet2", bottoms=0, tops=(1, None)):
    """Images from files.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/imgreader_layer.cpp
    """


class FloatReader(_Reads, type="FloatReader", fork="flownet2", bottoms=0, tops=(1, None)):
    """Arrays from files.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/floatreader_layer.cpp
    """

"""Layers of FlowNet2 that are known by name and not computed: each says why."""

from __future__ import annotations

from caffe_layers.base.refused import Refused


class _Augments(Refused):
    why = "it changes images at random, for training alone"


class _Reads(Refused):
    why = "it reads files of the machine that trained the network"
    fix = "replace it by an Input layer, and feed it"


class _Writes(Refused):
    why = "it writes its bottoms into files"
    fix = "take its bottoms, and leave the layer out"


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


class ImgWriter(_Writes, type="ImgWriter", fork="flownet2", bottoms=(1, None), tops=(0, None)):
    """Writes images.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/imgwriter_layer.cpp
    """


class FLOWriter(_Writes, type="FLOWriter", fork="flownet2", bottoms=(1, None), tops=(0, None)):
    """Writes flows.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/flowriter_layer.cpp
    """


class PFMWriter(_Writes, type="PFMWriter", fork="flownet2", bottoms=(1, None), tops=(0, None)):
    """Writes disparities.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/pfmwriter_layer.cpp
    """


class FloatWriter(_Writes, type="FloatWriter", fork="flownet2", bottoms=(1, None), tops=(0, None)):
    """Writes arrays.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/floatwriter_layer.cpp
    """

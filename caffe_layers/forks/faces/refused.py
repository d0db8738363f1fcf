"""Layers of happynear's that are known by name and not computed: each says why."""

from __future__ import annotations

from caffe_layers.base.refused import Refused


class _Unknown(Refused):
    why = "the published facts name its parameters and not its formula"


class _UnknownLoss(_Unknown):
    is_loss = True


class CenterLoss(
    _UnknownLoss, type="CenterLoss", fork="happynear", bottoms=(2, None), tops=(0, None)
):
    """The distance of embeddings from the learned centre of their class.

    Caffe: happynear/caffe-windows, src/caffe/layers/center_loss_layer.cpp
    """


class TripletLoss(
    _UnknownLoss, type="TripletLoss", fork="happynear", bottoms=(1, None), tops=(0, None)
):
    """A margin between distances of the same and of another person.

    Caffe: happynear/caffe-windows, src/caffe/layers/triplet_loss_layer.cpp
    """


class FocalLoss(
    _UnknownLoss, type="FocalLoss", fork="happynear", bottoms=(1, None), tops=(0, None)
):
    """A cross entropy that weighs hard samples more.

    Caffe: happynear/caffe-windows, src/caffe/layers/focal_loss_layer.cpp
    """


class InnerDistance(Refused, type="InnerDistance", fork="happynear", bottoms=(1, None)):
    """Distances from learned points.

    Caffe: happynear/caffe-windows, src/caffe/layers/inner_distance_layer.cpp
    """

    why = "versions differ in whether there is a bias, and a definition does not say which it is"


class LargeMarginInnerProduct(
    _Unknown,
    type="LargeMarginInnerProduct",
    fork="happynear",
    bottoms=(1, None),
    tops=(1, None),
):
    """An inner product whose angles are multiplied in training.

    Caffe: happynear/caffe-windows, src/caffe/layers/largemargin_inner_product_layer.cpp
    """


class MarginInnerProduct(
    _Unknown, type="MarginInnerProduct", fork="happynear", bottoms=(1, None), tops=(1, None)
):
    """An inner product with unit weights whose angles are multiplied in training.

    Caffe: happynear/caffe-windows, src/caffe/layers/margin_inner_product_layer.cpp
    """


class SubRegion(_Unknown, type="SubRegion", fork="happynear", bottoms=(1, None), tops=(1, None)):
    """Cuts regions around landmarks out.

    Caffe: happynear/caffe-windows, src/caffe/layers/sub_region_layer.cpp
    """


class Hotspot(_Unknown, type="Hotspot", fork="happynear", bottoms=(1, None), tops=(1, None)):
    """Draws landmarks as spots.

    Caffe: happynear/caffe-windows, src/caffe/layers/hotspot_layer.cpp
    """


class PredictBox(_Unknown, type="PredictBox", fork="happynear", bottoms=(1, None), tops=(1, None)):
    """Makes boxes of score maps.

    Caffe: happynear/caffe-windows, src/caffe/layers/predict_box_layer.cpp
    """

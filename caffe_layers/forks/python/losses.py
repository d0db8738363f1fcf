"""Losses and measures in Python that published definitions name: their shapes alone."""

from __future__ import annotations

from caffe_layers.data.python import PythonLoss, register_python

# guanlongzhao/single-image-dehazing, loss.py, whose definitions call it pyloss; after NVIDIA
for name in ("L1", "L2", "SSIM", "MSSSIM", "MSSSIML1", "MSSSIML2"):
    register_python("pyloss", name)(PythonLoss)

# kolesman/SEC, pylayers/pylayers/pylayers.py
for name in ("SeedLossLayer", "ConstrainLossLayer", "ExpandLossLayer"):
    register_python("pylayers", name)(PythonLoss)

# SURFZJY/EAST-caffe, pylayerUtils.py
for name in ("DiceCoefLossLayer", "RBoxLossLayer"):
    register_python("pylayerUtils", name)(PythonLoss)

# luhaofang/tripletloss, tripletloss/tripletlosslayer.py
register_python("tripletlosslayer", "TripletLayer")(PythonLoss)

# ishay2b/VanillaCNN, python/NormlizedMSE.py
register_python("python.NormlizedMSE", "NormlizedMSE")(PythonLoss)

# CSshengxy/DAN-Caffe, DesignLayer/SumOfSquaredLossLayer.py
register_python("SumOfSquaredLossLayer", "SumOfSquaredLossLayer")(PythonLoss)

# PramuPerera/DeepOneClass, distance_layer.py
register_python("distance_layer", "DistanceLayer")(PythonLoss)

# ShawnNew/shape-alpha-matting, scripts/alphaPredictionLoss.py and scripts/overallLoss.py
register_python("alphaPredictionLoss", "AlphaPredictionLossLayer")(PythonLoss)
register_python("overallLoss", "EncoderDecoderLossLayer")(PythonLoss)

# NVIDIA/caffe, python/caffe/layers/detectnet/mean_ap.py: mAP, precision and recall
register_python("caffe.layers.detectnet.mean_ap", "mAP")(PythonLoss)

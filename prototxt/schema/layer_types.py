"""The layer types of V1, an enum, under their names of today; those of forks among them."""

from __future__ import annotations

from typing import Any

NAMES = {
    "NONE": "",
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "ELTWISE": "Eltwise",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "TANH": "TanH",
    "THRESHOLD": "Threshold",
    "WINDOW_DATA": "WindowData",
    # Forks of 2015 and after that kept to V1
    "BIAS": "Bias",
    "CROP": "Crop",
    "ELU": "ELU",
    "EMBED": "Embed",
    "INPUT": "Input",
    "LOG": "Log",
    "PARAMETER": "Parameter",
    "PRELU": "PReLU",
    "PYTHON": "Python",
    "REDUCTION": "Reduction",
    "RESHAPE": "Reshape",
    # C3D
    "CONVOLUTION3D": "Convolution3D",
    "DECONVOLUTION3D": "Deconvolution3D",
    "POOLING3D": "Pooling3D",
    "VIDEO_DATA": "VideoData",
    "VOLUME_DATA": "VolumeData",
    # DeepLab v1
    "ADAPTIVE_BIAS_CHANNEL": "AdaptiveBiasChannel",
    "BIAS_CHANNEL": "BiasChannel",
    "CENSOR_LABEL": "CensorLabel",
    "CHANNEL_AGGREGATOR": "ChannelAggregator",
    "DENSE_CRF": "DenseCRF",
    "DOMINANT_CHANNEL": "DominantChannel",
    "GAIN_CHANNEL": "GainChannel",
    "HISTOGRAM": "Histogram",
    "IGNORE_OVERLAY": "IgnoreOverlay",
    "IMAGE_SEG_DATA": "ImageSegData",
    "INTERP": "Interp",
    "MAT_READ": "MatRead",
    "MAT_WRITE": "MatWrite",
    "ONEHOT": "OneHot",
    "PADDING": "Padding",
    "RELATIVE_ERROR": "RelativeError",
    "SEG_ACCURACY": "SegAccuracy",
    "UNIQUE_LABEL": "UniqueLabel",
    # DeconvNet and DecoupledNet
    "BIN_ACCURACY": "BinaryAccuracy",
    "DROPOUT_CHANNEL": "DropoutChannel",
    "ELTWISE_ACCURACY": "EltwiseAccuracy",
    "RED_ACCURACY": "RedAccuracy",
    "RED_SOFTMAX_LOSS": "RedSoftmaxWithLoss",
    "SELECT_SEG_BINARY": "SelectSegBinary",
    "UNPOOLING": "Unpooling",
    "WINDOW_CLS_DATA": "WindowClsData",
    "WINDOW_INST_SEG_DATA": "WindowInstSegData",
    "WINDOW_SEG_BINARY": "WindowSegBinary",
    "WINDOW_SEG_DATA": "WindowSegData",
    # happynear
    "BATCH_NORM": "BatchNorm",
    "BN": "BN",
    "ELTWISE_AFFINE": "EltwiseAffine",
    "INSANITY": "Insanity",
    "LOCAL": "Local",
    "NORMALIZE": "Normalize",
    "ROIPOOLING": "ROIPooling",
    "TRIPLET_LOSS": "TripletLoss",
    # unsky's deformable convolution, MobileNet-YOLO
    "CONADD": "Conadd",
    "DEFORMABLECONVOLUTION": "DeformableConvolution",
    "RELU6": "ReLU6",
}


def type_of(layer: Any) -> str:
    """Return a layer's type by its name of today; a V1 type without one by its enum's."""
    if isinstance(layer.type, str):
        return layer.type
    written = written_type(layer)
    return NAMES.get(written, written)


def written_type(layer: Any) -> str:
    """Return a layer's type as its file has it."""
    if isinstance(layer.type, str):
        return layer.type
    types = layer.DESCRIPTOR.fields_by_name["type"].enum_type
    found = types.values_by_number.get(layer.type)
    return str(found.name) if found else str(layer.type)

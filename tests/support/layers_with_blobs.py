"""A layer of every class that owns blobs, as a definition has it."""

from __future__ import annotations

SHAPES = {
    "x": "2 4 6 6",
    "offset": "2 18 6 6",
    "map": "2 1 6 6",
    "weight": "7 144",
    "series": "3 2 5",
    "cont": "3 2",
    "ids": "2 3",
    "pair": "2 2",
    "volume": "2 2 3 5 5",
    "label": "2",
    "cells": "2 4",
    "image": "2 3 6 6",
}
"""What the layers read, by name."""

CONVOLUTION = 'bottom: "x" convolution_param { num_output: 4 kernel_size: 3 }'
POOL = " pooling_param { kernel_size: 2 }"
VOLUME = 'bottom: "volume" %s { num_output: 4 kernel_size: 3 kernel_depth: 2 }'
RECURRENT = 'bottom: "series" bottom: "cont" recurrent_param { num_output: 4 }'
INNER_PRODUCT = 'bottom: "x" inner_product_param { num_output: 4 }'
X = 'bottom: "x"'
LABELLED = 'bottom: "x" bottom: "label"'
BN = 'bottom: "x" bn_param { }'

ROWS: dict[tuple[str, str], str] = {
    ("BN", "deconvnet"): (
        'bottom: "x" bn_param { scale_filler { value: 1 } shift_filler { value: 0 } }'
    ),
    ("BN", "happynear"): BN,
    ("BN", "pspnet"): BN,
    ("BN", "robert0812"): 'bottom: "x" bn_param { moving_average: true }',
    ("BN", "segnet"): 'bottom: "x" bn_param { bn_mode: INFERENCE }',
    ("BN", "tsn"): BN,
    ("BatchNorm", "bvlc"): X,
    ("BatchNorm", "intel"): X,
    ("BatchNorm", "nvidia"): 'bottom: "x" batch_norm_param { scale_bias: true }',
    ("BatchNorm", "nvidia_0_14"): X,
    ("BatchNorm", "nvidia_0_15"): X,
    ("Bias", "bvlc"): X,
    ("BinaryConvolution", "bwn_xnor"): CONVOLUTION,
    ("BinaryConvolution", "caffe_zz"): CONVOLUTION,
    ("BinaryConvolution", "hwgq"): CONVOLUTION,
    ("BinaryInnerProduct", "caffe_zz"): INNER_PRODUCT,
    ("BinaryInnerProduct", "hwgq"): INNER_PRODUCT,
    ("CapsuleConvRouting", "capsnet"): (
        'bottom: "x" capsule_conv_routing_param { input_h: 4 input_w: 3 kh: 1 kw: 1 stride: 1 '
        "input_capsule_num: 3 output_capsule_num: 2 output_capsule_shape { dim: 2 dim: 1 } }"
    ),
    ("CapsuleConvTransform", "capsnet"): (
        'bottom: "x" capsule_conv_transform_param { input_h: 4 input_w: 3 kh: 2 kw: 2 stride: 1 '
        "input_capsule_num: 3 output_capsule_num: 2 input_capsule_shape { dim: 2 dim: 2 } "
        "output_capsule_shape { dim: 2 dim: 1 } }"
    ),
    ("CapsuleRouting", "capsnet"): (
        'bottom: "x" capsule_routing_param { input_capsule_num: 12 output_capsule_dim: 4 '
        "output_capsule_num: 3 }"
    ),
    ("CapsuleTransform", "capsnet"): (
        'bottom: "x" capsule_transform_param { input_capsule_dim: 4 output_capsule_dim: 2 '
        "output_capsule_num: 3 }"
    ),
    ("CConvolution", "surgery"): CONVOLUTION,
    ("CInnerProduct", "surgery"): INNER_PRODUCT,
    ("CmpConvolution", "deepcompression"): CONVOLUTION,
    ("CmpInnerProduct", "deepcompression"): INNER_PRODUCT,
    ("CenterLoss", "center_loss"): f"{LABELLED} center_loss_param {{ num_output: 4 }}",
    ("CenterLoss", "happynear"): (
        LABELLED + ' center_loss_param { num_output: 4 distance_type: "L1" }'
    ),
    ("ChannelScale", "happynear"): (
        'bottom: "x" bottom: "map" channel_scale_param { global_scale: true }'
    ),
    ("ConvLSTM", "convlstm"): (
        'bottom: "volume" bottom: "pair" lstm_conv_param { num_output: 4 kernel_size: 1 }'
    ),
    ("Convolution", "bvlc"): CONVOLUTION,
    ("Convolution", "twns"): CONVOLUTION,
    ("Convolution3D", "c3d"): VOLUME % "convolution_param",
    ("Convolution3D", "c3d_11"): VOLUME % "convolution3d_param",
    ("ConvolutionDepthwise", "mobile"): CONVOLUTION,
    ("ConvolutionReLU", "skimcaffe"): CONVOLUTION,
    ("ConvolutionReLUPool", "skimcaffe"): CONVOLUTION + POOL,
    ("ConvolutionReLUPoolLRN", "skimcaffe"): CONVOLUTION + POOL,
    ("ConvolutionRistretto", "ristretto"): CONVOLUTION,
    ("CuDNNBatchNorm", "sknet"): X,
    ("DataAugmentation", "flownet2"): 'bottom: "x" augmentation_param { recompute_mean: 3 }',
    ("Deconvolution", "bvlc"): CONVOLUTION,
    ("Deconvolution3D", "c3d"): VOLUME % "convolution_param",
    ("Deconvolution3D", "c3d_11"): VOLUME % "convolution3d_param",
    ("DeconvolutionRistretto", "ristretto"): CONVOLUTION,
    ("DeformableConvolution", "deformable"): (
        'bottom: "x" bottom: "offset" deformable_convolution_param { num_output: 4 '
        "kernel_size: 3 pad: 1 deformable_group: 1 }"
    ),
    ("DenseBlock", "caffe_ocr"): (
        'bottom: "x" denseblock_param { numTransition: 1 growthRate: 2 initChannel: 4 }'
    ),
    ("DepthwiseConvolution", "mobile"): CONVOLUTION,
    ("EltwiseAffine", "happynear"): X,
    ("Embed", "bvlc"): 'bottom: "ids" embed_param { num_output: 4 input_dim: 9 }',
    ("FcRistretto", "ristretto"): INNER_PRODUCT,
    ("InnerProduct", "bvlc"): INNER_PRODUCT,
    ("InnerProduct", "twns"): INNER_PRODUCT,
    ("InnerProductReLUDropout", "skimcaffe"): INNER_PRODUCT,
    ("InnerProduct", "happynear"): (
        'bottom: "x" inner_product_param { num_output: 4 normalize: true }'
    ),
    ("Filter", "caffe_pro"): 'bottom: "x" filter_param { num_output: 4 }',
    ("InnerDistance", "happynear"): 'bottom: "x" inner_distance_param { num_output: 4 }',
    ("LSTM", "bvlc"): RECURRENT,
    ("LSTMNode", "up_down"): (
        'top: "c" bottom: "label" bottom: "cells" lstm_param { num_cells: 4 }'
    ),
    ("LabelSpecificMargin", "happynear"): LABELLED,
    ("LargeMarginInnerProduct", "happynear"): (
        'bottom: "x" bottom: "label" largemargin_inner_product_param { num_output: 4 }'
    ),
    ("Local", "happynear"): 'bottom: "x" local_param { num_output: 4 kernel_size: 3 }',
    ("Lstm", "caffe_lstm"): 'bottom: "series" lstm_param { num_output: 4 }',
    ("MarginInnerProduct", "happynear"): (
        'bottom: "x" bottom: "label" margin_inner_product_param { num_output: 4 }'
    ),
    ("MultiStageMeanfield", "documents"): (
        'bottom: "x" bottom: "x" bottom: "image" multi_stage_meanfield_param { '
        "theta_alpha: 160 theta_beta: 3 theta_gamma: 3 num_iterations: 2 }"
    ),
    ("Normalize", "ssd"): 'bottom: "x" norm_param { across_spatial: false }',
    ("PReLU", "bvlc"): X,
    ("Parameter", "bvlc"): "parameter_param { shape { dim: [2, 4] } }",
    ("RNN", "bvlc"): RECURRENT,
    ("ReNetLSTM", "picanet"): 'bottom: "x" renet_lstm_param { num_output: 4 }',
    ("Scale", "bvlc"): X,
    ("Scale", "happynear"): 'bottom: "x" scale_param { min_value: 0 }',
    ("NdConvolution", "video_caffe"): (
        'bottom: "volume" convolution_param { num_output: 4 kernel_shape { dim: [2, 2, 2] } }'
    ),
    ("SyncBN", "tsn"): BN,
    ("Tensor", "capsnet"): (
        'bottom: "x" capsule_conv_param { input_h: 4 input_w: 3 kh: 2 kw: 2 stride: 1 '
        "input_capsule_num: 3 output_capsule_num: 2 input_capsule_shape { dim: 1 dim: 2 dim: 2 } "
        "output_capsule_shape { dim: 1 dim: 2 dim: 3 } }"
    ),
    ("TernaryConvolution", "ternary"): CONVOLUTION,
    ("TernaryInnerProduct", "ternary"): INNER_PRODUCT,
    ("Winograd", "skimcaffe"): CONVOLUTION,
}
"""Type and fork -> what a layer of them says beside its name, its type and its top."""


def layer(kind: str, said: str) -> str:
    """Return the layer's text: it is `head`, and makes `y`."""
    return f'layer {{ name: "head" type: "{kind}" top: "y" {said} }}\n'


def inputs() -> str:
    """Return the layer that brings what the rows read."""
    tops = " ".join(f'top: "{name}"' for name in SHAPES)
    shapes = " ".join(f"shape {{ dim: [{', '.join(shape.split())}] }}" for shape in SHAPES.values())
    return f'layer {{ name: "inputs" type: "Input" {tops} input_param {{ {shapes} }} }}\n'

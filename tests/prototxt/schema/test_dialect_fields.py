"""Fields of one number and forks' other meanings: each file is read as its own fork's, or refused.

A row gives the bytes' readings by dialect. Where the file holds nothing else, either one reading is
meant, or the file is refused and --dialect settles it; beside a layer of the fork it is the fork's.
"""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import text_format

from prototxt import Net, UnsupportedError, parse_text, schema
from prototxt.binary import wire
from prototxt.binary.caffemodel import parse_binary
from prototxt.schema import dialect_of

REFUSED = "refused"

# A layer that only this fork has: beside it, the file is known to be the fork's.
OWN_LAYER = {
    "tsn": 'type: "SyncBN" bn_param { momentum: 0.5 }',
    "segnet": 'type: "DenseImageData" dense_image_data_param { source: "a" }',
    "rfcn": 'type: "PSROIPooling" psroi_pooling_param { spatial_scale: 1 output_dim: 1 '
    "group_size: 1 }",
    "rcnn": 'type: "ROIPooling" roi_pooling_param { pooled_h: 2 }',
    "nvidia": 'type: "ReLU" forward_type: FLOAT16',
    "intel": 'type: "SpatialDropout" spatial_dropout_param { dropout_ratio: 0.5 }',
    "happynear": 'type: "Insanity" insanity_param { lb: 3 }',
    "deeplab": 'type: "DenseCRF" dense_crf_param { }',
    "chuanqi": 'type: "ReLU6" relu6_param { }',
    "ssd": 'type: "MultiBoxLoss" multibox_loss_param { loc_weight: 2 }',
}

AVE = "pool: AVE kernel_size: 3 pad: 1"

# Type, what is read without a sign, and what each dialect writes: all of them the same bytes.
SAME = [
    ("Convolution", REFUSED, {"bvlc": "axis: 2", "tsn": "dilation: 2"}),
    ("Convolution", "bvlc", {"bvlc": "force_nd_im2col: true", "deeplab_v1": "hole: 1"}),
    ("Convolution", REFUSED, {"bvlc": "force_nd_im2col: true dilation: 3",
                              "tsn": "dilation_h: 1 dilation_w: 3"}),
    ("Convolution", REFUSED, {"deeplab_v1": "hole_h: 2 hole_w: 1",
                              "chuanqi": "dilation: 2 tf_pad: VALID",
                              "intel": "dilation: 2 relu: true"}),
    ("Convolution", REFUSED, {"chuanqi": "tf_pad: SAME", "intel": "relu: false",
                              "nvidia": "cudnn_convolution_algo_seeker: GET",
                              "happynear": "cudnn_convolution_algo_seeker: GET"}),
    ("Convolution", REFUSED, {"chuanqi": "tf_pad: VALID", "intel": "relu: true",
                              "nvidia": "cudnn_convolution_algo_seeker: FINDEX"}),
    ("Pooling", REFUSED, {"bvlc": f"{AVE} round_mode: CEIL",
                          "intel": f"{AVE} avg_include_pad: false"}),
    ("Pooling", REFUSED, {"bvlc": "round_mode: FLOOR", "intel": "avg_include_pad: true"}),
    ("Pooling", "bvlc", {"bvlc": "round_mode: CEIL", "intel": "avg_include_pad: false"}),
    ("BatchNorm", REFUSED, {"deeplab": "update_global_stats: true", "intel": "engine: CAFFE",
                            "happynear": "disable_mean: true"}),
    ("BatchNorm", REFUSED, {"intel": "use_weight_bias: false",
                            "happynear": "disable_variance: false"}),
    ("BatchNorm", REFUSED, {"intel": "filler { value: 2.0 }",
                            "happynear": "scale_filler { value: 2.0 }"}),
    ("SoftmaxWithLoss", "bvlc", {"bvlc": "normalization: FULL",
                                 "segnet": "weight_by_label_freqs: false"}),
    ("SoftmaxWithLoss", "bvlc", {"bvlc": "normalization: VALID",
                                 "segnet": "weight_by_label_freqs: true"}),
    # PRE_FIXED without a number divides by 1: it is NONE.
    ("SoftmaxWithLoss", "bvlc", {"bvlc": "normalization: NONE", "rfcn": "normalization: PRE_FIXED",
                                 "intel": "normalization: PRE_FIXED"}),
    ("SoftmaxWithLoss", REFUSED, {"rfcn": "pre_fixed_normalizer: 2.0",
                                  "segnet": "class_weighting: 2.0",
                                  "nvidia": "label_smoothing: 2.0"}),
    ("SoftmaxWithLoss", REFUSED, {
        "segnet": "weight_by_label_freqs: true class_weighting: 2.0",
        "rfcn": "normalization: VALID pre_fixed_normalizer: 2.0",
        "nvidia": "normalization: VALID label_smoothing: 2.0"}),
    ("Dropout", REFUSED, {"rcnn": "scale_train: false", "segnet": "sample_weights_test: false",
                          "nvidia": "engine: DEFAULT", "happynear": "sqrt_scale: false"}),
    ("Dropout", REFUSED, {"rcnn": "scale_train: true", "segnet": "sample_weights_test: true",
                          "nvidia": "engine: CAFFE", "happynear": "sqrt_scale: true"}),
    ("Eltwise", REFUSED, {"tsn": "operation: STOCHASTIC_SUM", "happynear": "operation: SORT"}),
    ("InnerProduct", REFUSED, {"happynear": "normalize: true", "intel": "engine: CAFFE"}),
    ("Data", REFUSED, {"nvidia": "use_gpu_transform: true", "happynear": "crop_h: 1"}),
    ("Data", REFUSED, {"deeplab": "crop_width: 3", "happynear": "crop_w: 3",
                       "nvidia": "random_seed: 3"}),
]  # fmt: skip

# Type, its parameter's name, dialect, fields: wire types, values or the number tell them apart.
TOLD = [
    ("Convolution", "", "happynear", "shape_offset: 1 shape_offset: 0"),
    ("Convolution", "", "intel", "negative_slope: 0.25"),
    ("Convolution", "", "nvidia", 'conv_algos_override: "1,0,0"'),
    ("Convolution", "", "bvlc", "dilation: 3"),
    ("Convolution", "", "tsn", "dilation_h: 3 dilation_w: 2"),
    ("Convolution", "", "deeplab_v1", "hole: 3"),
    ("Convolution", "", "deeplab_v1", "hole_h: 2 hole_w: 3"),
    ("DeformableConvolution", "deformable_convolution_param", "deformable", "deformable_group: 1"),
    ("Pooling", "", "bvlc", "round_mode: CEIL"),
    ("Pooling", "", "happynear", "blobs_lr: 0.5"),
    ("BatchNorm", "", "bvlc", "use_global_stats: true moving_average_fraction: 0.5"),
    ("CuDNNBatchNorm", "batch_norm_param", "sknet", "frozen: true momentum: 0.5"),
    ("BatchNorm", "", "intel", "engine: MKLDNN"),
    ("BatchNorm", "", "nvidia", "scale_filler { value: 2.0 }"),
    ("CuDNNBatchNorm", "batch_norm_param", "sknet", "scale_filler { value: 2.0 }"),
    ("BatchNorm", "", "intel", "bias_term: false"),
    ("BatchNorm", "", "nvidia", "bias_filler { value: 2.0 }"),
    ("BatchNorm", "", "nvidia", "scale_bias: true"),
    ("BN", "bn_param", "pspnet", "momentum: 0.5"),
    ("BN", "bn_param", "tsn", "momentum: 0.5"),
    ("BN", "bn_param", "happynear", "momentum: 0.5"),
    ("BN", "bn_param", "segnet", "bn_mode: INFERENCE"),
    ("SoftmaxWithLoss", "", "bvlc", "normalize: false normalization: BATCH_SIZE"),
    ("SoftmaxWithLoss", "", "rfcn", "normalization: NONE"),
    ("SoftmaxWithLoss", "", "intel", "label_smoothing: 0.1"),
    ("SoftmaxWithLoss", "", "enet", "normalization: BATCH_SIZE"),
    ("Dropout", "", "nvidia", "engine: CUDNN"),
    ("Reduction", "", "bvlc", "operation: SUMSQ coeff: 2.0"),
    ("Reduction", "", "tsn", "operation: TOPK k: 2"),
    ("InnerProduct", "", "intel", "engine: MKLDNN"),
    ("Scale", "", "happynear", "min_value: 1.0 max_value: 2.0"),
    ("ReLU", "", "intel", "fuse: true"),
    ("Concat", "", "intel", "engine: MKLDNN"),
    ("Reshape", "", "intel", "pixelshuffler: 2"),
    ("Normalize", "norm_param", "ssd", "across_spatial: false"),
    ("Normalize", "normalize_param", "happynear", 'normalize_type: "L1"'),
    ("Upsample", "upsample_param", "segnet", "scale: 4"),
    ("Upsample", "upsample_param", "enet", "scale: 4"),
    ("Upsample", "upsample_param", "yolo", "scale: 4"),
    ("Upsample", "upsample_param", "x2paddle", "scale: 4"),
    ("Reorg", "reorg_param", "yolo", "stride: 2 reverse: true"),
    ("Reorg", "reorg_param", "huawei", "reverse: true stride: 2"),
    ("Data", "", "ssd", "resize_param { height: 2 width: 3 }"),
    ("Noise", "noise_param", "happynear", "gaussian_std: 2.0"),
    ("Resize", "resize_param", "happynear", "height: 2 width: 3"),
]

PARAM = {
    "Convolution": "convolution_param",
    "Pooling": "pooling_param",
    "BatchNorm": "batch_norm_param",
    "SoftmaxWithLoss": "loss_param",
    "Dropout": "dropout_param",
    "Eltwise": "eltwise_param",
    "Reduction": "reduction_param",
    "InnerProduct": "inner_product_param",
    "Scale": "scale_param",
    "ReLU": "relu_param",
    "Concat": "concat_param",
    "Reshape": "reshape_param",
    "Data": "transform_param",
}


def message(dialect: str, text: str, name: str = "LayerParameter") -> bytes:
    made: Any = schema.dialect(dialect).message(name)()
    text_format.Parse(text, made)
    return made.SerializeToString()


def layer(dialect: str, kind: str, fields: str, param: str = "") -> bytes:
    return message(dialect, said(kind, fields, param))


def said(kind: str, fields: str, param: str = "") -> str:
    body = f"{param or PARAM[kind]} {{ {fields} }}"
    return f'name: "L" type: "{kind}" bottom: "x" top: "y" {body}'


def read(*layers: bytes, dialect: str | None = None, header: bytes = b"", number: int = 100) -> Net:
    key = wire.encode_key(number, wire.BYTES)
    parts = [key + wire.encode_varint(len(layer)) + layer for layer in layers]
    net = parse_binary(memoryview(b"".join([header, *parts])), "net.caffemodel", dialect).net
    assert net is not None
    return net


def shown(message: Any) -> str:
    return text_format.MessageToString(message, as_one_line=True)


@pytest.mark.parametrize(("kind", "alone", "readings"), SAME)
def test_one_number_of_several_fields(kind: str, alone: str, readings: dict[str, str]) -> None:
    (data,) = {layer(dialect, kind, fields) for dialect, fields in readings.items()}
    if alone == REFUSED:
        with pytest.raises(UnsupportedError, match=r"one dialect or of another.*\n.*--dialect"):
            read(data)
    else:
        assert shown(read(data).layers[0]) == said(kind, readings[alone])
    for dialect, fields in readings.items():
        files = [read(data, dialect=dialect)]
        if dialect in OWN_LAYER:
            files.append(read(data, message(dialect, OWN_LAYER[dialect])))
        for net in files:
            assert dialect_of(net.layers[0]) == dialect
            assert shown(net.layers[0]) == said(kind, fields)


@pytest.mark.parametrize(("kind", "param", "dialect", "fields"), TOLD)
def test_wire_types_values_and_numbers_tell(kind: str, param: str, dialect: str, fields: str):
    net = read(layer(dialect, kind, fields, param))
    assert dialect_of(net.layers[0]) == dialect
    assert shown(net.layers[0]) == said(kind, fields, param)
    text = parse_text(f"layer {{ {said(kind, fields, param)} }}", dialect=dialect)
    assert shown(text.layers[0]) == said(kind, fields, param)


@pytest.mark.parametrize(
    ("named", "dialect", "fields"),
    [("bvlc", "intel", "relu: true"), ("ssd", "chuanqi", "tf_pad: SAME"), ("bvlc", "tsn",
     "dilation_h: 2 dilation_w: 3")],
)  # fmt: skip
def test_a_wrong_name_leaves_nothing_out(named: str, dialect: str, fields: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"{named} has not all its fields: .*\n.*--dialect"):
        read(layer(dialect, "Convolution", fields), dialect=named)
    with pytest.raises(UnsupportedError, match="bvlc has not all its fields: intel reads engine"):
        read(RELU, header=message("intel", 'engine: "CAFFE"', "NetParameter"), dialect="bvlc")


# ---- Headers ------------------------------------------------------------------------------------


HEADERS = [
    ("intel", 'engine: "MKLDNN"'),
    ("intel", "compile_net_state { bn_scale_remove: true }"),
    ("nvidia", "global_grad_scale: 2.0"),
    ("tsn", "mem_param { optimize_test: true }"),
]
RELU = message("bvlc", 'name: "L" type: "ReLU" bottom: "x" top: "y"')


@pytest.mark.parametrize(("dialect", "fields"), HEADERS)
def test_headers_tell(dialect: str, fields: str) -> None:
    net = read(RELU, header=message(dialect, fields, "NetParameter"))
    assert [found.names for found in net.dialects] == [(dialect,)]
    assert (dialect_of(net.header), shown(net.header)) == (dialect, fields)


def test_headers_field_11_is_of_two_forks() -> None:
    readings = {"nvidia": "default_forward_type: FLOAT16", "intel": "bn_stats_batch_size: 2"}
    (data,) = {message(dialect, text, "NetParameter") for dialect, text in readings.items()}
    with pytest.raises(UnsupportedError, match=r"FLOAT16.*bn_stats_batch_size: 2\n.*--dialect"):
        read(RELU, header=data)
    for dialect, text in readings.items():
        own = message(dialect, OWN_LAYER[dialect])
        for net in (read(RELU, header=data, dialect=dialect), read(RELU, own, header=data)):
            assert shown(net.header) == text


# ---- V1 layers ----------------------------------------------------------------------------------

INPUT = 'bottom: "x" top: "y"'
V1_SAME = [
    (INPUT, {"happynear": "LOCAL", "deeplab_v1": "INTERP"}),
    (INPUT, {"happynear": "BN", "deeplab_v1": "PADDING"}),
    (INPUT, {"happynear": "NORMALIZE", "deeplab_v1": "MAT_WRITE"}),
    (INPUT, {"happynear": "INSANITY", "deeplab_v1": "MAT_READ"}),
    (INPUT, {"happynear": "TRIPLET_LOSS", "deeplab_v1": "DENSE_CRF"}),
    (INPUT, {"happynear": "ROIPOOLING", "deeplab_v1": "DOMINANT_CHANNEL"}),
    (INPUT, {"happynear": "BATCH_NORM", "deeplab_v1": "BIAS_CHANNEL"}),
    (INPUT, {"happynear": "ELTWISE_AFFINE", "deeplab_v1": "UNIQUE_LABEL"}),
    (INPUT, {"deformable": "CONADD", "deeplab_v1": "ADAPTIVE_BIAS_CHANNEL"}),
]
V1_TOLD = {
    "bvlc": [
        f"{INPUT} type: DECONVOLUTION",
        f"{INPUT} type: SOFTMAX_LOSS loss_param {{ ignore_label: 2 }}",
        f"{INPUT} type: CONVOLUTION convolution_param {{ dilation: 2 }}",
    ],
    "deeplab_v1": [
        'top: "y" type: IMAGE_SEG_DATA image_data_param { source: "a" }',
        'top: "y" type: IMAGE_SEG_DATA',
        f"{INPUT} type: INTERP interp_param {{ height: 5 }}",
        f"{INPUT} type: PADDING padding_param {{ pad_beg: 1 }}",
        f'{INPUT} type: MAT_WRITE mat_write_param {{ prefix: "a" }}',
        f"{INPUT} type: SEG_ACCURACY seg_accuracy_param {{ metric: ClassJaccard }}",
        f"{INPUT} type: SEG_ACCURACY seg_accuracy_param {{ ignore_label: 1 }}",
        f"{INPUT} type: SOFTMAX_LOSS softmaxloss_param {{ ignore_label: 255 }}",
    ],
    "happynear": [
        f"{INPUT} type: LOCAL local_param {{ num_output: 2 }}",
        f"{INPUT} type: BN bn_param {{ momentum: 0.5 }}",
        f"{INPUT} type: INSANITY insanity_param {{ lb: 2.0 }}",
        f"{INPUT} type: ROIPOOLING roi_pooling_param {{ pooled_h: 2 pooled_w: 3 }}",
        f"{INPUT} type: ELTWISE_AFFINE eltwise_affine_param {{ channel_shared: true }}",
    ],
    "deformable": [
        f"{INPUT} type: CONADD conadd_param {{ }}",
        f"{INPUT} type: DEFORMABLECONVOLUTION",
    ],
    "yolo": [f"{INPUT} type: RELU6"],
}  # fmt: skip


@pytest.mark.parametrize(("ends", "readings"), V1_SAME)
def test_one_number_of_two_types(ends: str, readings: dict[str, str]) -> None:
    texts = {fork: f'{ends} name: "L" type: {kind}' for fork, kind in readings.items()}
    (data,) = {message(fork, text, "V1LayerParameter") for fork, text in texts.items()}
    with pytest.raises(UnsupportedError, match=r"one dialect or of another.*\n.*--dialect"):
        read(data, number=2)
    for fork, text in texts.items():
        assert shown(read(data, number=2, dialect=fork).layers[0]) == text


@pytest.mark.parametrize("fork", V1_TOLD)
def test_parameters_and_bottoms_tell_types(fork: str) -> None:
    for text in V1_TOLD[fork]:
        found = read(message(fork, text, "V1LayerParameter"), number=2).layers[0]
        assert (dialect_of(found), shown(found)) == (fork, text)


# ---- Text ---------------------------------------------------------------------------------------

NAMES = [
    ("BN", "bn_param", {"pspnet": "momentum: 0.5", "segnet": "bn_mode: INFERENCE"}),
    ("Upsample", "upsample_param", {"segnet": "pad_out_h: true", "yolo": "scale: 3"}),
    ("Data", "", {"deeplab": "crop_width: 3", "ssd": "crop_w: 3"}),
    ("Dropout", "", {"rcnn": "scale_train: false", "segnet": "sample_weights_test: true",
                     "nvidia": "engine: CUDNN", "happynear": "sqrt_scale: true"}),
    ("SoftmaxWithLoss", "", {"bvlc": "normalization: NONE", "segnet": "class_weighting: 2.0",
                             "rfcn": "normalization: PRE_FIXED", "nvidia": "label_smoothing: 0.1"}),
    ("Convolution", "", {"bvlc": "dilation: 2", "deeplab_v1": "hole: 2", "chuanqi": "tf_pad: SAME",
                         "intel": "relu: true", "tsn": "dilation_h: 2"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "param", "readings"), NAMES)
def test_names_tell_in_text(kind: str, param: str, readings: dict[str, str]) -> None:
    for fields in readings.values():
        found = parse_text(f"layer {{ {said(kind, fields, param)} }}").layers[0]
        assert shown(found) == said(kind, fields, param)

"""Forks gave the same numbers and fields to other things: files that differ in dialect alone.

The binary ones are built byte by byte. Tables of the clashes: field numbers of LayerParameter,
sub-fields, type names, V1's enum and fields.
"""

from __future__ import annotations

import struct
from typing import Any

import pytest

from prototxt import parse_text, read_net
from prototxt.binary.caffemodel import parse_binary
from prototxt.errors import FormatError, UnsupportedError
from prototxt.schema import dialect_of
from prototxt.schema.recognize import certain
from prototxt.upgrade import upgrade


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def chunk(number: int, content: bytes = b"") -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def whole(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def real(number: int, *values: float) -> bytes:
    return b"".join(varint(number << 3 | 5) + struct.pack("<f", value) for value in values)


def blob(*shape: int) -> bytes:
    count = 1
    for dim in shape:
        count *= dim
    packed = chunk(1, b"".join(map(varint, shape)))
    return chunk(7, chunk(7, packed) + chunk(5, b"\0" * 4 * count))


def layer(kind: str, *fields: bytes, bottoms: int = 0) -> bytes:
    names = b"".join(chunk(3, b"x%d" % index) for index in range(bottoms))
    return chunk(100, chunk(1, b"a") + chunk(2, kind.encode()) + names + b"".join(fields))


def v1(kind: int, *fields: bytes, bottom: bool = True) -> bytes:
    bottoms = chunk(2, b"x") if bottom else b""
    return chunk(2, bottoms + chunk(4, b"a") + whole(5, kind) + b"".join(fields))


def read(*parts: bytes, dialect: str | None = None) -> Any:
    return parse_binary(memoryview(b"".join(parts)), "net.caffemodel", dialect).net


# ---- Numbers of LayerParameter ----------------------------------------------------------------

SHAPE = chunk(1, chunk(1, varint(3)))
FILLED = chunk(1, chunk(1, b"msra"))
NUMBERS = [
    # number, then for each meaning: type, dialect, field, one sub-field and its value
    (45, [("BN", "segnet", "bn_param", whole(3, 1), "bn_mode", 1)]),
    (46, [("DenseImageData", "enet", "dense_image_data_param", whole(2, 7), "batch_size", 7)]),
    (
        137,
        [
            ("Embed", "bvlc", "embed_param", whole(1, 5), "num_output", 5),
            ("BN", "tsn", "bn_param", real(3, 0.5), "momentum", 0.5),
            ("Upsample", "segnet", "upsample_param", whole(1, 3), "scale", 3),
        ],
    ),
    (
        138,
        [
            ("Tile", "bvlc", "tile_param", whole(2, 3), "tiles", 3),
            ("DenseImageData", "segnet", "dense_image_data_param", whole(2, 3), "batch_size", 3),
        ],
    ),
    (
        139,
        [
            ("BatchNorm", "bvlc", "batch_norm_param", real(2, 0.5), "moving_average_fraction", 0.5),
            ("CuDNNBatchNorm", "sknet_139", "batch_norm_param", real(2, 0.5), "momentum", 0.5),
        ],
    ),
    (
        140,
        [
            ("ELU", "bvlc", "elu_param", real(1, 2), "alpha", 2),
            ("VideoData", "tsn", "video_data_param", whole(4, 7), "batch_size", 7),
        ],
    ),
    (
        141,
        [
            ("Bias", "bvlc", "bias_param", whole(1, 2), "axis", 2),
            ("SegData", "tsn", "seg_data_param", chunk(90001, b"list"), "source", "list"),
        ],
    ),
    (142, [("Scale", "bvlc", "scale_param", whole(1, 2), "axis", 2)]),
    (
        143,
        [
            ("Input", "bvlc", "input_param", SHAPE, "shape", None),
            ("Interp", "deeplab", "interp_param", whole(1, 9), "height", 9),
        ],
    ),
    (
        144,
        [
            ("Crop", "bvlc", "crop_param", whole(1, 1), "axis", 1),
            ("SegAccuracy", "deeplab", "seg_accuracy_param", whole(1, 1), "metric", 1),
        ],
    ),
    (
        145,
        [
            ("Parameter", "bvlc", "parameter_param", SHAPE, "shape", None),
            ("MatWrite", "deeplab", "mat_write_param", chunk(1, b"p"), "prefix", "p"),
            ("ShuffleChannel", "ncnn", "shuffle_channel_param", whole(1, 2), "group", 2),
        ],
    ),
    (
        146,
        [
            ("LSTM", "bvlc", "recurrent_param", whole(1, 4), "num_output", 4),
            ("DenseCRF", "deeplab", "dense_crf_param", whole(1, 4), "max_iter", 4),
        ],
    ),
    (
        147,
        [
            ("Swish", "bvlc", "swish_param", real(1, 2), "beta", 2),
            ("DomainTransform", "deeplab", "domain_transform_param", whole(1, 4), "num_iter", 4),
            ("Upsample", "enet", "upsample_param", whole(1, 3), "scale", 3),
            ("Reorg", "ncnn", "reorg_param", whole(1, 2), "stride", 2),
        ],
    ),
    (
        148,
        [
            ("Clip", "bvlc", "clip_param", real(1, -1) + real(2, 2), "max", 2),
            (
                *("AdaptiveBiasChannel", "deeplab", "adaptive_bias_channel_param"),
                *(real(2, 0.5), "bg_portion", 0.5),
            ),
            ("DataAugmentation", "flownet2", "coeff_schedule_param", real(1, 2), "half_life", 2),
            ("SmoothL1Loss", "intel", "smooth_l1_loss_param", real(1, 3), "sigma", 3),
            ("ImResize", "openpose", "imresize_param", whole(1, 9), "target_spatial_width", 9),
        ],
    ),
    (
        149,
        [
            ("BiasChannel", "deeplab", "bias_channel_param", real(1, 2), "bg_bias", 2),
            ("DataAugmentation", "flownet2", "augmentation_param", whole(33, 8), "crop_width", 8),
            ("Nms", "openpose", "nms_param", real(1, 2), "threshold", 2),
            ("Reorg", "yolo", "reorg_param", whole(1, 2), "stride", 2),
        ],
    ),
    (
        150,
        [
            ("UniqueLabel", "deeplab", "unique_label_param", whole(1, 3), "max_labels", 3),
            ("ROIPooling", "tsn", "roi_pooling_param", whole(1, 3), "pooled_h", 3),
            ("Correlation", "flownet2", "correlation_param", whole(4, 3), "max_displacement", 3),
            ("Upsample", "yolo", "upsample_param", whole(1, 3), "scale", 3),
        ],
    ),
    (
        151,
        [
            ("MatRead", "deeplab", "mat_read_param", chunk(1, b"p"), "prefix", "p"),
            ("LSTM", "nvidia", "recurrent_param", whole(1, 4), "num_output", 4),
            ("L1Loss", "flownet2", "l1_loss_param", whole(1, 1), "l2_per_location", True),
            ("MnActivation", "intel", "mn_activation_param", whole(1, 4), "num_nodes_in", 4),
        ],
    ),
    (
        152,
        [
            ("BN", "pspnet", "bn_param", real(3, 0.5), "momentum", 0.5),
            ("TRT", "nvidia", "trt_param", chunk(3, b"d") + chunk(4, b"m"), "deploy", "d"),
            (
                "BoxAnnotatorOHEM",
                "intel",
                "box_annotator_ohem_param",
                whole(1, 9),
                "roi_per_img",
                9,
            ),
        ],
    ),
    (
        154,
        [
            ("Mean", "flownet2", "mean_param", whole(1, 4), "operation", 4),
            ("ROIPooling", "intel", "roi_pooling_param", whole(1, 3), "pooled_h", 3),
        ],
    ),
    (
        155,
        [
            ("Resample", "flownet2", "resample_param", whole(1, 3), "width", 3),
            (
                "SpatialDropout",
                "intel",
                "spatial_dropout_param",
                real(1, 0.25),
                "dropout_ratio",
                0.25,
            ),
            ("Reorg", "huawei", "reorg_param", whole(1, 1) + whole(2, 3), "stride", 3),
        ],
    ),
    (
        159,
        [
            ("FlowWarp", "flownet2", "flow_warp_param", whole(1, 2), "fill_value", 2),
            ("Reorg", "intel", "reorg_param", whole(1, 3), "stride", 3),
            ("ShuffleChannel", "huawei", "shuffle_channel_param", whole(1, 3), "group", 3),
        ],
    ),
    (
        160,
        [
            ("Accum", "flownet2", "accum_param", whole(1, 3), "top_height", 3),
            ("Scale", "tsn", "scale_param", whole(1, 2), "axis", 2),
            ("Upsample", "huawei", "upsample_param", whole(1, 3), "scale", 3),
        ],
    ),
    (
        161,
        [
            ("Bias", "tsn", "bias_param", whole(1, 2), "axis", 2),
            ("ROIPooling", "huawei", "roi_pooling_param", whole(1, 3), "pooled_h", 3),
        ],
    ),
    (162, [("BatchReduction", "tsn", "batch_reduction_param", whole(1, 2), "level", [2])]),
    (163, [("Interp", "synopsys", "interp_param", whole(1, 9), "height", 9)]),
    (164, [("ShuffleChannel", "mobile", "shuffle_channel_param", whole(1, 3), "group", 3)]),
    (
        200,
        [
            ("CuDNNBatchNorm", "sknet", "batch_norm_param", real(2, 0.5), "momentum", 0.5),
            ("AnnotatedData", "ssd", "annotated_data_param", chunk(2, b"f"), "label_map_file", "f"),
            ("BN", "happynear", "bn_param", real(3, 0.5), "momentum", 0.5),
            ("Conadd", "deformable", "conadd_param", b"", None, None),
        ],
    ),
    (
        201,
        [
            ("MultiBoxLoss", "ssd", "multibox_loss_param", whole(4, 21), "num_classes", 21),
            ("Local", "happynear", "local_param", whole(1, 4), "num_output", 4),
        ],
    ),
    (
        202,
        [
            ("Permute", "ssd", "permute_param", whole(1, 2), "order", [2]),
            ("Insanity", "happynear", "insanity_param", real(1, 3), "lb", 3),
        ],
    ),
    (
        203,
        [
            ("PriorBox", "ssd", "prior_box_param", real(1, 60.5), "min_size", [60.5]),
            ("TripletLoss", "happynear", "triplet_loss_param", real(1, 3), "margin", 3),
        ],
    ),
    (
        204,
        [
            ("DetectionOutput", "ssd", "detection_output_param", whole(1, 21), "num_classes", 21),
            ("ROIPooling", "happynear", "roi_pooling_param", whole(1, 6), "pooled_h", 6),
        ],
    ),
    (
        205,
        [
            ("DetectionEvaluate", "ssd", "detection_evaluate_param", whole(1, 2), "num_classes", 2),
            (
                "EltwiseAffine",
                "happynear",
                "eltwise_affine_param",
                whole(3, 1),
                "channel_shared",
                True,
            ),
            ("Interp", "ncnn", "interp_param", whole(1, 9), "height", 9),
        ],
    ),
    (
        206,
        [
            ("Normalize", "ssd", "norm_param", whole(1, 0), "across_spatial", False),
            ("SubRegion", "happynear", "sub_region_param", whole(1, 3), "region_height", 3),
        ],
    ),
    (
        207,
        [
            ("VideoData", "ssd", "video_data_param", whole(1, 1), "video_type", 1),
            ("Noise", "happynear", "noise_param", real(1, 2), "gaussian_std", 2),
            (
                *("PSROIPooling", "huawei", "psroi_pooling_param"),
                *(real(1, 1) + whole(2, 3) + whole(3, 7), "group_size", 7),
            ),
        ],
    ),
    (
        208,
        [
            ("ReLU6", "chuanqi", "relu6_param", whole(2, 1), "engine", 1),
            ("Hotspot", "happynear", "hotspot_param", real(1, 2), "gaussian_std", 2),
        ],
    ),
    (
        209,
        [
            ("RegionLoss", "intel", "region_loss_param", whole(1, 9), "side", 9),
            ("PredictBox", "happynear", "predict_box_param", whole(1, 9), "stride", 9),
        ],
    ),
    (
        211,
        [
            ("ReLU6", "yolo", "relu6_param", real(1, 0.5), "negative_slope", 0.5),
            ("CenterLoss", "happynear", "center_loss_param", whole(1, 9), "num_output", 9),
            ("Upsample", "x2paddle", "upsample_param", whole(1, 3), "scale", 3),
        ],
    ),
    (
        212,
        [
            ("Flip", "happynear", "flip_param", whole(2, 1), "flip_height", True),
            ("ROIPooling", "x2paddle", "roi_pooling_param", whole(1, 6), "pooled_h", 6),
        ],
    ),
    (
        213,
        [
            ("InnerDistance", "happynear", "inner_distance_param", whole(1, 9), "num_output", 9),
            ("ShuffleChannel", "x2paddle", "shuffle_channel_param", whole(1, 3), "group", 3),
        ],
    ),
    (219, [("Proposal", "happynear", "proposal_param", whole(1, 8), "feat_stride", 8)]),
    (224, [("Permute", "happynear", "permute_param", whole(1, 2), "order", [2])]),
    (603, [("Yolov3", "yolo", "yolov3_param", whole(2, 80), "num_class", 80)]),
    (8266711, [("ROIPooling", "rcnn", "roi_pooling_param", whole(1, 6), "pooled_h", 6)]),
]


@pytest.mark.parametrize(
    ("number", "kind", "dialect", "field", "content", "inner", "value"),
    [(number, *meaning) for number, meanings in NUMBERS for meaning in meanings],
)
def test_a_number_means_what_the_type_says(number, kind, dialect, field, content, inner, value):
    (one,) = read(layer(kind, chunk(number, content))).layers
    assert dialect_of(one) == dialect
    param = getattr(one, field)
    assert one.HasField(field)
    if value is not None:
        got = getattr(param, inner)
        assert (list(got) if isinstance(value, list) else got) == value


@pytest.mark.parametrize("dialect", ["segnet", "deeplab", "tsn", "happynear", "ncnn"])
def test_a_forced_dialect_reads_with_its_own_numbers(dialect):
    number = {"segnet": 45, "tsn": 137, "happynear": 200, "ncnn": 45, "deeplab": 152}[dialect]
    field = whole(3, 1) if dialect in ("segnet", "ncnn") else real(3, 0.5)
    (one,) = read(layer("BN", chunk(number, field)), dialect=dialect).layers
    wanted = "pspnet" if dialect == "deeplab" else dialect  # DeepLab has no BN: PSPNet's is meant
    assert dialect_of(one) == wanted


# ---- Wire types -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "field", "value"),
    [
        (whole(145, 2), "forward_type", 2),
        (whole(147, 0), "forward_math", 0),
        (whole(149, 1), "debug", True),
        (whole(150, -1), "cudnn_math_override", -1),
    ],
)
def test_nvidias_scalars_are_varints_on_any_layer(content, field, value):
    net = read(layer("ReLU", content, bottoms=1))
    assert dialect_of(net.layers[0]) == "nvidia"
    assert getattr(net.layers[0], field) == value
    assert [group.names for group in net.dialects] == [("nvidia",)]


def test_a_string_at_149_is_intels_and_a_bool_at_157_flownets():
    (one,) = read(layer("ReLU", chunk(149, b"MKLDNN"))).layers
    assert (dialect_of(one), one.engine) == ("intel", "MKLDNN")
    (one,) = read(layer("ReLU", whole(157, 1))).layers
    assert (dialect_of(one), one.reshape_every_iter) == ("flownet2", True)


def test_what_no_dialect_reads_stays_as_it_is():
    (one,) = read(layer("ReLU", chunk(999_999, b"?"))).layers
    assert dialect_of(one) == "bvlc"
    assert chunk(999_999, b"?") in one.SerializeToString()


@pytest.mark.parametrize(
    ("header", "dialect"),
    [
        (chunk(9, b"MKLDNN"), "intel"),
        (whole(11, 2) + whole(20, 1), "nvidia"),
        (chunk(200, whole(2, 1)), "tsn"),
        (real(15, 8), "nvidia"),
    ],
)
def test_the_header_tells_a_dialect(header, dialect):
    net = read(chunk(1, b"n") + header, layer("ReLU"))
    assert certain(net.dialects, net.schema) >= {dialect}
    assert dialect_of(net.header) == dialect


def test_a_blobs_raw_data_is_nvidias():
    raw = chunk(7, chunk(7, chunk(1, varint(2))) + whole(10, 2) + chunk(12, b"\0\x3c\0\x40"))
    weights = parse_binary(memoryview(layer("Scale", raw)), "net.caffemodel")
    assert weights.layers[0].blobs[0].array.tolist() == [1, 2]
    assert [str(one) for one in weights.net.dialects] == ["nvidia (BlobProto.raw_data)"]


# ---- Sub-fields -------------------------------------------------------------------------------

KERNEL = whole(1, 4) + whole(4, 3)
WEIGHTS = blob(4, 2, 3, 3)
TSN = layer("Gather")
INTEL = chunk(1, b"n") + chunk(9, b"MKLDNN")
HAPPY = layer("Insanity", chunk(202, real(1, 3)))
SEGNET = layer("DenseImageData", chunk(138, whole(2, 1)))

SUBFIELDS = [
    # the same bytes beside two other files' signs: type, number, bytes, signs, field, value
    ("Convolution", 106, KERNEL + whole(16, 2), TSN, "dilation", 2),
    ("Convolution", 106, KERNEL + whole(17, 2) + whole(18, 3), TSN, "dilation_h", 2),
    ("Convolution", 106, KERNEL + whole(17, 2), b"", "hole", 2),
    ("Convolution", 106, KERNEL + whole(17, 1), b"", "force_nd_im2col", True),
    ("Convolution", 106, KERNEL + whole(17, 1) + whole(18, 3), TSN, "dilation_w", 3),
    ("Convolution", 106, KERNEL + whole(18, 2), b"", "dilation", [2]),
    ("Convolution", 106, KERNEL + whole(19, 1), INTEL, "relu", True),
    ("Convolution", 106, KERNEL + whole(20, 2), HAPPY, "shape_offset", [2]),
    ("Convolution", 106, KERNEL + real(20, 0.5), b"", "negative_slope", 0.5),
    ("Convolution", 106, KERNEL + chunk(20, b"1"), b"", "conv_algos_override", "1"),
    ("Pooling", 121, whole(2, 2) + whole(13, 1), INTEL, "avg_include_pad", True),
    ("Pooling", 121, whole(2, 2) + whole(13, 0), INTEL, "avg_include_pad", False),
    ("Pooling", 121, whole(2, 2) + whole(13, 0), b"", "round_mode", 0),
    ("Pooling", 121, whole(2, 2) + real(13, 2), b"", "blobs_lr", 2),
    ("BatchNorm", 139, whole(4, 1), HAPPY, "disable_mean", True),
    ("BatchNorm", 139, whole(4, 1), INTEL, "engine", 1),
    ("BatchNorm", 139, whole(7, 1), b"", "scale_bias", True),
    ("BatchNorm", 139, chunk(5), b"", "scale_filler", None),
    ("InnerProduct", 117, whole(1, 3) + whole(7, 1), HAPPY, "normalize", True),
    ("InnerProduct", 117, whole(1, 3) + whole(7, 1), INTEL, "engine", 1),
    ("Dropout", 108, whole(2, 1), layer("ROIPooling", chunk(8266711)), "scale_train", True),
    ("Dropout", 108, whole(2, 1), SEGNET, "sample_weights_test", True),
    ("Dropout", 108, whole(2, 1), HAPPY, "sqrt_scale", True),
    ("Eltwise", 110, whole(1, 3), TSN, "operation", 3),
    ("Reduction", 136, whole(4, 2), b"", "k", 2),
    ("SoftmaxWithLoss", 101, whole(3, 3), b"", "normalization", 3),
    ("SoftmaxWithLoss", 101, whole(3, 1) + real(4, 2), SEGNET, "weight_by_label_freqs", True),
    ("SoftmaxWithLoss", 101, whole(3, 3) + real(4, 2), INTEL, "pre_fixed_normalizer", 2),
]


@pytest.mark.parametrize(("kind", "number", "content", "signs", "field", "value"), SUBFIELDS)
def test_a_sub_field_means_what_the_file_says(kind, number, content, signs, field, value):
    weights = WEIGHTS if kind == "Convolution" else b""
    net = read(signs, layer(kind, weights, chunk(number, content)))
    (param,) = [value for key, value in net.layers[-1].ListFields() if key.number == number]
    assert any(key.name == field for key, _ in param.ListFields())
    if value is not None:
        got = getattr(param, field)
        assert (list(got) if isinstance(value, list) else got) == value


@pytest.mark.parametrize(
    ("kind", "content", "readings"),
    [
        (
            "Pooling",
            chunk(121, whole(2, 2) + whole(13, 1)),
            (
                "bvlc reads Pooling pooling_param { kernel_size: 2 round_mode: FLOOR }",
                "intel reads",
            ),
        ),
        (
            "Pooling",
            chunk(121, whole(1, 1) + whole(2, 2) + whole(4, 1) + whole(13, 0)),
            ("round_mode: CEIL", "avg_include_pad: false"),
        ),
        ("Convolution", WEIGHTS + chunk(106, KERNEL + whole(16, 2)), ("axis: 2", "dilation: 2")),
        (
            "Convolution",
            WEIGHTS + chunk(106, KERNEL + whole(17, 1) + whole(18, 3)),
            ("force_nd_im2col: true dilation: 3", "dilation_h: 1 dilation_w: 3"),
        ),
        ("Eltwise", chunk(110, whole(1, 3)), ("STOCHASTIC_SUM", "SORT")),
        ("Dropout", chunk(108, whole(2, 1)), ("scale_train: true", "sample_weights_test: true")),
        ("BatchNorm", chunk(139, whole(4, 1)), ("update_global_stats: true", "engine: CAFFE")),
    ],
)
def test_bytes_that_say_two_things_are_refused(kind, content, readings):
    weights = parse_binary(memoryview(layer(kind, content)), "net.caffemodel")
    assert weights.layers[0].name == "a"  # weights come out all the same
    with pytest.raises(UnsupportedError) as caught:
        _ = weights.net
    said = str(caught.value)
    assert said.startswith("net.caffemodel: layer 'a': its bytes are of one dialect or of another")
    assert said.endswith("fix: name the file's dialect with --dialect")
    for reading in readings:
        assert reading in said


@pytest.mark.parametrize(
    ("kind", "content", "dialect", "field", "value"),
    [
        ("Pooling", chunk(121, whole(13, 1)), "bvlc", "round_mode", 1),
        ("Pooling", chunk(121, whole(13, 1)), "intel", "avg_include_pad", True),
        ("Convolution", chunk(106, KERNEL + whole(16, 2)), "bvlc", "axis", 2),
        ("Convolution", chunk(106, KERNEL + whole(16, 2)), "tsn", "dilation", 2),
        ("Eltwise", chunk(110, whole(1, 3)), "happynear", "operation", 3),
    ],
)
def test_the_dialect_settles_what_bytes_say(kind, content, dialect, field, value):
    (one,) = read(layer(kind, content), dialect=dialect).layers
    (param,) = [value for key, value in one.ListFields() if key.number >= 100]
    assert getattr(param, field) == value


# ---- V1 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "content", "bottom", "dialect", "name"),
    [
        (39, chunk(10, whole(1, 4)), True, "bvlc", "Deconvolution"),
        (39, chunk(15, chunk(1, b"list")), False, "deeplab_v1", "ImageSegData"),
        (41, chunk(43, whole(1, 9)), True, "deeplab_v1", "Interp"),
        (41, chunk(44, whole(1, 9)), True, "happynear", "Local"),
        (42, chunk(45, whole(1, 1)), True, "deeplab_v1", "Padding"),
        (42, chunk(43, real(3, 0.5)), True, "happynear", "BN"),
        (43, chunk(46, chunk(1, b"p")), True, "deeplab_v1", "MatWrite"),
        (44, chunk(46, real(1, 3)), True, "happynear", "Insanity"),
        (44, chunk(47, chunk(1, b"p")), True, "deeplab_v1", "MatRead"),
        (45, chunk(48, whole(1, 3)), True, "deeplab_v1", "DenseCRF"),
        (45, chunk(47, real(1, 3)), True, "happynear", "TripletLoss"),
        (46, chunk(48, real(3, 0.5)), True, "happynear", "ROIPooling"),
        (48, chunk(49, whole(3, 1)), True, "happynear", "EltwiseAffine"),
        (40, chunk(42, whole(1, 1)), True, "deeplab_v1", "SegAccuracy"),
        (21, chunk(42, whole(1, 255)), True, "bvlc", "SoftmaxWithLoss"),
        (50, chunk(99), True, "deformable", "Conadd"),
        (99, chunk(999, whole(1, 4)), True, "deformable", "DeformableConvolution"),
        (61, chunk(61, real(1, 0.5)), True, "yolo", "ReLU6"),
        (4, chunk(10, KERNEL + whole(17, 2)), True, "deeplab_v1", "Convolution"),
    ],
)
def test_a_v1_number_is_told_by_its_fields(kind, content, bottom, dialect, name):
    net = read(v1(kind, content, bottom=bottom))
    assert dialect_of(net.layers[0]) == dialect
    (one,) = upgrade(net).layers
    assert one.type == name


def test_v1_hole_is_known_beside_deeplabs_layers():
    both = KERNEL + whole(18, 2) + whole(19, 1)
    net = upgrade(read(v1(41, chunk(43, whole(1, 9))), v1(4, chunk(10, both))))
    assert net.layers[1].convolution_param.hole_h == 2
    net = upgrade(read(v1(4, chunk(10, KERNEL + whole(18, 2)))))
    assert list(net.layers[0].convolution_param.dilation) == [2]


def test_a_v1_number_alone_is_refused():
    with pytest.raises(UnsupportedError, match="happynear reads Local"):
        read(v1(41))
    assert upgrade(read(v1(41), dialect="deeplab_v1")).layers[0].type == "Interp"
    assert upgrade(read(v1(41), dialect="happynear")).layers[0].type == "Local"


# ---- Text -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("type: 'BN' bn_param { slope_filler { value: 1 } }", "pspnet"),
        ("type: 'BN' bn_param { bn_mode: INFERENCE }", "segnet"),
        ("type: 'BN' bn_param { shift_filler { value: 1 } }", "segnet"),
        ("type: 'Normalize' norm_param { across_spatial: false }", "ssd"),
        ("type: 'Normalize' normalize_param { normalize_type: 'L1' }", "happynear"),
        ("type: 'SmoothL1Loss' smooth_l1_loss_param { sigma: 3 }", "rcnn"),
        ("type: 'SmoothL1Loss' smoothl1_param { turn_point: 3 }", "happynear"),
        ("type: 'L1Loss' l1_loss_param { l2_per_location: true }", "flownet2"),
        ("type: 'VideoData' video_data_param { video_type: VIDEO }", "ssd"),
        ("type: 'VideoData' video_data_param { modality: FLOW }", "tsn"),
        ("type: 'Convolution' convolution_param { hole: 2 }", "deeplab_v1"),
        ("type: 'Convolution' convolution_param { dilation_h: 2 }", "tsn"),
        ("type: 'Convolution' convolution_param { tf_pad: SAME }", "chuanqi"),
        ("type: 'Pooling' pooling_param { avg_include_pad: false }", "intel"),
        ("type: 'Pooling' pooling_param { ceil_mode: false }", "soeaver"),
        ("type: 'ImageData' transform_param { crop_width: 9 }", "deeplab"),
        ("type: 'ImageData' transform_param { crop_w: 9 }", "ssd"),
        ("type: 'SoftmaxWithLoss' loss_param { normalization: PRE_FIXED }", "rfcn"),
        ("type: 'Data' transform_param { min_side: 9 }", "augmentation"),
    ],
)
def test_the_fields_of_a_text_tell_its_dialect(text, dialect):
    net = parse_text(f"layer {{ name: 'a' {text} }}")
    assert dialect_of(net.layers[0]) == dialect
    assert dialect in net.dialects[0].names


def test_a_normalization_is_the_same_by_name_whatever_its_number():
    for dialect, number in (("bvlc", 3), ("rfcn", 4), ("intel", 4)):
        text = "layer { type: 'SoftmaxWithLoss' loss_param { normalization: NONE } }"
        (one,) = parse_text(text, dialect=dialect).layers
        kind = one.loss_param.DESCRIPTOR.fields_by_name["normalization"].enum_type
        assert kind.values_by_number[one.loss_param.normalization].name == "NONE"
        assert kind.values_by_name["NONE"].number == (3 if dialect_of(one) == "bvlc" else number)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("type: 'PriorBox' prior_box_param { min_sise: 3 }", "did you mean 'min_size'"),
        ("type: 'Frobnicate' frobnicate_param { x: 3 }", "has no field 'frobnicate_param'"),
        ("type: 'ReLU' permute_param { order: 1 }", "has no field 'permute_param'"),
        ("type: 'Permute' permute_param { order: 'x' }", "'x'"),
    ],
)
def test_a_typo_is_still_an_error(text, said):
    with pytest.raises(FormatError) as caught:
        parse_text(f"layer {{ name: 'a' {text} }}")
    assert said in str(caught.value)
    if "did you mean" not in said:
        assert "did you mean" not in str(caught.value)


def test_a_whole_file_names_its_dialects(shared):
    def told(name: str) -> str:
        net = read_net(shared / "prototxts" / f"{name}.prototxt")
        return "; ".join(map(str, net.dialects))

    assert told("caffe__models__VGGNet__coco__SSD_300x300__deploy") == (
        "ssd (Normalize, Permute, PriorBox, DetectionOutput)"
    )
    assert told("DeepLab-Context__voc12__vgg128_noup__test_test").startswith("deeplab_v1 (")
    assert told("synopsys-caffe__evaluation__prototxt__pspnet50_ADE20K_473") == (
        "pspnet (BN, Interp)"
    )
    assert told("caffe-model__cls__air__deploy_air101") == "soeaver (pooling_param.ceil_mode)"

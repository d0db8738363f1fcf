"""LayerParameter numbers that forks gave to different fields: the type and the bytes tell them."""

from __future__ import annotations

import struct

import pytest

from prototxt import FormatError, UnsupportedError, parse_text, read_net
from prototxt.binary.caffemodel import read_binary
from prototxt.binary.wire import BYTES, FIXED32, VARINT, encode_key, encode_varint
from prototxt.schema import SHIPPED, dialect_of
from prototxt.schema.layer_types import written_type


def number(field: int, value: int) -> bytes:
    return encode_key(field, VARINT) + encode_varint(value % (1 << 64))


def real(field: int, value: float) -> bytes:
    return encode_key(field, FIXED32) + struct.pack("<f", value)


def chunk(field: int, content: bytes) -> bytes:
    return encode_key(field, BYTES) + encode_varint(len(content)) + content


ONE = number(1, 1)
SEVEN = number(1, 7)
HALF = real(1, 0.5)
A = chunk(1, b"a")
MSRA = chunk(1, chunk(1, b"msra"))
DIM = chunk(1, chunk(1, b"\x07"))
POSITIONS = real(1, 0.5) + number(2, 7) + number(3, 5)
PSROI = "psroi_pooling_param { spatial_scale: 0.5 output_dim: 7 group_size: 5 }"
NONE = b""

# A number, the bytes under it, a type, the dialect that has this number there, and its reading.
MESSAGES = [
    (45, NONE, "BN", "segnet", "bn_param { }"),
    (45, MSRA, "BN", "segnet", 'bn_param { scale_filler { type: "msra" } }'),
    (46, A, "DenseImageData", "enet", 'dense_image_data_param { source: "a" }'),
    (137, SEVEN, "Embed", "bvlc", "embed_param { num_output: 7 }"),
    (137, SEVEN, "Upsample", "segnet", "upsample_param { scale: 7 }"),
    (137, MSRA, "BN", "tsn", 'bn_param { slope_filler { type: "msra" } }'),
    (138, SEVEN, "Tile", "bvlc", "tile_param { axis: 7 }"),
    (138, A, "DenseImageData", "segnet", 'dense_image_data_param { source: "a" }'),
    (139, ONE, "BatchNorm", "bvlc", "batch_norm_param { use_global_stats: true }"),
    (139, ONE, "CuDNNBatchNorm", "sknet_139", "batch_norm_param { frozen: true }"),
    (140, HALF, "ELU", "bvlc", "elu_param { alpha: 0.5 }"),
    (140, A, "VideoData", "tsn", 'video_data_param { source: "a" }'),
    (141, SEVEN, "Bias", "bvlc", "bias_param { axis: 7 }"),
    (142, SEVEN, "Scale", "bvlc", "scale_param { axis: 7 }"),
    (143, DIM, "Input", "bvlc", "input_param { shape { dim: 7 } }"),
    (143, SEVEN, "Interp", "deeplab", "interp_param { height: 7 }"),
    (144, ONE, "Crop", "bvlc", "crop_param { axis: 1 }"),
    (144, ONE, "SegAccuracy", "deeplab", "seg_accuracy_param { metric: ClassAccuracy }"),
    (145, DIM, "Parameter", "bvlc", "parameter_param { shape { dim: 7 } }"),
    (145, A, "MatWrite", "deeplab", 'mat_write_param { prefix: "a" }'),
    (145, SEVEN, "ShuffleChannel", "ncnn", "shuffle_channel_param { group: 7 }"),
    (146, SEVEN, "LSTM", "bvlc", "recurrent_param { num_output: 7 }"),
    (146, SEVEN, "DenseCRF", "deeplab", "dense_crf_param { max_iter: 7 }"),
    (147, HALF, "Swish", "bvlc", "swish_param { beta: 0.5 }"),
    (147, SEVEN, "DomainTransform", "deeplab", "domain_transform_param { num_iter: 7 }"),
    (147, SEVEN, "Upsample", "enet", "upsample_param { scale: 7 }"),
    (147, SEVEN, "Reorg", "ncnn", "reorg_param { stride: 7 }"),
    (148, HALF + real(2, 2), "Clip", "bvlc", "clip_param { min: 0.5 max: 2 }"),
    (148, SEVEN, "AdaptiveBiasChannel", "deeplab", "adaptive_bias_channel_param { num_iter: 7 }"),
    (148, HALF, "L1Loss", "flownet2", "coeff_schedule_param { half_life: 0.5 }"),
    (148, HALF, "SmoothL1Loss", "intel", "smooth_l1_loss_param { sigma: 0.5 }"),
    (148, SEVEN, "ImResize", "openpose", "imresize_param { target_spatial_width: 7 }"),
    (149, HALF, "BiasChannel", "deeplab", "bias_channel_param { bg_bias: 0.5 }"),
    (149, real(3, 7), "DataAugmentation", "flownet2", "augmentation_param { max_multiplier: 7 }"),
    (149, HALF, "Nms", "openpose", "nms_param { threshold: 0.5 }"),
    (149, SEVEN, "Reorg", "yolo", "reorg_param { stride: 7 }"),
    (149, POSITIONS, "PSROIPooling", "ncnn", PSROI),
    (150, SEVEN, "UniqueLabel", "deeplab", "unique_label_param { max_labels: 7 }"),
    (150, SEVEN, "ROIPooling", "tsn", "roi_pooling_param { pooled_h: 7 }"),
    (150, number(2, 7), "Correlation", "flownet2", "correlation_param { pad: 7 }"),
    (150, SEVEN, "Convolution", "intel", "multinode { num_nodes: 7 }"),
    (150, SEVEN, "Upsample", "yolo", "upsample_param { scale: 7 }"),
    (151, A, "MatRead", "deeplab", 'mat_read_param { prefix: "a" }'),
    (151, ONE, "L1Loss", "flownet2", "l1_loss_param { l2_per_location: true }"),
    (
        151,
        chunk(2, MSRA[2:]),
        "RNN",
        "nvidia",
        'recurrent_param { weight_filler { type: "msra" } }',
    ),
    (152, MSRA, "BN", "pspnet", 'bn_param { slope_filler { type: "msra" } }'),
    (
        152,
        ONE + chunk(3, b"a") + chunk(4, b"b"),
        "TRT",
        "nvidia",
        'trt_param { trt_mode: FP16 deploy: "a" model: "b" }',
    ),
    (152, A, "FLOWriter", "flownet2", 'writer_param { file: "a" }'),
    (152, SEVEN, "BoxAnnotatorOHEM", "intel", "box_annotator_ohem_param { roi_per_img: 7 }"),
    (153, A, "FLOReader", "flownet2", 'reader_param { file: "a" }'),
    (153, POSITIONS, "PSROIPooling", "intel", PSROI),
    (154, ONE, "Mean", "flownet2", "mean_param { operation: ADD }"),
    (154, SEVEN, "ROIPooling", "intel", "roi_pooling_param { pooled_h: 7 }"),
    (155, SEVEN, "Resample", "flownet2", "resample_param { width: 7 }"),
    (155, HALF, "SpatialDropout", "intel", "spatial_dropout_param { dropout_ratio: 0.5 }"),
    (155, ONE + number(2, 2), "Reorg", "huawei", "reorg_param { reverse: true stride: 2 }"),
    (156, ONE, "Downsample", "flownet2", "downsample_param { top_height: 1 }"),
    (
        156,
        ONE,
        "Convolution",
        "intel",
        "mn_grad_compress_param { param_grad_compress_enable: true }",
    ),
    (158, real(4013, 0.5), "LpqLoss", "flownet2", "lpq_loss_param { p_epsilon: 0.5 }"),
    (158, number(3, 8), "Convolution", "intel", "quantization_param { bw_layer_in: 8 }"),
    (159, ONE, "FlowWarp", "flownet2", "flow_warp_param { fill_value: ZERO }"),
    (159, ONE + number(2, 1), "Reorg", "intel", "reorg_param { stride: 1 reverse: true }"),
    (159, ONE, "ShuffleChannel", "huawei", "shuffle_channel_param { group: 1 }"),
    (160, SEVEN, "Accum", "flownet2", "accum_param { top_height: 7 }"),
    (160, SEVEN, "Scale", "tsn", "scale_param { axis: 7 }"),
    (160, SEVEN, "Upsample", "huawei", "upsample_param { scale: 7 }"),
    (161, NONE, "BlackAugmentation", "flownet2", "black_augmentation_param { }"),
    (161, SEVEN, "Bias", "tsn", "bias_param { axis: 7 }"),
    (161, SEVEN, "ROIPooling", "huawei", "roi_pooling_param { pooled_h: 7 }"),
    (162, SEVEN, "BatchReduction", "tsn", "batch_reduction_param { level: 7 }"),
    (163, SEVEN, "Interp", "synopsys", "interp_param { height: 7 }"),
    (164, SEVEN, "ShuffleChannel", "mobile", "shuffle_channel_param { group: 7 }"),
    (200, ONE, "CuDNNBatchNorm", "sknet", "batch_norm_param { frozen: true }"),
    (200, ONE, "CuDNNBatchNorm", "genet", "cudnn_batch_norm_param { frozen: true }"),
    (200, number(3, 0), "AnnotatedData", "ssd", "annotated_data_param { anno_type: BBOX }"),
    (200, MSRA, "BN", "happynear", 'bn_param { slope_filler { type: "msra" } }'),
    (200, NONE, "Conadd", "deformable", "conadd_param { }"),
    (201, ONE, "MultiBoxLoss", "ssd", "multibox_loss_param { loc_loss_type: SMOOTH_L1 }"),
    (201, ONE, "Local", "happynear", "local_param { num_output: 1 }"),
    (202, SEVEN, "Permute", "ssd", "permute_param { order: 7 }"),
    (202, HALF, "Insanity", "happynear", "insanity_param { lb: 0.5 }"),
    (203, HALF, "PriorBox", "ssd", "prior_box_param { min_size: 0.5 }"),
    (203, HALF, "TripletLoss", "happynear", "triplet_loss_param { margin: 0.5 }"),
    (204, SEVEN, "DetectionOutput", "ssd", "detection_output_param { num_classes: 7 }"),
    (204, SEVEN, "ROIPooling", "happynear", "roi_pooling_param { pooled_h: 7 }"),
    (205, SEVEN, "DetectionEvaluate", "ssd", "detection_evaluate_param { num_classes: 7 }"),
    (
        205,
        number(3, 1),
        "EltwiseAffine",
        "happynear",
        "eltwise_affine_param { channel_shared: true }",
    ),
    (205, SEVEN, "Interp", "ncnn", "interp_param { height: 7 }"),
    (206, ONE, "Normalize", "ssd", "norm_param { across_spatial: true }"),
    (206, SEVEN, "SubRegion", "happynear", "sub_region_param { region_height: 7 }"),
    (207, ONE, "VideoData", "ssd", "video_data_param { video_type: VIDEO }"),
    (207, HALF, "Noise", "happynear", "noise_param { gaussian_std: 0.5 }"),
    (207, POSITIONS, "PSROIPooling", "huawei", PSROI),
    (208, number(2, 1), "ReLU6", "chuanqi", "relu6_param { engine: CAFFE }"),
    (208, HALF, "Hotspot", "happynear", "hotspot_param { gaussian_std: 0.5 }"),
    (209, SEVEN, "RegionLoss", "intel", "region_loss_param { side: 7 }"),
    (209, SEVEN, "PredictBox", "happynear", "predict_box_param { stride: 7 }"),
    (210, SEVEN, "FCNData", "happynear", "fcn_data_param { template_h: 7 }"),
    (210, NONE, "Axpy", "x2paddle", "axpy_param { }"),
    (211, HALF, "ReLU6", "yolo", "relu6_param { negative_slope: 0.5 }"),
    (211, SEVEN, "CenterLoss", "happynear", "center_loss_param { num_output: 7 }"),
    (211, SEVEN, "Upsample", "x2paddle", "upsample_param { scale: 7 }"),
    (212, ONE, "Flip", "happynear", "flip_param { flip_width: true }"),
    (212, ONE, "ROIPooling", "x2paddle", "roi_pooling_param { pooled_h: 1 }"),
    (213, SEVEN, "InnerDistance", "happynear", "inner_distance_param { num_output: 7 }"),
    (213, SEVEN, "ShuffleChannel", "x2paddle", "shuffle_channel_param { group: 7 }"),
    (214, A, "Normalize", "happynear", 'normalize_param { normalize_type: "a" }'),
    (219, SEVEN, "Proposal", "happynear", "proposal_param { feat_stride: 7 }"),
    (224, SEVEN, "Permute", "happynear", "permute_param { order: 7 }"),
    (600, SEVEN, "RegionLoss", "yolo", "region_loss_param { side: 7 }"),
    (601, SEVEN, "YoloDetectionOutput", "yolo", "yolo_detection_output_param { side: 7 }"),
    (
        602,
        SEVEN,
        "Yolov3DetectionOutput",
        "yolo",
        "yolov3_detection_output_param { num_classes: 7 }",
    ),
    (603, SEVEN, "Yolov3", "yolo", "yolov3_param { side: 7 }"),
    (8266711, SEVEN, "ROIPooling", "rcnn", "roi_pooling_param { pooled_h: 7 }"),
    (10001, POSITIONS, "PSROIPooling", "rfcn", PSROI),
    (220, POSITIONS, "PSROIPooling", "happynear", PSROI),
]

# Fields that are no messages, of layers of any type.
SCALARS = [
    (number(145, 2), "nvidia", "forward_type: FLOAT16"),
    (number(146, 2), "nvidia", "backward_type: FLOAT16"),
    (number(147, 2), "nvidia", "forward_math: FLOAT16"),
    (number(148, 2), "nvidia", "backward_math: FLOAT16"),
    (number(149, 1), "nvidia", "debug: true"),
    (chunk(149, b"MKLDNN"), "intel", 'engine: "MKLDNN"'),
    (number(150, -1), "nvidia", "cudnn_math_override: -1"),
    (number(157, 0), "flownet2", "reshape_every_iter: false"),
]

LAYERS = [(chunk(at, inner), *rest) for at, inner, *rest in MESSAGES] + [
    (field, kind, *rest) for field, *rest in SCALARS for kind in ("Convolution", "ReLU")
]

# V1: the type's number, a field, the dialect, the type and the field's reading.
V1_LAYERS = [
    (41, chunk(43, SEVEN), "deeplab_v1", "INTERP", "interp_param { height: 7 }"),
    (41, chunk(44, SEVEN), "happynear", "LOCAL", "local_param { num_output: 7 }"),
    (42, chunk(45, SEVEN), "deeplab_v1", "PADDING", "padding_param { pad_beg: 7 }"),
    (42, chunk(43, MSRA), "happynear", "BN", 'bn_param { slope_filler { type: "msra" } }'),
    (
        21,
        chunk(44, number(2, 7)),
        "deeplab_v1",
        "SOFTMAX_LOSS",
        "softmaxloss_param { ignore_label: 7 }",
    ),
    (43, chunk(46, A), "deeplab_v1", "MAT_WRITE", 'mat_write_param { prefix: "a" }'),
    (44, chunk(46, HALF), "happynear", "INSANITY", "insanity_param { lb: 0.5 }"),
    (44, chunk(47, A), "deeplab_v1", "MAT_READ", 'mat_read_param { prefix: "a" }'),
    (45, chunk(47, HALF), "happynear", "TRIPLET_LOSS", "triplet_loss_param { margin: 0.5 }"),
    (45, chunk(48, SEVEN), "deeplab_v1", "DENSE_CRF", "dense_crf_param { max_iter: 7 }"),
    (46, chunk(48, SEVEN), "happynear", "ROIPOOLING", "roi_pooling_param { pooled_h: 7 }"),
    (
        48,
        chunk(49, number(3, 1)),
        "happynear",
        "ELTWISE_AFFINE",
        "eltwise_affine_param { channel_shared: true }",
    ),
]

# V1 types of two forks, with nothing else in the file.
DOUBTFUL = [
    (41, "LOCAL", "INTERP"),
    (42, "BN", "PADDING"),
    (43, "NORMALIZE", "MAT_WRITE"),
    (44, "INSANITY", "MAT_READ"),
    (45, "TRIPLET_LOSS", "DENSE_CRF"),
    (46, "ROIPOOLING", "DOMINANT_CHANNEL"),
    (47, "BATCH_NORM", "BIAS_CHANNEL"),
    (48, "ELTWISE_AFFINE", "UNIQUE_LABEL"),
]


def v2(kind: str, field: bytes) -> bytes:
    return chunk(1, b"l") + chunk(2, kind.encode()) + field


def embedded(folder, layer: bytes, at: int = 100, dialect: str | None = None):
    path = folder / "net.caffemodel"
    path.write_bytes(chunk(at, layer))
    (message,) = read_binary(path, dialect).net.layers
    return message


@pytest.mark.parametrize(("field", "kind", "fork", "said"), LAYERS)
def test_a_number_is_read_by_its_type(tmp_path, field, kind, fork, said):
    layer = v2(kind, field)
    message = embedded(tmp_path, layer)
    assert dialect_of(message) == fork or fork == "genet"  # which is SKNet's in other words
    (written,) = parse_text(f'layer {{ name: "l" type: "{kind}" {said} }}').layers
    assert SHIPPED.as_dialect(written, fork).SerializeToString() == layer
    assert fork == "genet" or SHIPPED.as_dialect(written, fork) == message


def test_an_empty_message_must_be_empty(tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(chunk(100, v2("Axpy", chunk(210, SEVEN))))
    with pytest.raises(FormatError, match="has the unknown field"):
        read_net(path)


@pytest.mark.parametrize(("kind_number", "field", "fork", "kind", "said"), V1_LAYERS)
def test_a_v1_number_is_read_by_its_type(tmp_path, kind_number, field, fork, kind, said):
    layer = chunk(4, b"l") + number(5, kind_number) + field
    message = embedded(tmp_path, layer, 2)
    assert (dialect_of(message), written_type(message)) == (fork, kind)
    (written,) = parse_text(f'layers {{ name: "l" type: {kind} {said} }}').layers
    assert SHIPPED.as_dialect(written, fork) == message
    assert SHIPPED.as_dialect(written, fork).SerializeToString() == layer


@pytest.mark.parametrize(("kind_number", "happynear", "deeplab_v1"), DOUBTFUL)
def test_what_may_be_either_wants_the_dialect(tmp_path, kind_number, happynear, deeplab_v1):
    layer = chunk(4, b"l") + number(5, kind_number)
    with pytest.raises(UnsupportedError, match="name the file's dialect with --dialect"):
        embedded(tmp_path, layer, 2)
    for fork, kind in (("happynear", happynear), ("deeplab_v1", deeplab_v1)):
        message = embedded(tmp_path, layer, 2, fork)
        assert (dialect_of(message), written_type(message)) == (fork, kind)

"""Types that mean different things in different forks: fields, bottoms and blobs tell which."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import converter
from caffe_layers.base.layer import LAYERS
from caffe_layers.base.registry import find
from prototxt import UnsupportedError, parse_text, read_net, write_caffemodel
from prototxt.binary.wire import BYTES, VARINT, encode_key, encode_varint
from prototxt.schema import SHIPPED
from tests.support.recorded import assert_close

RNG = np.random.default_rng(1701)
C = 4
X = RNG.normal(1, 2, (2, C, 4, 6))
P, Q, R, S = RNG.uniform(0.5, 1.5, (4, C)).astype("f").astype("d")  # each could be a variance
ONE, ONES = np.ones(1), np.ones(C)
SHAPE = (1, C, 1, 1)
ROI = np.array([[0.0, 0, 0, 5, 3]])  # the whole of the first image


def normed(mean, var, eps=1e-5, scale=ONES, bias=0 * ONES) -> np.ndarray:
    mean, var, scale, bias = (values.reshape(SHAPE) for values in (mean, var, scale, bias))
    return (X - mean) / np.sqrt(var + eps) * scale + bias


def smooth(d: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    small = np.abs(d) < 1 / sigma**2
    return np.where(small, 0.5 * sigma**2 * d**2, np.abs(d) - 0.5 / sigma**2)


def reorganized(stride: int) -> np.ndarray:
    """Return what darknet's flat indices give of X."""
    _, channels, height, width = X.shape
    top = np.zeros((2, X[0].size))
    for c, h, w in np.ndindex(X.shape[1:]):
        block, kept = divmod(c, channels // stride**2)
        at = h * stride + block // stride + height * stride * kept
        at = w * stride + block % stride + width * stride * at
        top[:, w + width * (h + height * c)] = X.reshape(2, -1)[:, at]
    return top.reshape(2, channels * stride**2, height // stride, width // stride)


def definition(kind: str, fields: str, bottoms: list[np.ndarray], tops: int) -> str:
    """Write a network of one layer whose bottoms are fed."""
    lines = []
    for index, bottom in enumerate(bottoms):
        dims = " ".join(f"dim: {size}" for size in bottom.shape)
        lines.append(
            f'layer {{ name: "x{index}" type: "Input" top: "x{index}" '
            f"input_param {{ shape {{ {dims} }} }} }}"
        )
    used = " ".join(f'bottom: "x{index}"' for index in range(len(bottoms)))
    made = " ".join(f'top: "y{index}"' for index in range(tops))
    return "\n".join([*lines, f'layer {{ name: "L" type: "{kind}" {used} {made} {fields} }}'])


def saved(folder, text: str, blobs=(), fork: str = "bvlc"):
    """Write the network as a .caffemodel, its last layer as the fork's Caffe would."""
    net = parse_text(text, dialect=fork)
    net.layers[-1] = SHIPPED.as_dialect(net.layers[-1], fork)
    path = folder / "net.caffemodel"
    write_caffemodel(path, net, {"L": [blob.astype("f") for blob in blobs]})
    return path


def computed(net, bottoms: list[np.ndarray]) -> np.ndarray:
    inputs = {f"x{index}": torch.from_numpy(x) for index, x in enumerate(bottoms)}
    return net.double()(inputs)["y0"].detach().numpy()


ALONE, PAIR, THREE, FOUR = ([X / 3**index for index in range(count)] for count in (1, 2, 3, 4))
CORNERS = 24 * np.arange(4).reshape(4, 1) + 2 * np.arange(6)  # in planes of 8 x 12
UNPOOLED = np.zeros((2, C, 8, 12))
UNPOOLED[:, :, ::2, ::2] = X
FULL = [blob.reshape(SHAPE) for blob in (P, Q, R, S)]
BATCH = (X.mean((0, 2, 3)), X.var((0, 2, 3)))
D2 = X - X / 3
D3 = X / 9 * D2
PIXELS = np.sqrt((X**2).sum(1, keepdims=True) + np.float32(1e-6).astype("d"))
WHOLE = np.sqrt((X**2).sum((1, 2, 3), keepdims=True))
BINS = X[0].reshape(2, 2, 2, 2, 2, 3).mean((3, 5))  # part i, j and bin k, l of a 2 x 2 grid

NORMED = normed(R, S, 1e-5, P, Q)
NV_14 = [*FULL[:2], ONE.reshape(1, 1, 1, 1), *FULL[2:]]
UNIT = X / np.sqrt((X**2).sum(1, keepdims=True) + 1e-10)
RELU6 = X.clip(0, 6)
NEAREST = X.repeat(2, 2).repeat(2, 3)
SHARP = smooth(D2, 3).sum() / 2
ROOTS = np.sqrt((D2**2).sum(1) + np.float32(1e-2).astype("d")).sum() / 2
UNPOOL = [X, np.broadcast_to(CORNERS, X.shape).astype("d")]
PSROI = "spatial_scale: 1 output_dim: 1 group_size: 2"
ROI_FORKS = "rcnn rfcn tsn happynear intel huawei x2paddle"

# A type, the forks that write it so, its message and fields, bottoms, blobs; what it computes.
MEANINGS = [
    ("BN", "pspnet", "bn", "momentum: 0.5", ALONE, FULL, NORMED),
    ("BN", "tsn", "bn", "frozen: true", ALONE, FULL, NORMED),
    ("BN", "happynear", "", "", ALONE, FULL, NORMED),
    ("BN", "segnet", "bn", "bn_mode: LEARN", ALONE, FULL[:2], normed(*BATCH, 1e-9, P, Q)),
    ("BN", "segnet", "bn", "bn_mode: INFERENCE", ALONE, FULL[:2], X * FULL[0] + FULL[1]),
    ("BN", "enet", "", "", ALONE, FULL[:2], normed(*BATCH, 1e-9, P, Q)),
    ("BatchNorm", "bvlc", "", "", ALONE, [P, Q, ONE * 4], normed(P / 4, Q / 4)),
    (
        "BatchNorm",
        "intel",
        "batch_norm",
        "bias_term: false",
        ALONE,
        [P, Q, ONE, R],
        normed(P, Q, 1e-5, R),
    ),
    ("BatchNorm", "intel", "", "", ALONE, [P, Q, ONE * 4, R, S], normed(P / 4, Q / 4, 1e-5, R, S)),
    (
        "BatchNorm",
        "nvidia",
        "batch_norm",
        "scale_bias: true",
        ALONE,
        [P, Q, ONE, R, S],
        normed(P, Q, 1e-5, R, S),
    ),
    ("BatchNorm", "nvidia_0_15", "", "", ALONE, [P, Q, R, S, ONE], NORMED),
    ("BatchNorm", "nvidia_0_14", "", "", ALONE, NV_14, NORMED),
    ("CuDNNBatchNorm", "sknet sknet_139", "batch_norm", "eps: 1e-5", ALONE, FULL, NORMED),
    ("CuDNNBatchNorm", "genet", "cudnn_batch_norm", "eps: 1e-5", ALONE, FULL, NORMED),
    (
        "Normalize",
        "ssd synopsys",
        "norm",
        "across_spatial: false channel_shared: false",
        ALONE,
        [P],
        UNIT * FULL[0],
    ),
    ("Normalize", "happynear", "normalize", 'normalize_type: "L2"', ALONE, [], X / PIXELS),
    ("Upsample", "yolo x2paddle huawei", "upsample", "scale: 2", ALONE, [], NEAREST),
    ("Upsample", "segnet enet", "upsample", "scale: 2", UNPOOL, [], UNPOOLED),
    ("SmoothL1Loss", "ssd", "", "", PAIR, [], smooth(D2).sum() / 2),
    ("SmoothL1Loss", "ssd tsn", "", "", THREE, [], smooth(D3).sum() / 2),
    ("SmoothL1Loss", "rcnn intel", "smooth_l1_loss", "sigma: 3", PAIR, [], SHARP),
    ("SmoothL1Loss", "rcnn", "", "", FOUR, [], (X / 27 * smooth(D3)).sum() / 2),
    ("SmoothL1Loss", "rfcn", "loss", "normalization: FULL", THREE, [], smooth(D3).sum() / 48),
    ("SmoothL1Loss", "happynear", "smoothl1", "turn_point: 1", PAIR, [], smooth(D2).sum() / 2),
    ("L1Loss", "nvidia", "", "", PAIR, [], np.abs(D2).sum() / 2),
    ("L1Loss", "flownet2", "l1_loss", "l2_per_location: true", PAIR, [], ROOTS),
    (
        "Interp",
        "deeplab pspnet synopsys ncnn",
        "interp",
        "shrink_factor: 3",
        ALONE,
        [],
        X[:, :, ::3, ::5],
    ),
    (
        "Permute",
        "ssd happynear ncnn",
        "permute",
        "order: 0 order: 2 order: 3 order: 1",
        ALONE,
        [],
        X.transpose(0, 2, 3, 1),
    ),
    (
        "Reorg",
        "yolo intel ncnn synopsys huawei",
        "reorg",
        "stride: 2 reverse: false",
        ALONE,
        [],
        reorganized(2),
    ),
    (
        "ROIPooling",
        ROI_FORKS,
        "roi_pooling",
        "pooled_h: 1 pooled_w: 1",
        [X, ROI],
        [],
        X[:1].max((2, 3), keepdims=True),
    ),
    (
        "PSROIPooling",
        "rfcn intel happynear ncnn huawei",
        "psroi_pooling",
        PSROI,
        [X, ROI],
        [],
        np.einsum("ijij->ij", BINS)[None, None],
    ),
    ("ReLU6", "chuanqi", "relu6", "engine: CAFFE", ALONE, [], RELU6),
    ("ReLU6", "mobile", "", "", ALONE, [], RELU6),
    ("ReLU6", "yolo", "relu6", "negative_slope: 0", ALONE, [], RELU6),
    ("Swish", "bvlc", "swish", "beta: 2", ALONE, [], X / (1 + np.exp(-2 * X))),
    ("Clip", "bvlc", "clip", "min: -1 max: 1", ALONE, [], X.clip(-1, 1)),
    ("Mish", "mobile", "", "", ALONE, [], X * np.tanh(np.log1p(np.exp(X)))),
    ("Noise", "happynear", "noise", "bias: 1", ALONE, [], X),  # in training alone it adds
    ("Resize", "happynear", "resize", "height: 4 width: 6", ALONE, [], X),
]
ROWS = [(kind, fork, *rest) for kind, forks, *rest in MEANINGS for fork in forks.split()]

# What several forks may mean, with nothing to tell them: what each of them computes.
DOUBTFUL = [
    ("Normalize", {"tsn": X / WHOLE, "happynear": X / PIXELS}),
    (
        "HSwish",
        {
            "hswish": X * (X + 3).clip(0, 6) / 6,
            "hswish_02": X * (0.2 * X + 0.5).clip(0, 1),
        },
    ),
]


@pytest.mark.parametrize("how", ["text", "binary"])
@pytest.mark.parametrize(("kind", "fork", "message", "fields", "bottoms", "blobs", "want"), ROWS)
def test_a_type_is_read_as_its_fork_means_it(
    tmp_path, kind, fork, message, fields, bottoms, blobs, want, how
):
    given = f"{message}_param {{ {fields} }}" if message else ""
    text = definition(kind, given, bottoms, 2 if fork == "rfcn" and len(bottoms) == 3 else 1)
    files = [saved(tmp_path, text, blobs, fork)]
    if how == "text":
        (tmp_path / "net.prototxt").write_text(text)
        files = [tmp_path / "net.prototxt", *files[: len(blobs)]]
    net = converter.load(*files)
    assert_close(computed(net, bottoms), want, f"{fork}'s {kind}")


@pytest.mark.parametrize("how", ["text", "binary"])
@pytest.mark.parametrize(("kind", "wants"), DOUBTFUL)
def test_what_may_be_either_wants_the_dialect(tmp_path, kind, wants, how):
    text = definition(kind, "", ALONE, 1)
    path = saved(tmp_path, text)
    if how == "text":
        path = tmp_path / "net.prototxt"
        path.write_text(text)
    with pytest.raises(UnsupportedError, match="name the fork with --dialect"):
        converter.load(path)
    for fork, want in wants.items():
        net = converter.load(path, dialect=fork)
        assert type(net.layers["L"]).fork == fork
        if want is not None:
            assert_close(computed(net, ALONE), want, fork)


PLAIN = [
    ("intel", "Concat", 'bottom: "x" bottom: "x"'),
    ("tsn", "Eltwise", 'bottom: "x" bottom: "x"'),
    ("happynear", "Eltwise", 'bottom: "x" bottom: "x" eltwise_param { operation: PROD }'),
    ("happynear", "InnerProduct", 'bottom: "x" inner_product_param { num_output: 2 }'),
    ("happynear", "Scale", 'bottom: "x"'),
    ("tsn", "Reduction", 'bottom: "x"'),
    ("rfcn", "SoftmaxWithLoss", 'bottom: "x" bottom: "y"'),
    ("segnet", "SoftmaxWithLoss", 'bottom: "x" bottom: "y"'),
    ("deeplab_v1", "SoftmaxWithLoss", 'bottom: "x" bottom: "y"'),
]


@pytest.mark.parametrize(("fork", "kind", "fields"), PLAIN)
def test_a_named_fork_keeps_bvlcs_layers(fork, kind, fields):
    """Its own meaning of the type needs a sign of its own, though the fork is named."""
    layer = parse_text(f'layer {{ type: "{kind}" {fields} }}', dialect=fork).layers[0]
    assert find(layer, dialect=fork).fork == "bvlc"


SIGNS = [
    ("deeplab_v1", "SoftmaxWithLoss", "softmaxloss_param { ignore_label: 9 }"),
    ("intel", "Concat", "concat_param { per_fla_fuse: true }"),
]


@pytest.mark.parametrize(("fork", "kind", "sign"), SIGNS)
def test_a_named_fork_leaves_nothing_to_bvlc_that_bvlc_does_not_read(fork, kind, sign, monkeypatch):
    """The fork's reading does not fit, as one might for the weights' shapes: no field is lost."""
    bottoms = 'bottom: "x" bottom: "y"'
    plain, signed = (
        parse_text(f'layer {{ type: "{kind}" {bottoms} {more} }}', dialect=fork).layers[0]
        for more in ("", sign)
    )
    monkeypatch.setattr(LAYERS[kind][fork], "fits", lambda layer, blobs: False)
    assert find(plain, dialect=fork).fork == "bvlc"
    assert find(signed, dialect=fork).fork == fork


def test_a_bn_without_fields_and_blobs_is_told_by_its_number(tmp_path):
    """PSPNet's is 152, SegNet's 45; in text the dialect must be named."""
    text = definition("BN", "bn_param { }", ALONE, 1)
    with pytest.raises(UnsupportedError, match="name the fork with --dialect"):
        converter.load(parse_text(text))
    for fork, count in (("pspnet", 4), ("segnet", 2)):
        assert len(converter.load(parse_text(text), dialect=fork).layers["L"].blobs) == count
        net = converter.load(read_net(saved(tmp_path, text, fork=fork)))
        assert len(net.layers["L"].blobs) == count


def test_video_data_is_told_by_its_fields():
    kinds = ["video_type: VIDEO", "modality: RGB batch_size: 2"]
    layers = [
        parse_text(f'layer {{ type: "VideoData" top: "y" video_data_param {{ {one} }} }}').layers
        for one in kinds
    ]
    assert [find(layer).fork for (layer,) in layers] == ["ssd", "tsn"]


def test_a_python_layer_is_its_modules():
    """Proposal is a type of happynear's; py-faster-rcnn's is of type Python."""
    found = [
        find(parse_text(f'layer {{ type: "Python" python_param {{ {one} }} }}').layers[0])
        for one in (
            'module: "rpn.proposal_layer" layer: "ProposalLayer"',
            'module: "pyloss" layer: "EuclideanLossLayer"',
        )
    ]
    assert [cls.__name__ for cls in found] == ["ProposalLayer", "PyEuclideanLoss"]
    assert find(parse_text('layer { type: "Proposal" }').layers[0]) not in found


def test_v1_type_39_is_told_by_its_bottom(tmp_path):
    """39 is BVLC's DECONVOLUTION, and a layer of DeepLab's that reads images."""
    written = {
        "Deconvolution": 'type: DECONVOLUTION bottom: "x" convolution_param { num_output: 2 }',
        "ImageSegData": 'type: IMAGE_SEG_DATA image_data_param { source: "list" }',
    }
    for kind, text in written.items():
        (layer,) = parse_text(f'layers {{ name: "l" top: "y" {text} }}').layers
        data = layer.SerializeToString()
        assert encode_key(5, VARINT) + b"\x27" in data
        path = tmp_path / "net.caffemodel"
        path.write_bytes(encode_key(2, BYTES) + encode_varint(len(data)) + data)
        assert [one.type for one in read_net(path).layers] == [kind]

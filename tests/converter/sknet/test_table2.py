"""The networks of SKNet's Table 2: as published, as counted, and converted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import converter
import prototxt
from converter.network.build import build
from converter.network.summary import Summary, summarize
from converter.sknet.table2 import ROWS, TOLERANCE, count, format_table
from prototxt.nets import bam, cbam, networks
from prototxt.nets.attention import attention
from prototxt.nets.definition import Definition
from prototxt.nets.dpn import dpn
from prototxt.nets.inception_resnet_v2 import inception_resnet_v2
from prototxt.nets.inception_v3 import inception_v3
from prototxt.nets.inception_v4 import inception_v4
from prototxt.nets.resnext import resnext
from prototxt.nets.senet import senet
from prototxt.nets.sknet import sknet
from tests.support.paths import ROOT

CLS = "prototxts/caffe-model__cls__"
PUBLISHED = {
    "resnext50": f"{CLS}resnext__deploy_resnext50-32x4d.prototxt",
    "resnext101": f"{CLS}resnext__deploy_resnext101-32x4d.prototxt",
    "dpn98": f"{CLS}dpn__deploy_dpn98.prototxt",
    "inception_v4": f"{CLS}inception__deploy_inception-v4.prototxt",
    "inception_resnet_v2": f"{CLS}inception__deploy_inception-resnet-v2.prototxt",
}
V3 = (
    "prototxts/caffe-model__det__faster_rcnn__models__pascal_voc__inception-v3"
    "__rpn_rcnn_deploys__rpn_deploy_faster_voc_inception-v3-merge-aligned.prototxt"
)
DOCS = ROOT / "docs" / "table.md"


def loaded(net: prototxt.Net) -> converter.CaffeNet:
    return build(prototxt.filter_net(net, phase="TEST"))


def ours(name: str, **options: object) -> converter.CaffeNet:
    return loaded(prototxt.parse_text(str(networks.build(name, **options))))


def weights(net: converter.CaffeNet) -> Counter[tuple[int, ...]]:
    """Count the shapes of the weights of convolutions and inner products."""
    return Counter(
        tuple(blobs[0].shape)
        for layer, blobs in net.params.items()
        if net.layers[layer].caffe_type in ("Convolution", "InnerProduct")
    )


def tops(summary: Summary) -> Counter[tuple[str, tuple[int, ...]]]:
    """Count what convolutions, poolings and concatenations give to one image."""
    return Counter(
        (row.type, shape[1:])
        for row in summary.rows
        if row.type in ("Convolution", "Pooling", "Concat", "InnerProduct")
        for shape in row.tops.values()
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_definition_is_built_as_the_published_one(name: str, shared: Path) -> None:
    our = ours(name)
    their = loaded(prototxt.read_net(shared / PUBLISHED[name]))
    assert weights(our) == weights(their)
    mine, theirs = summarize(our), summarize(their)
    assert tops(mine) == tops(theirs)
    assert mine.learnable == theirs.learnable
    assert mine.multiply_adds == theirs.multiply_adds


def kernels(net: prototxt.Net, name: str) -> Counter[tuple[int, ...]]:
    """Count channels and kernel sizes of the convolutions whose names match."""
    found: Counter[tuple[int, ...]] = Counter()
    for layer in net.layers:
        if layer.type == "Convolution" and re.match(name, layer.name):
            param = layer.convolution_param
            size = list(param.kernel_size) * 2 or [param.kernel_h, param.kernel_w]
            found[(param.num_output, *size)] += 1
    return found


def test_inception_v3_begins_as_the_published_detector(shared: Path) -> None:
    published = prototxt.read_net(shared / V3)
    our = prototxt.parse_text(str(networks.build("inception_v3")))
    theirs = kernels(published, "conv|inception|reduction")
    assert sum(theirs.values()) == 70
    assert kernels(our, r"conv\d|[abc]\d?/") == theirs


def test_every_row_is_close_or_says_why_not() -> None:
    table = count()  # once, since it takes long
    assert len(table) == 17
    far = {each.row.name for each in table if not each.close}
    assert far == {"AttentionNeXt-56", "Attention-92", "InceptionV4", "Inception-ResNetV2"}
    assert all(each.row.remark for each in table if not each.close)
    text = DOCS.read_text()
    assert text.split("<!-- table -->\n")[1].split("\n<!-- end -->")[0] == format_table(
        table, markdown=True
    ), "print it anew with `caffeport table --markdown`"


def test_row_of_attentionnext_has_the_figures_of_attention() -> None:
    row = next(row for row in ROWS if row.network == "attentionnext56")
    summary = summarize(ours("attention56"))
    assert abs(summary.learnable / row.parameters - 1) <= TOLERANCE
    assert abs(summary.multiply_adds / row.multiply_adds - 1) <= TOLERANCE


def test_row_of_attention_is_met_without_units_on_the_skips() -> None:
    row = next(row for row in ROWS if row.network == "attention92")
    summary = summarize(ours("attention92", skips=False))
    assert abs(summary.learnable / row.parameters - 1) <= TOLERANCE
    assert abs(summary.multiply_adds / row.multiply_adds - 1) <= TOLERANCE


def test_terminal_has_the_same_cells() -> None:
    table = count(ROWS[:1])
    rows = format_table(table, markdown=True).splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in (rows[0], rows[2])]
    lines = format_table(table).splitlines()
    assert [line.split() for line in lines] == [" ".join(row).split() for row in cells]
    assert (
        " ".join(lines[1].split())
        == "ResNeXt-50 resnext50 224x224 25.03 M 25.0 M +0.1% 4.23 G 4.24 G -0.2%"
    )


IMAGE = (1, 3, 64, 64)
SMALL: Mapping[str, Callable[[], Definition]] = {
    "resnext": lambda: resnext("net", (1, 1), width=16, groups=4, num_classes=5, data=IMAGE),
    "bam": lambda: resnext(
        "net", (1, 1), width=16, groups=4, num_classes=5, data=IMAGE, between=bam.attend
    ),
    "cbam": lambda: resnext(
        "net", (1, 1), width=16, groups=4, num_classes=5, data=(1, 3, 72, 40), refine=cbam.refine
    ),
    **{
        f"sknet {' '.join(map(str, options.values()))}": lambda options=options: sknet(
            "net", (1, 1), **{"width": 16, "groups": 4, "num_classes": 5, "data": IMAGE, **options}
        )
        for options in (
            {"branches": 3},
            {"dilated": False, "groups": (4, 8)},
            {"selection": False},
            {"reduction": 4, "branches": 3, "dilated": False},
        )
    },
    "senet": lambda: senet(
        "net", (1, 1), width=16, inner=32, groups=4, stem=(8, 16), projection=3, outer=32,
        num_classes=5, data=(1, 3, 112, 112),
    ),
    "dpn": lambda: dpn(
        "net", (1, 2), stem=8, width=8, groups=4, growth=(4, 8), outer=16, num_classes=5,
        data=IMAGE,
    ),
    "inception_v3": lambda: inception_v3(
        auxiliary=False, scale=16, num_classes=5, data=(1, 3, 75, 107)
    ),
    "inception_v4": lambda: inception_v4(
        layers=(1, 1, 1), scale=16, num_classes=5, data=(1, 3, 75, 107)
    ),
    "inception_resnet_v2": lambda: inception_resnet_v2(
        layers=(1, 1, 1), scale=16, num_classes=5, data=(1, 3, 75, 107)
    ),
    "attention": lambda: attention(
        "net", (1, 1), groups=1, width=8, outer=16, last=1, num_classes=5, data=IMAGE
    ),
    "attentionnext": lambda: attention(
        "net", (1, 1, 1), groups=4, width=8, outer=16, last=1, num_classes=5, data=IMAGE
    ),
}  # fmt: skip


def seeded(definition: Definition, **options: Any) -> converter.CaffeNet:
    """Load a definition with its fillers' weights and statistics that keep values in bounds."""
    net = converter.load(prototxt.parse_text(str(definition)), **options)
    draw = torch.Generator().manual_seed(1701)
    for layer in net.layers.values():
        if layer.caffe_type == "CuDNNBatchNorm":
            layer.running_var.uniform_(0.5, 1.5, generator=draw)
            layer.running_mean.normal_(0, 0.1, generator=draw)
            layer.weight.data.uniform_(0.5, 1.5, generator=draw)
            layer.bias.data.normal_(0, 0.1, generator=draw)
        if layer.caffe_type == "BatchNorm":
            layer.variance.uniform_(0.5, 1.5, generator=draw)
            layer.factor.fill_(1)
        if layer.caffe_type in ("Convolution", "InnerProduct") and not layer.weight.any():
            fan_in = layer.weight[0].numel()
            layer.weight.data.normal_(0, fan_in**-0.5, generator=draw)
        if layer.caffe_type == "Convolution":
            layer.weight.data.mul_(0.7)  # or masks get sums of hundreds, whose rounding they show
    return net


@pytest.mark.parametrize("name", SMALL)
def test_small_network_of_each_kind_converts(name: str, tmp_path: Path) -> None:
    net = seeded(SMALL[name]())
    converter.save_caffemodel(net, tmp_path / "net.caffemodel")
    (tmp_path / "net.prototxt").write_text(str(SMALL[name]()))
    files = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    report = converter.convert(*files, tmp_path / "out", formats=["onnx"])
    assert report.passed, report.first_bad
    assert sum(len(each.rows) for each in report.comparisons) > 20


@pytest.mark.parametrize("name", ["bam", "cbam", "attention", "dpn", "sknet 3"])
def test_gradient_reaches_every_weight(name: str) -> None:
    net = seeded(SMALL[name](), phase="TRAIN")
    shapes = {name: (4, *shape[1:]) for name, shape in net.input_shapes.items()}
    draw = torch.Generator().manual_seed(1701)
    data = torch.randn(shapes["data"], generator=draw)
    net.loss({"data": data, "label": torch.arange(4)}).backward()
    for layer, blobs in net.params.items():
        for blob in blobs:
            assert not blob.requires_grad or blob.grad.any(), layer


def test_gates_weigh_as_the_papers_say() -> None:
    net = seeded(SMALL["bam"](), dtype=torch.float64)
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        values = net.values({"data": x})
    whole, at = values["conv2_1/bam_channels"], values["conv2_1/bam_places"]
    gate = (whole[:, :, None, None] + at).sigmoid()
    want = values["conv2_1"] * (1 + gate)
    torch.testing.assert_close(values["conv2_1/bam"], want)

    net = seeded(SMALL["cbam"](), dtype=torch.float64)
    with torch.no_grad():
        values = net.values({"data": torch.randn(1, 3, 72, 40, dtype=torch.float64)})
    x, unit = values["conv3_1/1x1_increase/bn"], "conv3_1/cbam"
    first, second = (net.layers[f"{unit}_fc{index}"] for index in (1, 2))

    def mlp(pooled: torch.Tensor) -> torch.Tensor:
        hidden = (first.weight[:, :, 0, 0] @ pooled[0] + first.bias).relu()
        return second.weight[:, :, 0, 0] @ hidden + second.bias

    with torch.no_grad():
        gate = (mlp(x.mean((2, 3))) + mlp(x.amax((2, 3)))).sigmoid()
        x = x * gate[:, None, None]
        torch.testing.assert_close(values[f"{unit}_scale"], x)
        planes = torch.stack([x.amax(1), x.mean(1)], dim=1)
        torch.testing.assert_close(values[f"{unit}_planes"], planes)
        torch.testing.assert_close(values[unit], x * values[f"{unit}_places"])

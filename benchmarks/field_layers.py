"""The heaviest layers of the long tail against torch's nearest operators: ratios of one run.

    python benchmarks/field_layers.py [--only TEXT] [--rounds 15]

Each row is a layer without gradients, at a size that networks have, and what torch itself has that
comes nearest: the same work where there is such an operator, else the operators that the layer
cannot do without. Both take turns on one thread; a ratio is of medians. It wants at most 2 in each
row, and the status is 1 where one is above.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import caffe_layers
from caffe_layers.forks.ristretto.quantization import Quantization

LIMIT = 2.0


class Row(NamedTuple):
    """A layer, what it is measured by, and both as calls."""

    layer: str
    nearest: str
    ours: Callable[[], object]
    theirs: Callable[[], object]


def regions(count: int, width: float, height: float) -> Tensor:
    """Return boxes [0, x1, y1, x2, y2] within an image of this size."""
    corner = torch.rand(count, 2) * torch.tensor([width, height]) * 0.6
    size = torch.rand(count, 2) * torch.tensor([width, height]) * 0.35 + 16
    return torch.cat((torch.zeros(count, 1), corner, corner + size), 1)


def roi_align() -> Row:
    x, rois = torch.randn(1, 256, 50, 64), regions(300, 1024, 800)
    layer = caffe_layers.ROIAlign(pooled_h=7, pooled_w=7, spatial_scale=0.0625)
    grid = torch.rand(1, 300 * 8, 8, 2) * 2 - 1
    return Row(
        "ROIAlign, 300 regions of 8 x 8, 256 channels",
        "grid_sample at as many places",
        lambda: layer(x, rois),
        lambda: F.grid_sample(x, grid, align_corners=False),
    )


def box_output() -> Row:
    maps = torch.randn(1, 6, 60, 80)
    layer = caffe_layers.BoxOutput(
        1, field_h=[80], field_w=[60], downsample_rate=[8], fg_thr=-5.0, iou_thr=0.65,
        max_nms_num=2000, max_post_nms_num=300,
    )  # fmt: skip

    def nearest() -> Tensor:
        _, best = maps[0, 1].flatten().topk(2000)
        boxes = maps[0, 2:].flatten(1).t()[best]
        low = torch.maximum(boxes[:, None, :2], boxes[:, :2])
        high = torch.minimum(boxes[:, None, 2:], boxes[:, 2:])
        common = (high - low).clamp(min=0).prod(2)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        return common / (area[:, None] + area - common) > 0.65

    return Row("BoxOutput, 2000 of 4800 boxes into the suppression",
               "topk, and the overlaps of all pairs", lambda: layer(maps), nearest)  # fmt: skip


def correlation() -> Row:
    a, b = torch.randn(2, 1, 64, 48, 64)
    layer = caffe_layers.Correlation(kernel_size=1, max_displacement=4, pad=4)

    def nearest() -> Tensor:
        seen = F.unfold(b, 9, padding=4).view(1, 64, 81, 48, 64)
        return torch.einsum("nchw,ncshw->nshw", a, seen) / 64

    return Row("Correlation, 81 shifts, 64 channels of 48 x 64", "unfold and einsum",
               lambda: layer(a, b), nearest)  # fmt: skip


def warp() -> Row:
    image, flow = torch.randn(1, 64, 96, 128), torch.randn(1, 2, 96, 128) * 3
    layer = caffe_layers.Warp()
    grid = torch.rand(1, 96, 128, 2) * 2 - 1
    return Row(
        "Warp, 64 channels of 96 x 128",
        "grid_sample",
        lambda: layer(image, flow),
        lambda: F.grid_sample(image, grid, align_corners=True),
    )


def spatial_transformer() -> Row:
    image, theta = torch.randn(8, 64, 56, 56), torch.randn(8, 6) * 0.1 + torch.eye(2, 3).flatten()
    layer = caffe_layers.SpatialTransformer((56, 56))

    def nearest() -> Tensor:
        grid = F.affine_grid(theta.view(-1, 2, 3), [8, 64, 56, 56], align_corners=False)
        return F.grid_sample(image, grid, align_corners=False)

    return Row("SpatialTransformer, 8 images of 64 x 56 x 56", "affine_grid and grid_sample",
               lambda: layer(image, theta), nearest)  # fmt: skip


def attention() -> Row:
    x, masks = torch.randn(1, 512, 30, 30), torch.randn(1, 59 * 59, 30, 30)
    layer = caffe_layers.PointwiseSpatialAttention((59, 59), is_softmax=True)
    scores = torch.randn(1, 900, 900)
    return Row(
        "PointwiseSpatialAttention, 512 channels of 30 x 30",
        "softmax and bmm",
        lambda: layer(x, masks),
        lambda: torch.bmm(x.flatten(2), scores.softmax(1)),
    )


def decoder() -> Row:
    x = torch.randn(64, 8, 6000)
    layer = caffe_layers.CTCGreedyDecoder()

    def nearest() -> list[Tensor]:
        return [row.unique_consecutive() for row in x.argmax(2).t()]

    return Row("CTCGreedyDecoder, 8 lines of 64 steps, 6000 classes", "argmax, unique_consecutive",
               lambda: layer(x), nearest)  # fmt: skip


def lstm() -> Row:
    x = torch.randn(64, 8, 512)
    layer, twin = caffe_layers.Lstm(512, num_output=256), nn.LSTM(512, 256)
    return Row("Lstm, 64 steps of 8 lines, 512 to 256", "nn.LSTM",
               lambda: layer(x), lambda: twin(x))  # fmt: skip


def prior_box() -> Row:
    feature, image = torch.randn(1, 8, 128, 128), torch.randn(1, 3, 1024, 1024)
    layer = caffe_layers.PriorBox(
        min_size=[32.0], aspect_ratio=[2.0], variance=[0.1, 0.1, 0.2, 0.2]
    )
    sizes = torch.rand(3, 2)

    def nearest() -> Tensor:
        at = (torch.arange(128) + 0.5) / 128
        y, x = torch.meshgrid(at, at, indexing="ij")
        centre = torch.stack((x, y), -1)[:, :, None]
        boxes = torch.cat((centre - sizes, centre + sizes), -1).reshape(-1)
        spread = torch.tensor([0.1, 0.1, 0.2, 0.2]).repeat(128 * 128 * 3)
        return torch.stack((boxes, spread))[None]

    return Row("PriorBox, 3 boxes at each of 128 x 128", "meshgrid, cat and stack",
               lambda: layer(feature, image), nearest)  # fmt: skip


def dense_prior_box() -> Row:
    feature, image = torch.randn(1, 8, 32, 32), torch.randn(1, 3, 1024, 1024)
    layer = caffe_layers.DensityPriorBox(
        fixed_size=[32, 64, 128], density=[4, 2, 1], variance=[0.1, 0.1, 0.2, 0.2]
    )
    shift, sizes = torch.rand(21, 2), torch.rand(21, 2)

    def nearest() -> Tensor:
        at = torch.arange(32) / 32
        y, x = torch.meshgrid(at, at, indexing="ij")
        centre = torch.stack((x, y), -1)[:, :, None] + shift
        boxes = torch.cat((centre - sizes, centre + sizes), -1).clamp(0, 1).reshape(-1)
        spread = torch.tensor([0.1, 0.1, 0.2, 0.2]).repeat(32 * 32 * 21)
        return torch.stack((boxes, spread))[None]

    return Row("PriorBox with density, 21 boxes at each of 32 x 32", "meshgrid, cat and stack",
               lambda: layer(feature, image), nearest)  # fmt: skip


def rotate_roi_pooling() -> Row:
    x, rois = torch.randn(1, 256, 38, 50), regions(300, 800, 608)
    size = rois[:, 3:] - rois[:, 1:3]
    turned = torch.cat((rois[:, :1], rois[:, 1:3] + size / 2, size.flip(1),
                        torch.rand(300, 1) * 180 - 90), 1)  # fmt: skip
    layer = caffe_layers.RotateROIPooling(pooled_h=7, pooled_w=7, spatial_scale=0.0625)
    info = torch.tensor([[608.0, 800.0, 1.0]])
    grid = torch.rand(1, 300 * 14, 14, 2) * 2 - 1
    # 2 x 2 places of a bin are fewer than the pixels that a bin of these regions holds.
    return Row(
        "RotateROIPooling, 300 regions of 7 x 7, 256 channels",
        "grid_sample at 2 x 2 places a bin, and max_pool2d",
        lambda: layer(x, turned, info),
        lambda: F.max_pool2d(F.grid_sample(x, grid, align_corners=False), 2),
    )


def convolution3d() -> Row:
    x = torch.randn(1, 32, 8, 28, 28)
    window = {"kernel_size": (3, 3, 3), "pad": (1, 1, 1)}
    layer = caffe_layers.Convolution3D(32, num_output=64, **window)
    twin = nn.Conv3d(32, 64, 3, padding=1)
    return Row("Convolution3D, 32 to 64 channels of 8 x 28 x 28", "nn.Conv3d",
               lambda: layer(x), lambda: twin(x))  # fmt: skip


def pooling3d() -> Row:
    x = torch.randn(1, 64, 16, 56, 56)
    layer = caffe_layers.Pooling3D(kernel_size=(2, 2, 2), stride=(2, 2, 2))
    twin = nn.MaxPool3d(2, 2, ceil_mode=True)
    return Row("Pooling3D, 64 channels of 16 x 56 x 56", "nn.MaxPool3d",
               lambda: layer(x), lambda: twin(x))  # fmt: skip


def ristretto() -> Row:
    x = torch.randn(1, 64, 56, 56)
    bits = Quantization(bw_layer_in=8, bw_layer_out=8, bw_params=8, fl_layer_in=4, fl_layer_out=2,
                        fl_params=7)  # fmt: skip
    layer = caffe_layers.ConvolutionRistretto(
        64, num_output=64, kernel_size=3, pad=1, quantization=bits
    ).eval()
    weight, bias = torch.randn(64, 64, 3, 3) * 0.05, torch.zeros(64)

    def fake(values: Tensor, fraction: int) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(values, 2.0**-fraction, 0, -128, 127)

    def nearest() -> Tensor:
        return fake(F.conv2d(fake(x, 4), fake(weight, 7), fake(bias, 7), padding=1), 2)

    return Row("ConvolutionRistretto, 64 channels of 56 x 56, 8 bits",
               "fake_quantize_per_tensor_affine and conv2d", lambda: layer(x), nearest)  # fmt: skip


ROWS = (
    *(roi_align, box_output, correlation, warp, spatial_transformer, attention),
    *(rotate_roi_pooling, decoder, lstm, prior_box, dense_prior_box),
    *(convolution3d, pooling3d, ristretto),
)


def ratio(row: Row, rounds: int) -> float:
    """Return how many times as long as the nearest operator the layer takes."""
    calls = (row.ours, row.theirs)
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(3):
        for call in calls:
            call()
    for _ in range(rounds):
        for call, times in zip(calls, taken, strict=True):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
    return median(taken[0]) / median(taken[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    status = 0
    print("| layer | torch's nearest | times as long |\n|---|---|---|")
    with torch.no_grad():
        for make in ROWS:
            row = make()
            if args.only in row.layer:
                found = ratio(row, args.rounds)
                status |= found > LIMIT
                print(f"| {row.layer} | {row.nearest} | {found:.2f} |", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())

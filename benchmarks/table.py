"""Convert every network of SKNet's Table 2 to ONNX, and print how equal the two forms are.

`python benchmarks/table.py [NAME ...]`: Markdown rows for docs/table.md. The weights are drawn from
the definitions' fillers, and the statistics are those of two random images.
`python benchmarks/table.py --ablations` counts variants of SKNet-50 instead.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import converter
import prototxt
from converter.network.build import build as build_net
from converter.network.summary import summarize
from converter.sknet.table2 import ROWS
from prototxt.nets.networks import build

GROUPS = (32, 64, 128)


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("M = 1", {"branches": 1}),
    ("M = 2 (the paper's SKNet-50)", {}),
    ("M = 3", {"branches": 3}),
    ("M = 2, 3x3 and 5x5", {"dilated": False}),
    ("M = 2, 3x3 and 5x5 of 64 groups", {"dilated": False, "groups": (32, 64)}),
    ("M = 3, 3x3, 5x5 and 7x7", {"branches": 3, "dilated": False}),
    ("M = 3, 3x3, 5x5 of 64, 7x7 of 128", {"branches": 3, "dilated": False, "groups": GROUPS}),
    ("M = 2, summed", {"selection": False}),
    ("M = 3, summed", {"branches": 3, "selection": False}),
    ("G = 16", {"groups": 16}),
    ("G = 64", {"groups": 64}),
    ("r = 8", {"reduction": 8}),
    ("r = 32", {"reduction": 32}),
]


def main(names: list[str]) -> int:
    """Print one row a network; the status is 1 if one failed."""
    if names == ["--ablations"]:
        ablate()
        return 0
    failed = False
    print("| definition | blobs compared | median | worst | scores | ONNX |")
    print("|---|---|---|---|---|---|")
    for name in names or [row.network for row in ROWS]:
        with TemporaryDirectory() as folder:
            passed, row = convert(name, Path(folder))
        failed |= not passed
        print("| " + " | ".join(row) + " |", flush=True)
    return int(failed)


def ablate() -> None:
    """Print what variants of SKNet-50 count."""
    print("| variant | options | #P | multiply-adds |")
    print("|---|---|---|---|")
    for what, options in VARIANTS:
        net = prototxt.filter_net(prototxt.parse_text(str(build("sknet50", **options))))
        summary = summarize(build_net(net))
        said = " ".join(f"{key}={value}".replace(" ", "") for key, value in options.items())
        figures = f"{summary.learnable / 1e6:.2f} M | {summary.multiply_adds / 1e9:.2f} G"
        print(f"| {what} | `{said}` | {figures} |" if said else f"| {what} | | {figures} |")


def convert(name: str, folder: Path) -> tuple[bool, list[str]]:
    """Convert one network at its own size, for one image."""
    definition = folder / f"{name}.prototxt"
    definition.write_text(str(build(name)))
    shape = prototxt.read_net(definition).layers[0].input_param.shape[0].dim
    sizes = {"data": (1, *shape[1:])}
    label = {"label": (1,)} if len(prototxt.read_net(definition).layers[0].top) > 1 else {}
    net = converter.load(definition, input_shapes=sizes | label)
    draw_weights(net)
    weights = folder / f"{name}.caffemodel"
    converter.save_caffemodel(net, weights)
    report = converter.convert(
        definition, weights, folder / "out", formats=["onnx"], input_shapes=sizes | label
    )
    rows = [row for each in report.comparisons for row in each.rows]
    errors = sorted(row.error for row in rows)
    scores = max(row.error for row in rows if row.blob in ("classifier", "prob"))
    size = (folder / "out" / f"{name}.onnx").stat().st_size
    return report.passed, [
        name,
        str(len(errors)),
        f"{errors[len(errors) // 2]:.1e}",
        f"{errors[-1]:.1e}" + ("" if report.passed else " FAILED"),
        f"{scores:.1e}",
        f"{size / 2**20:.0f} MiB",
    ]


def draw_weights(net: converter.CaffeNet) -> None:
    """Draw the weights that have no filler, and set statistics, so that values stay in bounds.

    CuDNNBatchNorm's are those of two random images: without them the gates of the attention
    networks saturate, and every rounding decides which way.
    """
    draw = torch.Generator().manual_seed(1701)
    norms = []
    for layer in net.layers.values():
        if layer.caffe_type == "CuDNNBatchNorm":
            layer.momentum = 0.0
            norms.append(layer)
        elif layer.caffe_type == "BatchNorm":
            layer.mean.normal_(0, 0.1, generator=draw)
            layer.variance.uniform_(0.5, 1.5, generator=draw)
            layer.factor.fill_(1)
        elif layer.caffe_type in ("Convolution", "InnerProduct") and not layer.weight.any():
            # Those with a bias are SENet's gates and classifier: they are drawn as SKNet's are.
            spread = (2 / layer.weight[0].numel()) ** 0.5 if layer.bias is None else 0.01
            layer.weight.data.normal_(0, spread, generator=draw)
    if norms:
        images = torch.randn(2, *net.input_shapes["data"][1:], generator=draw)
        with torch.no_grad():
            net.train()({"data": images})
        net.eval()
        for layer in norms:
            layer.running_var.clamp_(min=0.01)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

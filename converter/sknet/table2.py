"""The networks of SKNet's Table 2: what our definitions count beside what the paper says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import prototxt
from converter.network.build import build
from converter.network.summary import summarize
from converter.text import format_markdown
from converter.text import format_table as format_rows
from prototxt import filter_net
from prototxt.nets.networks import build as define

TOLERANCE = 0.01
"""How far a figure may be from the paper's without a remark."""


@dataclass(frozen=True)
class Row:
    """A row of the paper: its name and figures, our definition's name, and why they differ."""

    name: str
    network: str
    parameters: float
    multiply_adds: float
    remark: str = ""


ROWS = (
    Row("ResNeXt-50", "resnext50", 25.0e6, 4.24e9),
    Row(
        "AttentionNeXt-56",
        "attentionnext56",
        31.9e6,
        6.32e9,
        "the figures, and the error of 21.76 %, are Attention-56's (`attention56`: 31.81 M, "
        "6.27 G); its authors say 21.2 % of AttentionNeXt-56",
    ),
    Row("InceptionV3", "inception_v3", 27.1e6, 5.73e9, "with the classifier that training needs"),
    Row("ResNeXt-50 + BAM", "bam_resnext50", 25.4e6, 4.31e9),
    Row("ResNeXt-50 + CBAM", "cbam_resnext50", 27.7e6, 4.25e9),
    Row("SENet-50", "se_resnext50", 27.7e6, 4.25e9),
    Row("SKNet-50", "sknet50", 27.5e6, 4.47e9),
    Row("ResNeXt-101", "resnext101", 44.3e6, 7.99e9),
    Row(
        "Attention-92",
        "attention92",
        51.3e6,
        10.43e9,
        "built as its authors' definition; without the units on the skips of its masks "
        "(`skips=False`) it is 51.77 M and 10.36 G",
    ),
    Row("DPN-92", "dpn92", 37.7e6, 6.50e9),
    Row("DPN-98", "dpn98", 61.6e6, 11.70e9),
    Row(
        "InceptionV4",
        "inception_v4",
        42.0e6,
        12.31e9,
        "the published definition has as many as ours: 42.0 is 42.68 cut to whole millions",
    ),
    Row(
        "Inception-ResNetV2",
        "inception_resnet_v2",
        55.0e6,
        13.22e9,
        "the published definition has as many as ours: 55.0 is 55.84 cut to whole millions",
    ),
    Row("ResNeXt-101 + BAM", "bam_resnext101", 44.6e6, 8.05e9),
    Row("ResNeXt-101 + CBAM", "cbam_resnext101", 49.2e6, 8.00e9),
    Row("SENet-101", "se_resnext101", 49.2e6, 8.00e9),
    Row("SKNet-101", "sknet101", 48.9e6, 8.46e9),
)


@dataclass(frozen=True)
class Counted:
    """A row, and what our definition counts: learnable parameters, multiply-adds of a sample."""

    row: Row
    parameters: int
    multiply_adds: float
    size: str

    @property
    def differences(self) -> tuple[float, float]:
        """Our figures' differences from the paper's, as parts of the paper's."""
        return (
            self.parameters / self.row.parameters - 1,
            self.multiply_adds / self.row.multiply_adds - 1,
        )

    @property
    def close(self) -> bool:
        """Tell whether both figures are the paper's, but for 1 %."""
        return all(abs(difference) <= TOLERANCE for difference in self.differences)


def count(rows: Sequence[Row] = ROWS) -> list[Counted]:
    """Count every row's definition at the table's size, without filling its weights."""
    counted = []
    for row in rows:
        net = build(filter_net(prototxt.parse_text(str(define(row.network))), phase="TEST"))
        summary = summarize(net)
        size = "x".join(map(str, net.input_shapes["data"][2:]))
        counted.append(Counted(row, summary.learnable, summary.multiply_adds, size))
    return counted


def format_table(counted: Sequence[Counted], *, markdown: bool = False) -> str:
    """Return the table as text for the terminal, or as Markdown."""
    header = ("model", "definition", "size", "#P", "paper", "", "mult-adds", "paper", "", "remark")
    rows = [_cells(each) for each in counted]
    if markdown:
        return format_markdown(header, rows)
    return format_rows([header, *rows], right=range(3, 9))


def _cells(each: Counted) -> tuple[str, ...]:
    row = each.row
    parameters, work = each.differences
    return (
        row.name,
        row.network,
        each.size,
        f"{each.parameters / 1e6:.2f} M",
        f"{row.parameters / 1e6:.1f} M",
        f"{parameters:+.1%}",
        f"{each.multiply_adds / 1e9:.2f} G",
        f"{row.multiply_adds / 1e9:.2f} G",
        f"{work:+.1%}",
        row.remark,
    )

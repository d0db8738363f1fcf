"""What was converted, from what, and how equal it is: as text, Markdown and JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

from converter.network.net import CaffeNet
from converter.network.origin import FileInfo
from converter.network.summary import Summary, count, format_totals, summarize
from converter.onnx.free_axes import Fixed
from converter.text import format_markdown, format_shape, format_table
from converter.version import VERSION
from prototxt.atomic import writing
from prototxt.errors import headline

from .compare import NOISE, BlobError, Comparison
from .usage import Usage

WORST_BLOBS_SHOWN = 8
"""Of each comparison, in the terminal."""


@dataclass
class Report:
    """A network, the files it came from and went to, and every comparison made.

    `notes` says what was left out or changed on the way, one sentence each.
    """

    summary: Summary
    dtype: str
    sources: list[FileInfo] = field(default_factory=list)
    written: list[FileInfo] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    usage: Usage | None = None
    drawn: bool = False
    """Blobs that learn have their fillers' values, for no weights were given."""
    wrong_axes: Fixed = field(default_factory=dict)
    """The free axes along which the file is right at its own size only, which are to be fixed."""

    @classmethod
    def of(cls, net: CaffeNet) -> Report:
        """Begin the report of a loaded network: its totals, and what its weights lacked."""
        report = cls(summarize(net), str(net.dtype).removeprefix("torch."))
        report.notes.extend([*net.notes, *_loading_notes(net)])
        given = net.loaded is None or bool(net.loaded.sources)
        report.drawn = not given and report.summary.learnable > 0
        return report

    def add(self, comparison: Comparison) -> None:
        """Add one comparison."""
        self.comparisons.append(comparison)

    def include(self, proof: Report) -> None:
        """Take over what the verification of the same network found."""
        self.comparisons += proof.comparisons
        self.notes += [note for note in proof.notes if note not in self.notes]

    def found_wrong(self, axes: Fixed, *, remediable: bool = True) -> None:
        """Say along which free axes the file is wrong; and that to fix them helps, if so.

        It does not where what was fed does not fit a file in which they are fixed.
        """
        if remediable:
            self.wrong_axes = axes
        self.notes += map(headline, axes.values())

    @property
    def passed(self) -> bool:
        """Tell whether every comparison is within its tolerance."""
        return all(comparison.passed for comparison in self.comparisons)

    @property
    def first_bad(self) -> BlobError | None:
        """The first blob out of tolerance in the comparisons' order."""
        return next((c.first_bad for c in self.comparisons if c.first_bad), None)

    @property
    def caveats(self) -> list[str]:
        """What a reader has to know of a verification that shows less than it seems to."""
        rows = [row for one in self.comparisons for row in one.rows]
        said = []
        if rows and all(row.content == "zero" for row in rows):
            said.append("every value that was compared is 0: this verification shows nothing")
        if self.drawn:
            said.append("no weights were given: the files hold fillers' values, and no model")
        return said

    def __str__(self) -> str:
        return "\n".join([self.text(), *self.caveats])

    def text(self) -> str:
        """Return the verification as a table for the terminal."""
        lines = [format_totals(self.summary), *(f"note: {note}" for note in self.notes)]
        for comparison in self.comparisons:
            lines += ["", *_comparison_lines(comparison)]
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return the report as Markdown."""
        lines = [f"# {self.summary.name or 'network'}", "", format_totals(self.summary), ""]
        for title, files in (("Read", self.sources), ("Written", self.written)):
            if files:
                rows = [(Path(one.path).name, f"{one.size:,}", f"`{one.sha256}`") for one in files]
                table = format_markdown(("file", "bytes", "SHA-256"), rows)
                lines += [f"## {title}", "", table, ""]
        if self.usage is not None:
            lines += self.usage.markdown()
        if self.notes:
            lines += ["## Notes", "", *(f"* {note}" for note in self.notes), ""]
        for comparison in self.comparisons:
            lines += [f"## {comparison.title}", "", _verdict(comparison), ""]
            if comparison.rows:
                lines += [_comparison_table(comparison), ""]
        if self.caveats:
            lines += ["## What this does not show", "", *(f"* {one}" for one in self.caveats), ""]
        versions = ", ".join(f"{name} {number}" for name, number in _versions().items())
        return "\n".join([*lines, f"Made by caffeport {VERSION} with {versions}.", ""])

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON holds it."""
        return {
            "passed": self.passed,
            "network": self.summary.name,
            "dtype": self.dtype,
            "inputs": self.summary.inputs,
            "learnable_parameters": self.summary.learnable,
            "blob_values": self.summary.values,
            f"multiply_adds_per_{self.summary.per}": self.summary.multiply_adds,
            "sources": [asdict(file) for file in self.sources],
            "written": [asdict(file) for file in self.written],
            "notes": self.notes,
            "caveats": self.caveats,
            "usage": self.usage.as_dict() if self.usage else None,
            "comparisons": [_comparison_dict(comparison) for comparison in self.comparisons],
            "versions": {"caffeport": VERSION, **_versions()},
        }

    def write(self, folder: str | PathLike[str], stem: str = "report") -> None:
        """Write `report.md` and `report.json` into a folder, or with another stem."""
        with writing(Path(folder, f"{stem}.md")) as file:
            file.write(self.markdown().encode())
        with writing(Path(folder, f"{stem}.json")) as file:
            file.write(json.dumps(_finite(self.as_dict()), indent=1).encode() + b"\n")


def _loading_notes(net: CaffeNet) -> list[str]:
    loaded = net.loaded
    if loaded is None:
        return []
    notes = []
    if not loaded.sources:
        drawn = f", statistics are mean 0 and variance 1 ({len(loaded.drawn)} layers)"
        notes.append(
            "no weights were given: every blob has its filler's values"
            + (drawn if loaded.drawn else "")
        )
    elif loaded.missing:
        notes.append(f"not in the weights, left to fillers: {', '.join(loaded.missing)}")
    if loaded.unused:
        notes.append(f"only in the weights, not loaded: {', '.join(loaded.unused)}")
    if loaded.ignored:
        notes.append(f"in the weights, ignored on request: {', '.join(loaded.ignored)}")
    if loaded.not_finite:
        notes.append(f"NaN or infinity in the weights of: {', '.join(loaded.not_finite)}")
    return notes


def _comparison_table(comparison: Comparison) -> str:
    header = ("blob", "shape", comparison.measure.name, "remark")
    rows = [
        (row.blob, format_shape(row.shape), f"{row.error:.3g}", _remark(comparison, row))
        for row in comparison.rows
    ]
    return format_markdown(header, rows)


def _comparison_lines(comparison: Comparison) -> list[str]:
    lines = [f"{comparison.title}: {_verdict(comparison)}"]
    worst = sorted(comparison.rows, key=lambda row: (row.passed, -row.error))[:WORST_BLOBS_SHOWN]
    table = [
        (f"  {row.blob}", format_shape(row.shape), f"{row.error:.2e}", _remark(comparison, row))
        for row in worst
    ]
    return [*lines, format_table(table)] if table else lines


def _remark(comparison: Comparison, row: BlobError) -> str:
    """Return what a reader should know of a row; of noise the ratio that it is spoken of by."""
    said = [f"{row.decibels:.1f} dB"] if comparison.measure is NOISE else []
    return ", ".join([*said, *([row.remark] if row.remark else [])])


def _verdict(comparison: Comparison) -> str:
    if comparison.skipped:
        return f"not run: {comparison.skipped}"
    if comparison.refused:
        return f"FAILED: not run: {comparison.refused}"
    worst, bad = comparison.worst, comparison.first_bad
    if worst is None:
        return "nothing was compared"
    figures = (
        f"{count(len(comparison.rows))} blobs, median {comparison.median:.2g}, "
        f"worst {worst.error:.2g} (tolerance {worst.tolerance:.2g})"
    )
    if comparison.zeros:
        figures += f"; {count(comparison.zeros)} of them are 0 throughout, which shows little"
    if bad is not None and bad.content == "not finite":
        return f"FAILED at {bad.blob!r}: no finite value was compared; {figures}"
    if bad is not None:
        return f"FAILED at {bad.blob!r}, the first blob that differs; {figures}"
    if not comparison.passed:
        return f"FAILED: the median is above {comparison.median_tolerance:.2g}; {figures}"
    return f"passed; {figures}"


def _comparison_dict(comparison: Comparison) -> dict[str, Any]:
    return {
        "title": comparison.title,
        "measure": comparison.measure.name,
        "passed": comparison.passed,
        "skipped": comparison.skipped,
        "refused": comparison.refused,
        "median": comparison.median,
        "median_tolerance": comparison.median_tolerance,
        "first_bad": comparison.first_bad.blob if comparison.first_bad else None,
        "blobs": [asdict(row) for row in comparison.rows],
    }


def _finite(value: Any) -> Any:
    """Replace infinity and NaN, which JSON lacks, by their names."""
    if isinstance(value, float) and value - value != 0:
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value


def _versions() -> dict[str, str]:
    packages = ("torch", "onnx", "onnxruntime", "numpy", "protobuf")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}

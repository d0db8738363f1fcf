"""The whole conversion: load, write every format, verify, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any

from .formats import Options, get_format
from .load import load, weight_files
from .report import FileInfo, Report
from .verify import verify

PathName = str | PathLike[str]

DEFAULT_FORMATS = ("onnx", "safetensors")


def convert(
    net: PathName,
    weights: PathName | Sequence[PathName] | None,
    out: PathName,
    *,
    formats: Sequence[str] = DEFAULT_FORMATS,
    verify_it: bool = True,
    inputs: Mapping[str, Any] | None = None,
    golden: PathName | None = None,
    golden_float: PathName | None = None,
    tolerance: float | None = None,
    quiet: bool = True,
    **options: Any,
) -> Report:
    """Write `OUT/<stem of NET>.<format>` for each format, verify it, write the report beside it.

    `options` are those of `load` and of `formats.Options` (opset, dynamic, with_losses, softmax,
    fold_bn). The report's `passed` says whether verification succeeded; its files are
    `report.md` and `report.json`.
    """
    writers = {name: get_format(name) for name in dict.fromkeys(formats)}
    names = {field.name for field in fields(Options)}
    chosen = Options(**{key: value for key, value in options.items() if key in names})
    loaded = load(
        net, weights, **{key: value for key, value in options.items() if key not in names}
    )
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    stem = Path(net).name.removesuffix(".prototxt").removesuffix(".caffemodel")
    report = Report.of(loaded)
    sources = dict.fromkeys([Path(net), *weight_files(net, weights)])
    report.sources = [FileInfo.of(path, quiet=quiet) for path in sources]
    written = {}
    for name, writer in writers.items():
        path = folder / f"{stem}{writer.SUFFIX}"
        report.notes += writer.write(loaded, path, chosen)
        written[name] = path
        beside = path.with_name(f"{path.name}.data")
        files = [path, beside] if name == "onnx" and beside.exists() else [path]
        report.written += [FileInfo.of(file, quiet=quiet) for file in files]
    if verify_it:
        proof = verify(
            loaded,
            written.get("onnx"),
            inputs=inputs,
            golden=golden,
            golden_float=golden_float,
            tolerance=tolerance,
            quiet=quiet,
        )
        report.comparisons = proof.comparisons
    else:
        report.notes.append("not verified, as asked")
    report.write(folder)
    return report

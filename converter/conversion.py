"""The whole conversion: load, write every format, verify, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from prototxt.atomic import filling
from prototxt.errors import CaffeError, UnsupportedError

from .formats import FORMATS, Format, Options, get_format
from .loading.load import load
from .network.net import CaffeNet
from .network.origin import FileInfo
from .preprocessing import image_input, preprocessing_of
from .preprocessing.inputs import as_arrays
from .verification.report import Report
from .verification.verify import verify

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
    embed_preprocessing: bool = False,
    preprocessing: Mapping[str, Any] | None = None,
    quiet: bool = True,
    **options: Any,
) -> Report:
    """Write `OUT/<stem of NET>.<format>` for each format, verify it, write the report beside it.

    `options` are those of `load` and of `formats.Options` (opset, dynamic, with_losses, softmax,
    fold_bn, optimize, half_io). With `dtype` float16 the network is loaded in float32 and written
    in half precision (`export_onnx`), with float32 at the ends unless `half_io`.
    `embed_preprocessing` bakes what images need into the ONNX model, which then takes RGB images;
    `preprocessing` are the settings of `preprocessing_of` that the definition lacks; with them each
    `Photo` among `inputs` is prepared. The report says what images need where that is known; its
    `passed` says whether verification succeeded; its files are `report.md` and `report.json`.
    """
    writers = {name: get_format(name) for name in dict.fromkeys(formats)}
    if not writers:
        raise UnsupportedError("no format is named", fix=f"known: {', '.join(FORMATS)}")
    names = {field.name for field in fields(Options)}
    half = options.get("dtype") == torch.float16
    if half:
        lacking = [name for name, writer in writers.items() if not writer.HALF]
        if lacking:
            raise UnsupportedError(
                f"format {', '.join(lacking)} holds no float16", fix="write it without --dtype"
            )
        options["dtype"] = torch.float32
    elif options.get("half_io"):
        raise UnsupportedError("float16 at the ends of another model", fix="--dtype float16")
    chosen = Options(half=half, **{key: options[key] for key in options.keys() & names})
    loaded = load(
        net, weights, **{key: value for key, value in options.items() if key not in names}
    )
    report = Report.of(loaded)
    if half:
        report.dtype = "float16"
    if embed_preprocessing:
        wanted = preprocessing_of(loaded, **(preprocessing or {}))
        chosen = replace(chosen, preprocessing=wanted)
    else:
        report.notes += _preprocessing_note(loaded, preprocessing or {})
    fed = as_arrays(loaded, inputs or {}, preprocessing or {}, whole=embed_preprocessing)
    infos = [source.info(quiet=quiet) for source in loaded.sources]
    report.sources = [info for info in infos if info is not None]
    with filling(Path(out)) as folder:
        written = write_formats(loaded, folder, _stem(net), writers, chosen, report)
        if verify_it:
            proof = verify(
                loaded,
                written.get("onnx"),
                inputs=fed,
                golden=golden,
                golden_float=golden_float,
                tolerance=tolerance,
                preprocessing=chosen.preprocessing,
                half=half,
                quiet=quiet,
            )
            report.comparisons = proof.comparisons
            report.notes += [note for note in proof.notes if note not in report.notes]
            unrun = [path.name for name, path in written.items() if writers[name].PROGRAM]
            if unrun:
                report.notes.append(f"written but not run: {', '.join(unrun)}")
        else:
            report.notes.append("not verified, as asked")
        for path in sorted(folder.iterdir()):
            info = FileInfo.of(path, quiet=quiet)
            report.written.append(replace(info, path=str(Path(out, path.name))))
        report.write(folder)
    return report


def write_formats(
    net: CaffeNet,
    folder: Path,
    stem: str,
    writers: Mapping[str, Format],
    options: Options,
    report: Report,
) -> dict[str, Path]:
    """Write every format; return the files by format, and note in the report what they lack."""
    written = {name: folder / f"{stem}{writer.SUFFIX}" for name, writer in writers.items()}
    for name, writer in writers.items():
        report.notes += writer.write(net, written[name], options)
    return written


def _preprocessing_note(net: CaffeNet, settings: Mapping[str, Any]) -> list[str]:
    try:
        wanted = preprocessing_of(net, **settings)
    except CaffeError as error:
        if settings:
            raise
        unsaid = isinstance(error, UnsupportedError)  # no file and no family says it
        return [] if unsaid else [f"what images need is not known: {error}"]
    return [f"images become {image_input(net)!r} so: {wanted}"]


def _stem(net: PathName) -> str:
    return Path(net).name.removesuffix(".prototxt").removesuffix(".caffemodel")

"""The whole conversion: load, write every format, verify, report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from typing_extensions import Unpack

from prototxt.atomic import filling
from prototxt.errors import CaffeError, UnsupportedError, UsageError, WeightError
from prototxt.paths import PathName

from .engines import get_engine
from .evaluation.calibration import calibration_feeds
from .formats import DEFAULT_FORMATS, FORMATS, Format, Options, get_format
from .keywords import complete, only, refuse_unknown
from .loading.load import load
from .loading.options import LoadOptions, as_dtype, is_int8
from .network.net import CaffeNet
from .network.origin import FileInfo
from .onnx.model import OnnxModel
from .onnx.options import CalibrationOptions, FormatOptions
from .onnx.quantization.batches import first_batch
from .onnx.quantization.calibration import Calibration
from .onnx.quantization.file_scales import scales_of
from .preprocessing import ImageSettings, Preprocessing, image_input, preprocessing_of
from .preprocessing.inputs import as_arrays, photos_said
from .verification.report import Report
from .verification.usage import Usage
from .verification.verify import verify


class ConvertOptions(LoadOptions, FormatOptions, total=False):
    """What `convert` hands on: the options of `load` and of what is written."""


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
    preprocessing: ImageSettings | None = None,
    name: str | None = None,
    quiet: bool = True,
    **options: Unpack[ConvertOptions],
) -> Report:
    """Write `OUT/<stem of NET>.<format>` for each format, verify it, write the report beside it.

    The report says what was compared and what images need where that is known; its `passed` says
    whether verification succeeded; its files are `report.md` and `report.json`. A free axis along
    which the ONNX file is right at one size only is fixed; the report says which layer asks for it.

    Args:
        net: the definition, or a lone `.caffemodel`.
        weights: files of weights; None for the fillers' values.
        out: the folder, made where it is missing.
        formats: which files are written, of `converter.formats`.
        verify_it: compare what was written with the network in torch.
        inputs: what it is fed then, as `verify` says; each `Photo` is prepared.
        golden: what Caffe computed from these, as `verify` says.
        golden_float: what its float run did.
        tolerance: of the comparison, as `verify` says.
        embed_preprocessing: what images need is part of the ONNX model, which takes RGB images.
        preprocessing: what the definition does not say of images: the settings of
            `preprocessing_of`.
        name: taken in place of the stem; the report's files are then `NAME.report.md` and
            `NAME.report.json`: so several conversions share a folder. Without one UsageError where
            another network's report or files of the stem are there.
        quiet: no progress is shown.
        **options: those of `load`, and how ONNX is written: `opset`, `dynamic`, `target`,
            `with_losses`, `softmax`, `fold_bn` and `half_io` as `export_onnx` says; with
            `optimize` it is what `CaffeNet.optimize` makes. With `dtype` float16 the network is
            loaded in float32 and written in half precision; with int8 ONNX is in eight bits, with
            ranges that are measured on `calibrate` (see `calibration_feeds`) by
            `calibration_method`, `signed` or not, or with the scales that the file has (Intel
            Caffe's `quantization_param`); other formats are as without it. With a
            `target` the file runs in that engine too where it is installed.

    Raises CaffeError for whatever is wrong; then nothing is written.
    """
    refuse_unknown(convert, ConvertOptions, options)
    writers = _writers(formats)
    asked = complete(FormatOptions, options)
    unheeded = _unheeded(writers, asked)
    _refuse_unused(
        {
            "--input": inputs,
            "--golden": golden,
            "--golden-float": golden_float,
            "--tolerance": tolerance,
        },
        verify_it=verify_it,
    )
    if embed_preprocessing and "onnx" not in writers:
        raise UsageError(
            f"--embed-preprocessing changes nothing of the format {', '.join(writers)}",
            fix="it is for onnx: leave it out, or name that with --format",
        )
    stem = _stem(net) if name is None else _checked(name)
    report_stem = "report" if name is None else f"{name}.report"
    names = {f"{stem}{one.SUFFIX}" for one in writers.values()}
    _refuse_mixing(Path(out), net, names | {f"{report_stem}.json"})
    int8 = "dtype" in options and is_int8(options["dtype"])
    half = not int8 and "dtype" in options and as_dtype(options["dtype"]) == torch.float16
    _check_half(writers, half=half, half_io=options.get("half_io", False))
    _check_int8(writers, asked, int8=int8)
    loaded = _loaded(net, weights, asked, _load_options(options, rewritten=half or int8))
    report = Report.of(loaded)
    if half or int8:
        report.dtype = "int8" if int8 else "float16"
    settings: ImageSettings = preprocessing or {}
    calibration = _calibration(loaded, asked, settings) if int8 else None
    embedded = preprocessing_of(loaded, **settings) if embed_preprocessing else None
    if embedded is not None and embedded.exact:
        raise UsageError("images that are fed as they are need nothing that is built in")
    images = None
    if embedded is None:
        images, said = _images(loaded, settings)
        report.notes += said
    said = photos_said(loaded, inputs or {}, settings, whole=embed_preprocessing)
    report.notes += [note for note in said if note not in report.notes]
    fed = as_arrays(loaded, inputs or {}, settings, whole=embed_preprocessing)
    report.sources = _infos(loaded, quiet=quiet)
    told = None if fed or embedded is not None else calibration
    chosen = Options(asked, embedded, images, half, calibration, int8)
    report.notes += unheeded
    engine, unrun = _engine(asked["target"]) if verify_it else (None, [])
    report.notes += unrun
    with filling(Path(out)) as folder:
        written = {name: folder / f"{stem}{one.SUFFIX}" for name, one in writers.items()}
        notes = {name: one.write(loaded, written[name], chosen) for name, one in writers.items()}
        prove = partial(
            verify,
            loaded,
            golden=golden,
            golden_float=golden_float,
            tolerance=tolerance,
            preprocessing=embedded,
            half=half,
            engine=engine,
            quiet=quiet,
        )
        model = OnnxModel(written["onnx"]) if "onnx" in written else None
        proof = prove(model, inputs=_fed(told, model) or fed) if verify_it else None
        while model is not None and proof is not None and proof.wrong_axes.keys() - chosen.fixed:
            chosen = replace(chosen, fixed={**chosen.fixed, **proof.wrong_axes})
            notes["onnx"] = writers["onnx"].write(loaded, model.path, chosen)
            model = OnnxModel(model.path)
            proof = prove(model, inputs=_fed(told, model) or fed)
        report.notes += chain.from_iterable(notes.values())
        if proof is not None:
            report.include(proof)
        if model is not None:
            report.usage = Usage.of(model)
        report.notes += _unproven(writers, written, verified=verify_it)
        _refuse_overwriting(loaded, folder, Path(out))
        for path in sorted(folder.iterdir()):
            info = FileInfo.of(path, quiet=quiet)
            report.written.append(replace(info, path=str(Path(out, path.name))))
        report.write(folder, report_stem)
    return report


def _fed(calibration: Calibration | None, model: OnnxModel | None) -> dict[str, np.ndarray]:
    """Return the first of the calibration's samples, as many as a model takes at once.

    Noise is nothing that ranges were measured for. Empty without a calibration.
    """
    if calibration is None or model is None:
        return {}
    shapes = model.inputs.shapes
    taken = {name: [size or None for size in shape] for name, shape in shapes.items()}
    return dict(first_batch(taken, calibration.feeds))


def _refuse_unused(given: Mapping[str, object], *, verify_it: bool) -> None:
    """Raise UsageError for what is given to compare with where nothing is compared."""
    said = [flag for flag, value in given.items() if value is not None and value != {}]
    if said and not verify_it:
        raise UsageError(f"{', '.join(said)}: nothing is verified", fix="leave out --no-verify")


def _engine(target: str | None) -> tuple[str | None, list[str]]:
    """Return the engine that runs what is written for it, or None and a sentence of why not."""
    if target is None:
        return None, []
    engine = get_engine(target)
    if not (missing := engine.lacks()):
        return target, []
    return None, [
        f"not run in {target}, which is not installed: there is no {', '.join(missing)} "
        f"({engine.INSTALL})"
    ]


def _checked(name: str) -> str:
    """Return a name for files; UsageError for one that is a path or none."""
    if not name or Path(name).name != name or name.startswith("."):
        raise UsageError(f"name {name!r} is no file's name", fix="a word, as alexnet")
    return name


def _refuse_mixing(folder: Path, net: PathName, names: set[str]) -> None:
    """Raise UsageError where another network's conversion has files of these names in a folder."""
    for report in sorted(folder.glob("*report.json")):
        try:
            said = json.loads(report.read_text(encoding="utf-8"))
            earlier = Path(said["sources"][0]["path"]).resolve()
            written = {report.name, *(Path(file["path"]).name for file in said["written"])}
        except (OSError, ValueError, LookupError, TypeError):
            continue  # not ours: `filling` says what stands in the way
        if earlier != Path(net).resolve() and earlier.exists() and (lost := written & names):
            raise UsageError(
                f"{folder} holds the conversion of {earlier}, whose {min(lost)} would be "
                "overwritten",
                fix="write into another folder, or tell them apart with --name",
            )


def _refuse_overwriting(net: CaffeNet, folder: Path, out: Path) -> None:
    """Raise UsageError where a file that was written would take the place of one that was read."""
    read = {source.path.resolve() for source in net.origin.files}
    for path in folder.iterdir():
        if (out / path.name).resolve() in read:
            raise UsageError(
                f"{out / path.name} was read, and would be overwritten",
                fix="write into another folder",
            )


def _writers(formats: Iterable[str]) -> dict[str, Format]:
    """Return the formats named, each once."""
    writers = {name: get_format(name) for name in dict.fromkeys(formats)}
    if not writers:
        raise UnsupportedError("no format is named", fix=f"known: {', '.join(FORMATS)}")
    return writers


def _unheeded(writers: Mapping[str, Format], asked: FormatOptions) -> list[str]:
    """Say which of the formats do not heed an option; UsageError for one that none of them does."""
    defaults = complete(FormatOptions, {})
    notes = []
    for option, value in asked.items():
        deaf = [name for name, writer in writers.items() if option not in writer.HEEDS]
        if value == defaults[option] or not deaf:  # type: ignore[literal-required]
            continue
        flag = f"--{option.replace('_', '-')}"
        if len(deaf) == len(writers):
            heeding = [name for name in FORMATS if option in get_format(name).HEEDS]
            raise UsageError(
                f"{flag} changes nothing of the format {', '.join(deaf)}",
                fix=f"it is for {', '.join(heeding)}: leave it out, or name one with --format",
            )
        notes.append(f"{', '.join(deaf)}: as without {flag}, which is not for this format")
    return notes


def _check_half(writers: Mapping[str, Format], *, half: bool, half_io: bool) -> None:
    """Raise UnsupportedError where not all that is asked for can be written in float16."""
    lacking = [name for name, writer in writers.items() if not writer.HALF]
    if half and lacking:
        raise UnsupportedError(
            f"format {', '.join(lacking)} holds no float16", fix="write it without --dtype"
        )
    if half_io and not half:
        raise UnsupportedError(
            "only a model of half precision has float16 inputs and outputs", fix="--dtype float16"
        )


def _check_int8(writers: Mapping[str, Format], asked: FormatOptions, *, int8: bool) -> None:
    """Raise UsageError where eight bits lack what they need, or data are given for nothing."""
    if int8 and "onnx" not in writers:
        raise UsageError("eight bits are for the format onnx alone", fix="name it with --format")
    defaults = dict(complete(FormatOptions, {}))
    changed = {name for name, value in asked.items() if value != defaults[name]}
    given = [name for name in CalibrationOptions.__annotations__ if name in changed]
    if given and not int8:
        flag = given[0].replace("_", "-")
        raise UsageError(f"--{flag} is for a model of eight bits", fix="--dtype int8")


def _calibration(
    net: CaffeNet, asked: FormatOptions, settings: ImageSettings
) -> Calibration | None:
    """Return what the user's data are for the network; None if its file has scales of its own.

    UsageError where it has none, and no data are given.
    """
    data = asked["calibrate"]
    if data is None and scales_of(net):
        return None
    if data is None:
        raise UsageError(
            "eight bits need data that show the values' ranges",
            fix="--calibrate with images, or an .npz of arrays by the inputs' names",
        )
    feeds = calibration_feeds(net, data, settings)
    return Calibration(feeds, asked["calibration_method"], asked["signed"])


def _loaded(
    net: PathName,
    weights: PathName | Sequence[PathName] | None,
    asked: FormatOptions,
    options: LoadOptions,
) -> CaffeNet:
    """Load the network; with `fold_bn` its weights may be those before normalisation was merged."""
    try:
        return load(net, weights, **options)
    except WeightError as error:
        if not asked["fold_bn"]:
            raise
        merging: LoadOptions = {**options, "merge_bn": True}
        try:
            return load(net, weights, **merging)
        except UsageError:
            raise error from None


def _load_options(options: ConvertOptions, *, rewritten: bool) -> LoadOptions:
    """Return the options of `load`: what is rewritten in fewer bits is loaded in float32."""
    loading = only(LoadOptions, options)
    loading = {"mapped": True, **loading}  # the files are there until all is written
    return {**loading, "dtype": torch.float32} if rewritten else loading


def _infos(net: CaffeNet, *, quiet: bool) -> list[FileInfo]:
    """Return the files that a network came from, but for those that have changed since."""
    infos = [source.info(quiet=quiet) for source in net.origin.files]
    return [info for info in infos if info is not None]


def _unproven(
    writers: Mapping[str, Format], written: Mapping[str, Path], *, verified: bool
) -> list[str]:
    """Say what was written and not verified."""
    if not verified:
        return ["not verified, as asked"]
    programs = [path.name for name, path in written.items() if writers[name].PROGRAM]
    return [f"written but not run: {', '.join(programs)}"] if programs else []


def _images(net: CaffeNet, settings: ImageSettings) -> tuple[Preprocessing | None, list[str]]:
    """Return what images need, None where nothing says it, and a sentence of it."""
    try:
        wanted = preprocessing_of(net, **settings)
    except CaffeError as error:
        if settings:
            raise
        unsaid = isinstance(error, UnsupportedError)  # no file and no family says it
        return None, [] if unsaid else [f"what images need is not known: {error}"]
    return wanted, [f"images become {image_input(net)!r} so: {wanted}"]


def _stem(net: PathName) -> str:
    return Path(net).name.removesuffix(".prototxt").removesuffix(".caffemodel")

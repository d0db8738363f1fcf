"""The proof: torch, ONNX Runtime and Caffe's own blobs side by side, blob by blob."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from os import PathLike
from typing import Any

import torch

from converter.engines import installed
from converter.network.net import CaffeNet
from converter.onnx.free_axes import Fixed
from converter.onnx.model import OnnxModel
from converter.preprocessing import Preprocessing
from converter.progress import progress
from converter.seed import SEED
from prototxt.binary.resident import trim
from prototxt.errors import CaffeError, UnsupportedError, UsageError

from .compare import Comparison
from .engine import HALF_TOLERANCE, TOLERANCE, compare_in_engine
from .feed import feed
from .fewer_bits.half import HalfJudge
from .fewer_bits.half_model import half_model
from .fewer_bits.int8 import Int8Judge
from .fewer_bits.int8_model import int8_model
from .golden import Golden
from .judge import FloatJudge, Judge
from .other_sizes import compare_at_other_sizes, wrong_as_fed, wrong_axes
from .report import Report
from .run import Model, Runs, blob_names, blobs_among, made_model, stretches_for
from .torch_pass import torch_pass, twin


def verify(
    net: CaffeNet,
    model: str | PathLike[str] | OnnxModel | None = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    golden: str | PathLike[str] | None = None,
    golden_float: str | PathLike[str] | None = None,
    tolerance: float | None = None,
    preprocessing: Preprocessing | None = None,
    half: bool = False,
    int8: bool = False,
    engine: str | None = None,
    seed: int = SEED,
    quiet: bool = True,
) -> Report:
    """Compare the network in torch with an ONNX model of it, and both with Caffe's blobs.

    The report says whether all is within tolerance, and names the first blob that is not. Where two
    float32 runs differ by more than the default tolerance, ONNX Runtime's is compared with torch in
    double (`FloatJudge`).

    Args:
        net: the network.
        model: an ONNX file, also one that was read (default: one made for the check, which the
            report says). It runs in ONNX Runtime as it is and with every value exposed.
        inputs: arrays by name (default: seeded random ones).
        golden: an `.npz` of what Caffe computed from these inputs.
        golden_float: one of Caffe's float run, which sets the tolerance for float32.
        tolerance: of each blob's largest value, in place of the default.
        preprocessing: what the network is fed of images where the model prepares them itself
            (default: what the definition or its family says).
        half: the model that is made is of half precision; one is judged by what rounding does
            (`HalfJudge`).
        int8: it is of eight bits, with ranges that are measured on what it is fed; one is judged by
            what rounding does (`Int8Judge`).
        engine: one of `converter.engines`, where the model runs too, to 1e-3 of a blob's largest
            value (of float16 2e-2); UsageError where it is not installed.
        seed: of the inputs that nobody gives.
        quiet: no progress is shown.

    Raises CaffeError where something cannot be run or compared.
    """
    if golden_float is not None and golden is None:
        raise UsageError(
            "--golden-float says how far Caffe is from itself, and there is no --golden",
            fix="give what Caffe computed in double with --golden, or this file so",
        )
    report = Report.of(net)
    if drawn := [step for step in net.steps if net.layers[step.key].draws]:
        why = f"{drawn[0].place} draws at random: no two passes agree"
        report.add(Comparison("ONNX Runtime", skipped=why))
        return report
    if engine is not None:
        installed(engine)
    floats = FloatJudge(net.dtype, tolerance)
    noise = golden_float if net.dtype != torch.float64 else None
    caffe = Golden.read(golden, noise) if golden is not None else None
    given = model if isinstance(model, OnnxModel) or model is None else OnnxModel(model)
    with (
        progress("verify", 4, quiet=quiet) as bar,
        torch.no_grad(),
        tempfile.TemporaryDirectory() as folder,
    ):
        fed = feed(net, given, inputs or {}, preprocessing, seed)
        bar.update()
        if caffe is not None:
            stretches = stretches_for(net, fed.tensors)
            names = blob_names(net.inputs, stretches)
            ours = blobs_among(torch_pass(twin(net), stretches, fed.tensors), names)
            report.add(caffe.compare("torch", ours, names.values(), floats.tolerance))
        bar.update()
        runs: Runs | None = None
        try:
            what = "the file as it ships" if given else "a file made for this check"
            tested = given or made_model(net, fed, folder, half=half, int8=int8)
            net.origin.let_go()
            runs = Runs(net, fed.tensors, Model.run(tested, what, fed))
            trim()
            bar.update()
            judge = judge_of(net, tested, floats)
            compared = judge.compare(runs)
        except CaffeError as error:
            wrong: Fixed = {}
            if given is not None:
                wrong = wrong_as_fed(net, given, fed, judge_of(net, given, floats), seed)
                report.found_wrong(wrong, remediable=not inputs)
            if wrong:
                report.add(Comparison("ONNX Runtime", refused=str(error)))
            elif runs is None and isinstance(error, UnsupportedError):
                report.add(Comparison("ONNX Runtime", skipped=str(error)))
            else:
                raise
            return report
        report.dtype = judge.dtype
        right = all(one.passed for one in compared)
        if given is not None:
            others = compare_at_other_sizes(net, given, fed, judge, seed)
            if not right:
                wrong = wrong_as_fed(net, given, fed, judge, seed)
                report.found_wrong(wrong, remediable=not inputs)
            if right and report.passed and not all(one.passed for one in others):
                report.found_wrong(wrong_axes(net, given, fed, judge, seed))
            compared += others
        report.comparisons += compared
        report.notes += judge.notes(runs)
        if engine is not None:
            limits = _limits(tolerance, report)
            report.comparisons += compare_in_engine(engine, runs, limits)
        if caffe is not None:
            blobs = blob_names((), runs.stretches).items()
            exposed = {top: blob for top, blob in blobs if tested.exposes(top)}
            theirs = blobs_among(runs.in_onnx(), exposed)
            report.add(caffe.compare("ONNX Runtime", theirs, exposed.values(), judge.tolerance))
        bar.update()
    return report


def judge_of(net: CaffeNet, model: OnnxModel, floats: FloatJudge) -> Judge:
    """Return how a model is to be judged: one of fewer bits not by the network's own type."""
    if net.dtype != torch.float32:
        return floats
    if (eight := int8_model(model)) is not None:
        return Int8Judge(eight, asked=floats.asked)
    half = half_model(model)
    return floats if half is None else HalfJudge(half, asked=floats.asked)


def _limits(asked: float | None, report: Report) -> float | dict[str, float]:
    """Return what another engine may be off: in eight bits what ONNX Runtime may, blob by blob."""
    if asked is not None:
        return asked
    if report.dtype == "int8":
        return {row.blob: row.tolerance for one in report.comparisons for row in one.rows}
    return HALF_TOLERANCE if report.dtype == "float16" else TOLERANCE

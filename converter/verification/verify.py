"""The proof: torch, ONNX Runtime and Caffe's own blobs side by side, blob by blob."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from converter.network.arrays import array_of, random_images, random_inputs, tensors_of
from converter.network.net import CaffeNet
from converter.onnx.emit import exported_plan
from converter.onnx.export import export_onnx
from converter.onnx.runtime import ModelInputs, check_shapes, inputs_of, run_exposed, run_onnx
from converter.preprocessing import Preprocessing, Transform, image_input, preprocessing_of
from converter.progress import progress
from prototxt.errors import ShapeError, UnsupportedError, within

from .compare import Comparison, compare, softmax_of
from .golden import compare_with_golden
from .half import MOST, agreement, compare_half, half_model
from .report import Report

SEED = 1701
TOLERANCES = {
    torch.float64: 1e-9,
    torch.float32: 1e-4,
    torch.float16: 5e-2,
    torch.bfloat16: 1e-1,
}
"""Of a blob's largest value; a golden file given with Caffe's float run sets its own."""
MOST_NOISE = 1e-2
"""Above this an error is no rounding, however ill-conditioned the network."""


def verify(
    net: CaffeNet,
    model: str | PathLike[str] | None = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    golden: str | PathLike[str] | None = None,
    golden_float: str | PathLike[str] | None = None,
    tolerance: float | None = None,
    preprocessing: Preprocessing | None = None,
    half: bool = False,
    seed: int = SEED,
    quiet: bool = True,
) -> Report:
    """Compare the network in torch with an ONNX model of it, and both with Caffe's blobs.

    `model` is an ONNX file (default: one made for the check, which the report says); it runs in
    ONNX Runtime as it is and with every value exposed. `inputs` are arrays by name (default: seeded
    random ones). `golden` is an `.npz` of what Caffe computed from these inputs, `golden_float` one
    of Caffe's float run, which sets the tolerance for float32. The report says whether all is
    within tolerance, and names the first blob that is not. Where two float32 runs differ by more
    than the default tolerance, ONNX Runtime's is compared with torch in double (`compare_exact`). A
    model of half precision, as `half` makes one, is judged by what rounding does (`compare_half`).
    A model that prepares images itself is fed images, and the network what `preprocessing` makes of
    them (default: what the definition or its family says).
    """
    taken = ModelInputs({}) if model is None else inputs_of(model)
    if preprocessing is None and model is not None and taken.image:
        preprocessing = embedded_preprocessing(net, model)
    given, tolerance = tolerance, TOLERANCES[net.dtype] if tolerance is None else tolerance
    noise = golden_float if net.dtype != torch.float64 else None
    report = Report.of(net)
    drawn = [step for step in net.steps if net.layers[step.key].draws]
    if drawn:
        why = f"{drawn[0].place} draws at random: no two passes agree"
        report.add(Comparison("ONNX Runtime", skipped=why))
        return report
    with (
        progress("verify", 4, quiet=quiet) as bar,
        torch.no_grad(),
        tempfile.TemporaryDirectory() as folder,
    ):
        losses = has_losses(net, taken.shapes)
        what = "the file as it ships" if model is not None else "a file made for this check"
        if inputs and preprocessing is None:
            fed = tensors_of(net, inputs)
        else:
            several = preprocessing is not None
            fed = random_inputs(net, seed, losses=losses, several=several)
        images, image = None, taken.image
        if preprocessing is not None:
            data = image_input(net)
            images, others = _images(inputs or {}, fed.keys() - {data}, seed, len(fed[data]))
            transform = Transform(preprocessing, net.dtype).to(net.device)
            fed |= {**tensors_of(net, others), data: transform(images)}
        if model is not None:
            net.feed(fed)  # what the network itself refuses is said by its layer
            check_shapes(model, taken, {name: tuple(value.shape) for name, value in fed.items()})
        torch_run = run_torch(net, fed)
        bar.update()
        if golden is not None:
            blobs = torch_run.blobs
            report.add(compare_with_golden("torch", blobs, golden, tolerance, float_run=noise))
        bar.update()
        try:
            if model is None:
                model = Path(folder, "net.onnx")
                shapes = {name: tuple(value.shape) for name, value in fed.items()}
                graph = export_onnx(
                    net,
                    model,
                    dynamic=(),
                    input_shapes=shapes,
                    preprocessing=preprocessing,
                    half=half,
                )
                image = graph.image
            feeds = {name: array_of(value) for name, value in fed.items()}
            if images is not None:
                feeds[image] = images
            shipped = run_onnx(model, feeds)
            plan, _ = exported_plan(net, with_losses=losses)
            exposed = run_exposed(model, feeds, [top for step in plan.steps for top in step.tops])
        except UnsupportedError as error:
            report.add(Comparison("ONNX Runtime", skipped=str(error)))
            return report
        bar.update()
        halves = half_model(model) if net.dtype == torch.float32 else None
        if halves is not None:
            report.dtype = "float16"
            tolerance = MOST if given is None else given
            for comparison in compare_half(
                net,
                model,
                halves,
                plan.steps,
                fed,
                shipped,
                exposed,
                torch_run.outputs,
                given,
                what,
            ):
                report.add(comparison)
            report.notes += agreement(shipped, torch_run.outputs)
        want = softmax_of(shipped, torch_run.outputs) | torch_run.values
        ways = ((shipped, what), (exposed, "every value exposed"))
        for got, how in ways if halves is None else ():
            title = f"ONNX Runtime, {how}, against torch"
            comparison = compare(title, got, want, tolerance)
            if given is None and not comparison.passed and net.dtype == torch.float32:
                comparison = compare_exact(title, net, fed, got, want)
            report.add(comparison)
        if golden is not None:
            blobs = {
                blob: exposed[top]
                for step in plan.steps
                for blob, top in zip(step.blobs, step.tops, strict=True)
                if top in exposed
            }
            title = "ONNX Runtime"
            report.add(compare_with_golden(title, blobs, golden, tolerance, float_run=noise))
        bar.update()
    return report


def embedded_preprocessing(
    net: CaffeNet, model: str | PathLike[str], **settings: Any
) -> Preprocessing:
    """Return what a model that takes images does to them, by the settings it was written with.

    Raises what `preprocessing_of` does.
    """
    with within(f"{model} takes images"):
        return preprocessing_of(net, **settings)


def _images(
    inputs: Mapping[str, Any], others: Collection[str], seed: int, batch: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the images, random ones if no input is given, and what is given of other inputs."""
    if not inputs:
        return random_images(seed, batch), {}
    beside = {name: value for name, value in inputs.items() if name in others}
    images = [np.asarray(value) for name, value in inputs.items() if name not in others]
    if len(images) != 1 or images[0].dtype != np.uint8:
        names = ", ".join(inputs)
        raise ShapeError(f"the inputs are {names}, the model wants images: N x H x W x 3 bytes")
    return images[0], beside


@dataclass(frozen=True)
class Run:
    """What the network computed in torch: every value, the blobs, and the outputs among them."""

    values: dict[str, np.ndarray]
    blobs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


def run_torch(net: CaffeNet, fed: Mapping[str, torch.Tensor]) -> Run:
    """Run the network once and anew, since one in training or with a state changes with a pass."""
    net.reset_state()
    fed = net.feed(fed)
    plan = net.plan(fed)
    values = {name: array_of(value) for name, value in net.run(fed, plan).items()}
    used = {name: values[name] for name in net.inputs if name in values}
    for step in plan.steps:
        used |= {blob: values[top] for blob, top in zip(step.blobs, step.tops, strict=True)}
    exported, _ = exported_plan(net)
    outputs = {name: values[name] for name in exported.outputs.values() if name in values}
    return Run(values, used, outputs)


def has_losses(net: CaffeNet, taken: Collection[str]) -> bool:
    """Tell whether the inputs that an ONNX model takes are among them that only losses use."""
    _, inputs = exported_plan(net)
    return bool((set(taken) & set(net.inputs)) - inputs.keys())


def compare_exact(
    title: str,
    net: CaffeNet,
    fed: Mapping[str, torch.Tensor],
    got: Mapping[str, np.ndarray],
    float_run: Mapping[str, np.ndarray],
) -> Comparison:
    """Compare with the network in double, at twice the error that torch's own float run has there.

    Deep networks add up roundings: two right float runs of SKNet-101 differ by 5e-4.
    """
    exact = run_torch(
        copy.deepcopy(net).double(), {name: value.double() for name, value in fed.items()}
    )
    want = softmax_of(got, exact.outputs) | exact.values
    noise = compare("", {name: float_run[name] for name in got if name in want}, want, 0)
    most = max((row.error for row in noise.rows), default=0.0)
    tolerance = min(max(TOLERANCES[torch.float32], 2 * most), MOST_NOISE)
    return compare(f"{title} in double (float: off by {most:.1g})", got, want, tolerance)

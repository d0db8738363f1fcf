"""The demo's run: convert, verify, classify in PyTorch and in ONNX Runtime."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converter.conversion import convert
from converter.loading.load import load
from converter.network.net import CaffeNet
from converter.network.summary import format_summary, summarize
from converter.onnx.runtime import run_onnx

from .files import BRIGHTEST, DIGITS, NET, WEIGHTS

LEAST_ACCURACY = 0.97
"""The accuracy on held-out digits below which the demo has failed."""

DIGITS_SHOWN = 6
SHADES = " .:-=+*#%@"


def run_demo(out: str | PathLike[str], *, quiet: bool = True) -> int:
    """Convert the shipped network into a folder, print what shows that it works.

    Returns 0 if the verification passes, PyTorch and ONNX Runtime classify every held-out digit
    alike and at least 97 % of them are right; else 1.
    """
    net = load(NET, WEIGHTS)
    print(f"1. {NET.name}, a selective kernel network for 8 x 8 digits\n")
    print(format_summary(summarize(net)))
    print(f"\n2. {WEIGHTS.name} to ONNX and safetensors, every blob verified\n")
    report = convert(NET, WEIGHTS, out, quiet=quiet)
    print(report.text())
    for file in report.written:
        print(f"wrote {file.path} ({file.size:,} bytes)")
    alike = _classify(net, Path(out, f"{NET.stem}.onnx"))
    done = report.passed and alike
    failed = f"The demo FAILED: it wants {LEAST_ACCURACY:.0%}, all alike."
    print("\nThe demo passed." if done else f"\n{failed}")
    return 0 if done else 1


def _classify(net: CaffeNet, model: Path) -> bool:
    """Classify the held-out digits; tell whether enough are right and all are alike."""
    with np.load(DIGITS) as held:
        images, labels = held["images"], held["labels"]
    print(f"\n3. {len(labels)} digits that training never saw\n")
    data = tensor_of(images)
    with torch.no_grad():
        in_torch = net({"data": data})["classifier"].argmax(1).numpy()
    in_onnx = run_onnx(model, {"data": data.numpy()})["classifier"].argmax(1)
    print(draw(images[:DIGITS_SHOWN]))
    print(captions(in_torch[:DIGITS_SHOWN], labels[:DIGITS_SHOWN]))
    accuracies = []
    for name, classes in (("PyTorch", in_torch), ("ONNX Runtime", in_onnx)):
        right = int((classes == labels).sum())
        accuracies.append(right / len(labels))
        print(f"{name:12}  {right} of {len(labels)} right, {accuracies[-1]:.2%}")
    alike = int((in_torch == in_onnx).sum())
    print(f"{alike} of {len(labels)} digits are classified alike by both")
    return alike == len(labels) and min(accuracies) >= LEAST_ACCURACY


def tensor_of(images: np.ndarray[Any, Any]) -> Tensor:
    """Return digits, N x 8 x 8 of brightness 0 to 16, as the network's N x 1 x 8 x 8 data."""
    return torch.from_numpy(images.astype(np.float32) / BRIGHTEST)[:, None]


def draw(images: np.ndarray[Any, Any]) -> str:
    """Return digits side by side as text, two columns for a pixel."""
    shades = images.astype(int) * (len(SHADES) - 1) // BRIGHTEST
    rows = shades.transpose(1, 0, 2)
    return "\n".join(
        "  ".join("".join(2 * SHADES[shade] for shade in digit) for digit in row).rstrip()
        for row in rows
    )


def captions(classes: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> str:
    """Return the line below `draw`: the class found, and the label where that is another."""
    found = (
        f"{got}" if got == label else f"{got}, is {label}"
        for got, label in zip(classes, labels, strict=True)
    )
    return "  ".join(caption.center(16) for caption in found).rstrip() + "\n"

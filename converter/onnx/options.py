"""How an ONNX model is written: each option in one place.

Here it is declared for `export_onnx`, for `convert` and for the command line.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Collection
from os import PathLike
from typing import Annotated, TypedDict

from converter.keywords import Option

OLDEST_OPSET = 13
DEFAULT_OPSET = 17
"""The newest opset that needs no IR newer than 8: every ONNX Runtime since 1.12 (2022), TensorRT 8
and OpenVINO 2022 read it, and nothing that the layers emit is better in a newer one."""


def _axes(text: str) -> tuple[str, ...]:
    axes = tuple(text.split(","))
    if axes == ("none",):
        return ()
    if "none" in axes or "" in axes:
        raise ArgumentTypeError(f"{text!r} is neither none nor axes with commas between")
    return axes


class GraphOptions(TypedDict, total=False):
    """What a graph computes, and of which sizes."""

    opset: Annotated[
        int,
        Option(
            DEFAULT_OPSET, f"of the operators (default: {DEFAULT_OPSET})", metavar="N", parse=int
        ),
    ]
    dynamic: Annotated[
        Collection[str] | None,
        Option(
            None,
            "the inputs' free axes: batch,height,width, or none (default: batch); one along which "
            "one size alone is right is fixed, and the report says which layer asks for it",
            "AXES",
            parse=_axes,
        ),
    ]
    target: Annotated[
        str | None,
        Option(
            None,
            "write for one engine: with the operators that it computes rightly, or not at all "
            "(default: a file for all of them)",
            "NAME",
        ),
    ]
    with_losses: Annotated[bool, Option(False, "keep loss and accuracy layers")]
    softmax: Annotated[bool, Option(False, "end in probabilities")]


class ExportOptions(GraphOptions, total=False):
    """How it is rewritten, besides."""

    fold_bn: Annotated[bool, Option(False, "fold normalisation into convolutions")]
    half_io: Annotated[
        bool,
        Option(False, "with --dtype float16: inputs and outputs too, but for labels and indices"),
    ]


METHODS = ("minmax", "entropy", "percentile")
"""How a range is told from the values that were met."""


def _method(text: str) -> str:
    if text not in METHODS:
        raise ArgumentTypeError(f"{text!r} is none of {', '.join(METHODS)}")
    return text


class CalibrationOptions(TypedDict, total=False):
    """What eight bits are measured on, and how."""

    calibrate: Annotated[
        str | PathLike[str] | None,
        Option(
            None,
            "with --dtype int8: measure the values' ranges on these images, or on an .npz of "
            "arrays by the inputs' names",
            "DIR|LIST|LMDB|NPZ",
        ),
    ]
    calibration_method: Annotated[
        str,
        Option(
            METHODS[0],
            f"how a range is told from the values: {', '.join(METHODS)} (default: {METHODS[0]})",
            "METHOD",
            parse=_method,
        ),
    ]
    signed: Annotated[
        bool,
        Option(
            False,
            "with --dtype int8: signed activations around 0, as TensorRT wants them (default: "
            "unsigned)",
        ),
    ]


class FormatOptions(ExportOptions, CalibrationOptions, total=False):
    """Which network is written, besides: what was loaded, or its optimised form."""

    optimize: Annotated[
        bool,
        Option(
            False,
            "fold, leave out what does nothing in testing, make one layer of SK selections",
        ),
    ]


def free_axes(options: GraphOptions) -> Collection[str]:
    """Return the inputs' axes that are free: the batch if nobody says."""
    axes = options["dynamic"]
    return ("batch",) if axes is None else axes

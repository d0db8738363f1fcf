"""The ranges of a graph's values, found by onnxruntime's calibrators."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

from converter.onnx.options import METHODS
from converter.onnx.runtime import Arrays, stopped
from prototxt.errors import CaffeError, UnsupportedError, UsageError

from .units import Units


@dataclass(frozen=True)
class Calibration:
    """What ranges are measured on: feeds of the network, each one batch, and how.

    Raises UsageError for no feeds, and for a method that is none.
    """

    feeds: Sequence[Arrays]
    method: str = "minmax"
    signed: bool = False
    """Signed activations, around 0, in place of unsigned ones."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(
                f"calibration {self.method!r} is unknown", fix=f"of {', '.join(METHODS)}"
            )
        if not self.feeds:
            raise UsageError("nothing to calibrate on", fix="give it images, or arrays")


Range = tuple[float, float]


def ranges_of(model: Path, units: Units, calibration: Calibration) -> dict[str, Range]:
    """Return the least and the largest value of all that the units' operators read and make.

    `minmax` are the extremes, `percentile` leaves out the outermost of a hundred thousand values,
    and `entropy` cuts where the histogram loses least. Raises UnsupportedError for a value that is
    not finite, the first in the units' order, and CaffeError where the model does not run.
    """
    try:
        found = _measured(model, units.operators, calibration)
    except ValueError as error:  # of a histogram
        if isinstance(error, CaffeError) or calibration.method == METHODS[0]:
            raise
        ranges_of(model, units, replace(calibration, method=METHODS[0]))  # this names the value
        raise UnsupportedError(
            f"{calibration.method} finds no ranges on the calibration data: {error}",
            fix=f"--calibration-method {METHODS[0]}",
        ) from None
    names = [*(name for name in units.values if name in found), *found]
    return {name: _checked(name, found[name]) for name in names}


def _measured(
    model: Path, operators: Collection[str], calibration: Calibration
) -> dict[str, tuple[Any, Any]]:
    """Return what onnxruntime's calibrator says; it raises ValueError for what it cannot count."""
    from onnxruntime.quantization import CalibrationMethod, create_calibrator

    method = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }[calibration.method]
    said = StringIO()  # it prints what it does
    with TemporaryDirectory() as folder, redirect_stdout(said), catch_warnings():
        simplefilter("ignore", RuntimeWarning)  # of NaN, which is an error above
        large = model.with_name(f"{model.name}.data").exists()
        calibrator = create_calibrator(
            model,
            list(operators),
            augmented_model_path=str(Path(folder, "augmented.onnx")),
            calibrate_method=method,
            use_external_data_format=large,
        )
        for feed in calibration.feeds:  # one at a time: it holds all values of what it is given
            with stopped("calibration"):
                calibrator.collect_data(_Reader([feed]))
        found = calibrator.compute_data()
        return {name: found[name].range_value for name in found}


class _Reader:
    """Feeds as onnxruntime wants them."""

    def __init__(self, feeds: Sequence[Arrays]) -> None:
        self._feeds: Iterator[Mapping[str, Any]] = iter(feeds)

    def get_next(self) -> dict[str, Any] | None:
        feed = next(self._feeds, None)
        return None if feed is None else dict(feed)


def _checked(name: str, found: tuple[Any, Any]) -> Range:
    least, most = (float(np.asarray(one).reshape(-1)[0]) for one in found)
    if not (np.isfinite(least) and np.isfinite(most)):
        raise UnsupportedError(
            f"{name!r} reaches from {least:g} to {most:g} on the calibration data",
            fix="calibrate on inputs that the network is made for",
        )
    return least, most

"""The ONNX file that is checked."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from converter.onnx.runtime import ModelInputs, inputs_of


@dataclass(frozen=True)
class ModelFile:
    """An ONNX file and what it takes; `what` names it in the comparison of its outputs."""

    path: Path
    inputs: ModelInputs
    what: str


def given_model(path: str | PathLike[str]) -> ModelFile:
    """Return a file that is there; raises FormatError for one that is no model."""
    return ModelFile(Path(path), inputs_of(path), "the file as it ships")

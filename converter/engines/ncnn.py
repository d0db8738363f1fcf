"""ncnn, of what pnnx makes of the ONNX file: one row of the batch at a time."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import version as version_of
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ._modules import missing
from ._signature import signature

INSTALL = "pip install caffeport[ncnn]"


def lacks() -> list[str]:
    """Return what is not installed."""
    return missing("ncnn", "pnnx")


def version() -> str:
    """Return the versions of ncnn and of pnnx."""
    return f"ncnn {version_of('ncnn')} (pnnx {version_of('pnnx')})"


def run(path: str | PathLike[str], feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convert a file for one row and run it on each, in float32; pnnx numbers what it takes."""
    import ncnn

    names = signature(path)
    with TemporaryDirectory() as folder:
        param, weights = _convert(path, [feeds[name] for name in names.inputs], Path(folder))
        net = ncnn.Net()
        for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
            setattr(net.opt, half, False)
        if net.load_param(str(param)) or net.load_model(str(weights)):
            raise ValueError(f"ncnn does not read {' / '.join(_unknown(param))}")
        given, wanted = _ordered(net.input_names(), net.output_names())
        if len(given) != len(names.inputs) or len(wanted) != len(names.outputs):
            raise ValueError(f"pnnx left inputs {given} and outputs {wanted}")
        axes = _batch_axes(param.with_name("net_ncnn.py"))
        rows: list[list[np.ndarray]] = [[] for _ in wanted]
        for row in range(len(next(iter(feeds.values())))):
            extractor = net.create_extractor()
            for own, name in zip(given, names.inputs, strict=True):
                extractor.input(own, _as_mat(feeds[name][row : row + 1], axes.get(own, NO_BATCH)))
            for kept, own in zip(rows, wanted, strict=True):
                status, value = extractor.extract(own)
                if status:
                    raise ValueError(f"ncnn computes no {own}: status {status}")
                kept.append(_as_array(value, axes.get(own, NO_BATCH)))
        return {name: np.concatenate(kept) for name, kept in zip(names.outputs, rows, strict=True)}


NO_BATCH = 233
"""What pnnx writes for the batch's axis where it sees none."""


def _ordered(inputs: list[str], outputs: list[str]) -> tuple[list[str], list[str]]:
    """Return ncnn's names of inputs and outputs in the file's order, by which pnnx numbers them.

    They are in0, in1, ... and out0, out1, ...; ncnn lists them in another order. An input that
    nothing reads is among its outputs too; one that is an output goes by the output's name.
    """
    numbers = {name: int(name.removeprefix("in")) for name in inputs if name.startswith("in")}
    others = (name for name in inputs if name not in numbers)
    free = (number for number in range(len(inputs)) if number not in numbers.values())
    numbers.update(zip(others, free, strict=False))
    ends = (name for name in outputs if name not in inputs or name.startswith("out"))
    return (
        sorted(numbers, key=lambda name: numbers[name]),
        sorted(ends, key=lambda name: (len(name), name)),
    )


def _as_mat(array: np.ndarray, axis: int) -> Any:
    """Return ncnn's own copy of one row: it writes into what it is given.

    ncnn has four axes besides the batch's, but takes an array with its batch only of four in all.
    """
    import ncnn

    array = np.ascontiguousarray(array)
    if axis != NO_BATCH and array.shape[axis] == 1:
        array, axis = array.squeeze(axis), NO_BATCH
    return ncnn.Mat(array, batch_index=axis).clone()


def _as_array(value: Any, axis: int) -> np.ndarray:
    """Return a copy of a value of ncnn, with an axis for the batch."""
    if axis != NO_BATCH and value.n == 1:
        return np.expand_dims(np.array(value.numpy()), axis)
    return np.array(value.numpy(batch_index=axis))


def _batch_axes(script: Path) -> dict[str, int]:
    """Return where each input and output has its batch, as the script that pnnx writes says it.

    pnnx takes the batch out of most files; where it does not see one, all axes are fed.
    """
    text = script.read_text()
    given = re.findall(r'ex\.input\("(\w+)", ncnn\.Mat\(.*?batch_index=(\d+)\)', text)
    wanted = re.findall(r"\b(out\d+)\.numpy\(batch_index=(\d+)\)", text)
    return {name: int(axis) for name, axis in (*given, *wanted)}


def _convert(
    path: str | PathLike[str], arrays: list[np.ndarray], folder: Path
) -> tuple[Path, Path]:
    """Let pnnx write ncnn's two files; it writes beside the file that it reads."""
    program = Path(find_spec("pnnx").origin or "").with_name("pnnx")  # type: ignore[union-attr]
    kinds = {"f": "f32", "i": "i64", "u": "u8"}
    shapes = ",".join(
        f"[{','.join(map(str, (1, *array.shape[1:])))}]{kinds[array.dtype.kind]}"
        for array in arrays
    )
    copyfile(path, folder / "net.onnx")
    ran = subprocess.run(
        [program, "net.onnx", f"inputshape={shapes}", "fp16=0"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    made = folder / "net.ncnn.param", folder / "net.ncnn.bin"
    if ran.returncode < 0:
        raise ValueError("pnnx stops without a file")
    if ran.returncode or not made[0].exists():
        said = [line for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
        raise ValueError(f"pnnx wrote no file, status {ran.returncode}: {' / '.join(said[-2:])}")
    return made


def _unknown(param: Path) -> list[str]:
    """Return the layer types of a file that ncnn does not have, or else all of them."""
    import ncnn

    types = dict.fromkeys(line.split()[0] for line in param.read_text().splitlines()[2:] if line)
    has = getattr(ncnn, "layer_to_index", None)
    return [one for one in types if has is None or has(one) < 0] or list(types)

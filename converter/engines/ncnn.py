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
        # pnnx numbers them in the file's order (in0, out0, ...); ncnn lists them in another.
        # An input that nothing reads is among its outputs too.
        ends = set(net.output_names()) - set(net.input_names())
        given, wanted = (
            sorted(own, key=lambda name: (len(name), name)) for own in (net.input_names(), ends)
        )
        if len(given) != len(names.inputs) or len(wanted) != len(names.outputs):
            raise ValueError(f"pnnx left inputs {given} and outputs {wanted}")
        axes = _batch_axes(param.with_name("net_ncnn.py"))
        rows: list[list[np.ndarray]] = [[] for _ in wanted]
        for row in range(len(next(iter(feeds.values())))):
            extractor = net.create_extractor()
            for own, name in zip(given, names.inputs, strict=True):
                array = np.ascontiguousarray(feeds[name][row : row + 1])
                # A copy of ncnn's own: it writes into what it is given, and dies where that is not.
                extractor.input(own, ncnn.Mat(array, batch_index=axes[own]).clone())
            for kept, own in zip(rows, wanted, strict=True):
                status, value = extractor.extract(own)
                if status:
                    raise ValueError(f"ncnn computes no {own}: status {status}")
                kept.append(np.array(value.numpy(batch_index=axes[own])))
        return {name: np.concatenate(kept) for name, kept in zip(names.outputs, rows, strict=True)}


def _batch_axes(script: Path) -> dict[str, int]:
    """Return where each input and output has its batch, as the script that pnnx writes says it.

    pnnx takes the batch out of most files; where it does not see one (233), all axes are fed.
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

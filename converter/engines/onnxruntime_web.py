"""ONNX Runtime Web, in Node: its WebAssembly build, with one thread."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

INSTALL = "npm install onnxruntime-web@1.30.0"
SCRIPT = Path(__file__).with_suffix(".js")
KINDS: dict[np.dtype[Any], str] = {
    np.dtype(np.float32): "float32",
    np.dtype(np.float64): "float64",
    np.dtype(np.float16): "float16",
    np.dtype(np.int32): "int32",
    np.dtype(np.int64): "int64",
    np.dtype(np.uint8): "uint8",
    np.dtype(np.bool_): "bool",
}
"""ONNX Runtime Web's names of what arrays hold."""


def lacks() -> list[str]:
    """Return what is not installed: Node, or the package where Node looks for it."""
    if which("node") is None:
        return ["node"]
    try:
        _node("version")
    except ValueError:
        return ["onnxruntime-web"]
    return []


def version() -> str:
    """Return ONNX Runtime Web's version and Node's."""
    return f"ONNX Runtime Web {_node('version')}"


def run(path: str | PathLike[str], feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a file once; arrays go to Node and back as files of plain bytes."""
    types: dict[str, np.dtype[Any]] = {name: dtype for dtype, name in KINDS.items()}
    with TemporaryDirectory() as folder:
        inputs = []
        for place, (name, array) in enumerate(feeds.items()):
            Path(folder, f"in{place}").write_bytes(array.tobytes())
            inputs.append({"name": name, "type": KINDS[array.dtype], "dims": list(array.shape)})
        asked = {"model": str(Path(path).resolve()), "inputs": inputs}
        Path(folder, "asked.json").write_text(json.dumps(asked), encoding="utf-8")
        _node("run", folder)
        answer = json.loads(Path(folder, "answer.json").read_text(encoding="utf-8"))
        return {
            one["name"]: np.frombuffer(
                Path(folder, f"out{place}").read_bytes(), types[one["type"]]
            ).reshape(one["dims"])
            for place, one in enumerate(answer)
        }


def _node(*words: str) -> str:
    """Return what the script says; it finds the package where Node looks from this folder."""
    ran = subprocess.run(["node", str(SCRIPT), *words], capture_output=True, text=True, check=False)
    if ran.returncode:
        said = [line for line in ran.stderr.splitlines() if "Error" in line] or [ran.stderr]
        raise ValueError(said[0].strip())
    return ran.stdout.strip()

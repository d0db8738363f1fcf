"""The code of docs/deploy.md, run as it stands there with what is installed.

`CAFFEPORT_ENGINES` may name a folder with an environment an engine, as `benchmarks/engines.py`
makes them: `FOLDER/openvino/bin/python` then runs OpenVINO's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import torch
from PIL import Image

import converter
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "deploy.md"
BLOCKS = dict(
    re.findall(r"<!-- (\w+) -->\n```(?:python|js)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
)
MODULES = {
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "opencv": "cv2",
    "mnn": "MNN",
    "ncnn": "ncnn",
    "tract": "tract",
    "onnx2torch": "onnx2torch",
}
NET = """name: "small"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 227 dim: 227 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
  num_output: 6 kernel_size: 7 stride: 4
  weight_filler { type: "gaussian" std: 0.01 } bias_filler { type: "constant" value: 0.1 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param {
  pool: AVE kernel_size: 14 stride: 14 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param {
  num_output: 10 weight_filler { type: "gaussian" std: 0.02 } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


def test_every_engine_of_the_page_is_tried_here() -> None:
    assert BLOCKS.keys() == {"photo", "onnxruntime_web", *MODULES}
    for name, code in BLOCKS.items():
        lines = [line for line in code.splitlines() if line and not re.match("import|from", line)]
        assert len(lines) <= 10, f"{name} has {len(lines)} lines"


@pytest.fixture
def files(tmp_path: Path) -> np.ndarray:
    """Write net.onnx and photo.png; return the scores that our network gives for the photo."""
    (tmp_path / "net.prototxt").write_text(NET)
    torch.manual_seed(1701)
    net = converter.load(tmp_path / "net.prototxt")
    converter.export_onnx(net, tmp_path / "net.onnx")
    pixels = np.random.default_rng(1701).integers(0, 256, (9, 11, 3), np.uint8)
    Image.fromarray(pixels).resize((300, 260), Image.Resampling.BICUBIC).save(
        tmp_path / "photo.png"
    )
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        named: dict[str, np.ndarray] = {}
        exec(BLOCKS["photo"], named)
    finally:
        os.chdir(before)
    np.save(tmp_path / "x.npy", named["x"])
    with torch.no_grad():
        scores = net({"data": torch.from_numpy(named["x"])})["prob"].numpy().ravel()
    assert scores.max() > 0.2, "the scores say nothing"
    return scores


@pytest.mark.parametrize("name", MODULES)
def test_code_gives_our_scores(name: str, files: np.ndarray, tmp_path: Path) -> None:
    given = os.environ.get("CAFFEPORT_ENGINES")
    python = str(Path(given, name, "bin", "python")) if given else sys.executable
    if not given and find_spec(MODULES[name]) is None:
        pytest.skip(f"{MODULES[name]} is not installed")
    if given and not Path(python).exists():
        pytest.skip(f"{given} has no environment of {name}")
    begin = 'import numpy as np\nx = np.load("x.npy")\n'
    (tmp_path / "run.py").write_text(f'{begin}{BLOCKS[name]}\nnp.save("scores.npy", scores)\n')
    subprocess.run([python, "run.py"], cwd=tmp_path, check=True, capture_output=True)
    got = np.load(tmp_path / "scores.npy")
    assert got.shape == files.shape
    assert np.abs(got - files).max() < 1e-4


def test_code_for_node_gives_our_scores(files: np.ndarray, tmp_path: Path) -> None:
    if which("node") is None:
        pytest.skip("node is not installed")
    found = subprocess.run(["node", "-e", 'require.resolve("onnxruntime-web")'], check=False,
                           cwd=tmp_path, capture_output=True)  # fmt: skip
    if found.returncode:
        pytest.skip("onnxruntime-web is not installed where Node looks (NODE_PATH)")
    np.load(tmp_path / "x.npy").tofile(tmp_path / "x.bin")
    code = BLOCKS["onnxruntime_web"] + (
        'const bytes = require("fs").readFileSync("x.bin");\n'
        "ort.env.wasm.numThreads = 1;\n"
        "classify(new Float32Array(new Uint8Array(bytes).buffer)).then((scores) => {\n"
        "  console.log(JSON.stringify(Array.from(scores)));\n  process.exit(0);\n});\n"
    )
    (tmp_path / "run.js").write_text(code)
    ran = subprocess.run(
        ["node", "run.js"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    got = np.array(eval(ran.stdout.strip().splitlines()[-1]))
    assert np.abs(got - files).max() < 1e-4

"""The layer cases that OpenCV's project recorded from real Caffe, in float32.

Caffe's float run is compared with our double one, and our ONNX with both within one tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from converter.onnx.runtime import run_onnx
from prototxt import CaffeError, parse_text, write_caffemodel
from tests.support.recorded import assert_close

FLOAT32 = 2e-6
"""Of a blob's largest value: a few roundings of Caffe's float run."""
SUMS_OF_1332 = 2e-5
"""Where each value sums 1332 products of up to 10, and 12 steps hand on what they round off."""

MEANS_OF_8475 = 5e-6
"""Where Caffe's float run summed planes of 8475 values, and their squares, for the deviation."""


@dataclass(frozen=True)
class Case:
    """A definition's file or text, and the files of its input, its weights and its output."""

    net: str
    input: str = "blob.npy"
    output: str = ""
    blobs: tuple[str, ...] = ()
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    top: tuple[int, ...] | None = None
    """The output's shape where its file holds another."""
    tolerance: float = FLOAT32


def layer(name: str, **fields: Any) -> Case:
    return Case(f"layer_{name}.prototxt", **{"output": f"layer_{name}.npy", **fields})


def recurrent(kind: str, blobs: int) -> Case:
    """Return the case of a recurrent layer: 12 steps of 2 sequences, every step goes on."""
    definition = f"""
        layer {{ name: "data" type: "Input" top: "input" top: "cont"
          input_param {{ shape {{ dim: 12 dim: 2 dim: 36 dim: 37 }} shape {{ dim: 12 dim: 2 }} }} }}
        layer {{ name: "output" type: "{kind}" bottom: "input" bottom: "cont" top: "output"
          recurrent_param {{ num_output: 17 }} }}"""
    stem = f"{kind.lower()}.prototxt"
    files = tuple(f"{stem}.w_{index}.npy" for index in range(blobs))
    output = f"{stem}.h_1.npy"
    return Case(definition, "recurrent.input.npy", output, files, tolerance=SUMS_OF_1332)


CASES = {
    "batch_norm": layer("batch_norm"),
    "concat": layer("concat"),
    "convolution": layer("convolution"),
    "deconvolution": layer("deconvolution", input="layer_deconvolution.input.npy"),
    "dropout": layer("dropout"),
    "inner_product": layer("inner_product", top=(2, 6, 75, 2)),
    "lrn_channels": layer("lrn_channels"),
    "lrn_spatial": layer("lrn_spatial"),
    "lstm": recurrent("LSTM", 3),
    "mvn": layer("mvn", tolerance=MEANS_OF_8475),
    "pooling_ave": layer("pooling_ave"),
    "pooling_max": layer("pooling_max"),
    "relu": layer("relu"),
    "reshape_and_slice": Case(
        "reshape_and_slice_routines.prototxt",
        output="blob.npy",
        shapes={"input": (2, 6, 75, 113)},
        top=(2, 6 * 75 * 113),
    ),
    "rnn": recurrent("RNN", 5),
    "softmax": layer("softmax"),
}
NOT_CAFFES = {
    "layer_elu_in.npy": "a TensorFlow graph's",
    "layer_elu_out.npy": "a TensorFlow graph's: more than an ELU stands between it and its input",
    "rnn.input.npy": "no case's: its size fits no weights and no output here",
}


def test_every_file_has_its_row(shared: Path) -> None:
    used = {name for case in CASES.values() for name in (case.input, case.output, *case.blobs)}
    used |= {case.net for case in CASES.values()}
    files = {path.name for path in (shared / "opencv_layers").iterdir()}
    assert {name for name in files if not name.endswith(".caffemodel")} == (
        {name for name in used if "\n" not in name} | NOT_CAFFES.keys()
    )


def load(case: Case, folder: Path, tmp_path: Path, dtype: torch.dtype) -> converter.CaffeNet:
    definition, weights = folder / case.net, (folder / case.net).with_suffix(".caffemodel")
    if case.blobs:
        definition, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
        definition.write_text(case.net)
        blobs = {"output": [np.load(folder / name) for name in case.blobs]}
        write_caffemodel(weights, parse_text(case.net), blobs)
    model = weights if weights.exists() else None
    return converter.load(definition, model, dtype=dtype, input_shapes=case.shapes)


@pytest.mark.parametrize("name", CASES)
def test_torch_and_onnx_are_caffes(name: str, shared: Path, tmp_path: Path) -> None:
    case, folder = CASES[name], shared / "opencv_layers"
    want = np.load(folder / case.output)
    want = want.reshape(want.shape if case.top is None else case.top)
    feeds = {"input": np.load(folder / case.input)}
    net = load(case, folder, tmp_path, torch.float64)
    feeds |= {"cont": np.ones(net.input_shapes["cont"], np.float32)} if case.blobs else {}
    with torch.no_grad():
        got = net({blob: torch.from_numpy(array).double() for blob, array in feeds.items()})
    assert_close(got["output"], want, "torch", case.tolerance)
    path = tmp_path / "net.onnx"
    converter.export_onnx(load(case, folder, tmp_path, torch.float32), path)
    assert_close(run_onnx(path, feeds)["output"], want, "ONNX", case.tolerance)


def test_input_without_a_shape_asks_for_it(shared: Path) -> None:
    with pytest.raises(CaffeError) as caught:
        converter.load(shared / "opencv_layers" / "reshape_and_slice_routines.prototxt")
    assert str(caught.value).endswith(
        "reshape_and_slice_routines.prototxt: layer 'input' (Input): "
        "the file does not say the shape of 'input'\n"
        "  fix: give it with --input-shape input=1,3,224,224"
    )

"""The format python: source that runs without this project and computes the same."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
import prototxt
from converter.formats import Options, python
from converter.formats._source import Source, identifier
from prototxt import UnsupportedError
from prototxt.nets.attention import attention
from prototxt.nets.definition import Definition
from prototxt.nets.dpn import dpn
from prototxt.nets.inception_resnet_v2 import inception_resnet_v2
from prototxt.nets.senet import senet
from prototxt.nets.sknet import sknet
from tests.support import recorded
from tests.support.fillers import with_caffes_statistics
from tests.support.recorded import assert_close

ALONE = """
import importlib.util, sys
for name in ("converter", "caffe_layers", "prototxt", "safetensors", "numpy", "onnx"):
    sys.modules[name] = None  # an import of it fails
import torch
spec = importlib.util.spec_from_file_location("net", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
inputs = torch.load(sys.argv[2])
with torch.no_grad():
    outputs = module.load()(*inputs)
torch.save(outputs, sys.argv[3])
"""


def run_alone(file: Path, *inputs: torch.Tensor) -> object:
    """Run a written network in a process that has nothing but torch."""
    given, made = file.parent / "inputs.pt", file.parent / "outputs.pt"
    torch.save(inputs, given)
    command = [sys.executable, "-I", "-c", ALONE, file, given, made]
    subprocess.run(command, check=True, cwd=file.parent, capture_output=True)
    return torch.load(made)


def write(net: converter.CaffeNet, folder: Path, name: str = "net.py") -> Path:
    python.write(net, folder / name, Options())
    (file,) = folder.glob("*.py")
    return file


def executed(net: converter.CaffeNet) -> Callable[..., object]:
    """Return the network of the source, run here."""
    source = Source(net)
    written = source.write(with_losses=False)
    space: dict[str, object] = {"__file__": "net.py", "__name__": "net"}
    exec(compile(python.text(net, written, "net", "net.safetensors"), "net.py", "exec"), space)
    made = space["Net"]().eval()
    made.load_state_dict({k: v.detach() for k, v in source.tensors.items()}, assign=True)
    return made


def test_trained_network_runs_without_this_project(shared: Path, tmp_path: Path) -> None:
    folder = shared / "models" / "squeezenet_v1.0_dc"
    net = converter.load(folder / "deploy.prototxt", folder / "weights.caffemodel")
    data = torch.randn(2, 3, 227, 227, generator=torch.Generator().manual_seed(1701))
    with torch.no_grad():
        want = net({"data": data})["pool_final"]
    got = run_alone(write(net, tmp_path), data)
    assert_close(got, want, "pool_final", 1e-6)


def test_file_is_readable(tmp_path: Path) -> None:
    net = converter.load(prototxt.parse_text(str(SMALL["sknet"]())))
    text = write(net, tmp_path, "my-net.v2.py").read_text()
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "my_net_v2.py",
        "my_net_v2_weights.safetensors",
    ]
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    declared = (
        "self.conv2_1_3x3g4d2 = nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=4, bias=False)"
    )
    assert f"        {declared}" in lines
    stem = "self.pool1_3x3_s2(F.relu(self.conv1_7x7_s2_bn(self.conv1_7x7_s2(data))))"
    assert f"        pool1_3x3_s2 = {stem}" in lines
    assert lines[lines.index("        # conv3_1") - 1] == ""
    assert "        return classifier" in lines
    imported = {
        name
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported == {"__future__", "json", "pathlib", "torch", "torch.nn.functional"}


IMAGE = (2, 3, 64, 64)
SMALL: dict[str, Callable[[], Definition]] = {
    "sknet": lambda: sknet(
        "net", (1, 1), branches=3, width=16, groups=4, num_classes=5, data=IMAGE
    ),
    "senet": lambda: senet("net", (1, 1), width=16, outer=32, num_classes=5, data=(2, 3, 112, 112)),
    "dpn": lambda: dpn(
        "net", (1, 2), stem=8, width=8, groups=4, growth=(4, 8), outer=16, num_classes=5, data=IMAGE
    ),
    "inception": lambda: inception_resnet_v2(
        layers=(1, 1, 1), scale=16, num_classes=5, data=(2, 3, 75, 107)
    ),
    "attention": lambda: attention(
        "net", (1, 1), groups=1, width=8, outer=16, last=1, num_classes=5, data=IMAGE
    ),
}


@pytest.mark.parametrize("name", SMALL)
def test_network_of_each_kind_computes_the_same(name: str) -> None:
    net = converter.load(prototxt.parse_text(str(SMALL[name]())), dtype=torch.float64)
    draw = torch.Generator().manual_seed(1701)
    for layer in net.layers.values():
        for blob, names in zip(layer.blobs, layer.blob_names, strict=True):
            low = 0.5 if names in ("running_var", "variance", "factor") else -0.5
            blob.data.uniform_(low, 1, generator=draw)
            if blob.dim() > 1 and layer.caffe_type in ("Convolution", "InnerProduct"):
                blob.data.mul_(2 / blob[0].numel() ** 0.5)
    data = torch.randn(net.input_shapes["data"], generator=draw, dtype=torch.float64)
    with torch.no_grad():
        (want,) = net({"data": data}).values()
        got = executed(net)(data)
    assert_close(got, want, name, 1e-6 if name == "attention" else 1e-12)


CASES = recorded.index("layers", "index.json")
WRITTEN = {
    *("AbsVal", "Axpy", "BatchNorm", "Bias", "Clip", "Concat", "Convolution", "Crop"),
    *("CuDNNBatchNorm", "Deconvolution", "Dropout", "ELU", "Eltwise", "Flatten", "InnerProduct"),
    *("LRN", "PReLU", "Pooling", "Power", "ReLU", "Reshape", "Scale", "Sigmoid"),
    *("Slice", "Softmax", "Split", "Swish", "TanH", "Tile"),
}
"""The types of the recorded cases that have a Python form."""


@pytest.mark.parametrize("kind", sorted(WRITTEN))
def test_recorded_cases_compute_the_same(kind: str, layer_cases: Path) -> None:
    refused = compared = 0
    for name, meta in CASES.items():
        if meta["type"] != kind or meta.get("refused"):
            continue
        folder = layer_cases / name
        with np.load(folder / "io.npz") as file:  # an error below would keep it open
            arrays = dict(file)
        inputs = {key[3:]: array for key, array in arrays.items() if key.startswith("in|")}
        weights = folder / "weights.caffemodel"
        shapes = {key: value.shape for key, value in inputs.items()}
        given = shapes if "shapes are set by the caller" in meta.get("note", "") else {}
        net = converter.load(
            folder / "net.prototxt",
            weights if weights.exists() else None,
            dtype=torch.float64,
            input_shapes=given,
        )
        with_caffes_statistics(net)
        try:
            source = executed(net)
        except UnsupportedError:
            refused += 1
            continue
        exported = net.exported()
        bottoms = [torch.from_numpy(inputs[key]) for key in exported.inputs]
        with torch.no_grad():
            got = source(*bottoms)
        got = got if isinstance(got, dict) else {next(iter(exported.plan.outputs)): got}
        for blob, value in got.items():
            want = arrays[f"out|{blob}"]
            assert_close(value, want, f"{name} {blob}", 1e-9)
            compared += 1
    assert compared > 0
    assert refused <= 4 * compared


def test_layer_without_source_is_named() -> None:
    text = (
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } } '
        'layer { name: "m" type: "MVN" bottom: "x" top: "y" }'
    )
    with pytest.raises(UnsupportedError) as caught:
        Source(converter.load(prototxt.parse_text(text))).write()
    assert str(caught.value) == (
        "layer 'm' (MVN): no Python source of this type can be written\n"
        "  fix: --format pt2 holds any network, as torch.export sees it"
    )


def test_training_network_is_refused(tmp_path: Path) -> None:
    net = converter.load(prototxt.parse_text(str(SMALL["sknet"]())), phase="TRAIN")
    with pytest.raises(UnsupportedError, match="for tests"):
        write(net, tmp_path)


def test_names_that_are_no_names_become_some() -> None:
    names = {"3x3": "n3x3", "conv1/7x7_s2": "conv1_7x7_s2", "class": "class", "": "n", "é.é": "é_é"}
    assert {name: identifier(name) for name in names} == names
    blobs = ["self", "class", "F", "a/b", "a.b", '"""\nimport os', "x; y", "type", "forward"]
    layers = "".join(
        f'layer {{ name: {json_text(top)} type: "Power" bottom: {json_text(bottom)} '
        f"top: {json_text(top)} power_param {{ shift: 1 }} }}"
        for bottom, top in zip(["x", *blobs], blobs, strict=False)
    )
    text = (
        'name: "a\\"\\"\\"b\\\\" layer { name: "in" type: "Input" top: "x" '
        "input_param { shape { dim: 2 } } }" + layers
    )
    net = converter.load(prototxt.parse_text(text))
    got = executed(net)(torch.zeros(2))
    assert got.tolist() == [len(blobs)] * 2


def json_text(name: str) -> str:
    return '"' + name.replace('"', '\\"').replace("\n", "\\n") + '"'


def test_shared_weights_and_several_outputs(tmp_path: Path) -> None:
    text = (
        'layer { name: "in" type: "Input" top: "x" top: "y" '
        "input_param { shape { dim: 2 dim: 3 } } }"
    )
    for name, bottom in (("a", "x"), ("b", "y")):
        text += (
            f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}/out" '
            'param { name: "w" } param { name: "b" } '
            'inner_product_param { num_output: 4 weight_filler { type: "gaussian" } } }'
        )
    net = converter.load(prototxt.parse_text(text))
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    got = run_alone(write(net, tmp_path), x, y)
    with torch.no_grad():
        want = net({"x": x, "y": y})
    assert got.keys() == want.keys() == {"a/out", "b/out"}
    for blob in want:
        assert_close(got[blob], want[blob], blob, 1e-6)


def test_value_that_two_layers_read_is_kept() -> None:
    text = (
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } } '
        'layer { name: "p" type: "Power" bottom: "x" top: "p" power_param { scale: 3 } } '
        'layer { name: "r" type: "ReLU" bottom: "p" top: "p" } '
        'layer { name: "q" type: "Power" bottom: "p" top: "q" power_param { power: 2 } } '
        'layer { name: "s" type: "Eltwise" bottom: "p" bottom: "q" top: "s" '
        "eltwise_param { coeff: 1 coeff: -2 } }"
    )
    net = converter.load(prototxt.parse_text(text))
    x = torch.tensor([[1.0, -1.0]])
    assert executed(net)(x).tolist() == [[3 - 2 * 9, 0]]

"""The user's own layers: the example of docs/own_layers.md, run as it stands."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from threading import Barrier

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from caffe_layers import LAYERS
from converter.__main__ import main
from converter.loading.user_layers import registry_of
from converter.training import Solver
from prototxt import write_caffemodel
from prototxt.errors import CaffeError, FormatError, UnsupportedError
from prototxt.read import read_net
from prototxt.schema import SHIPPED
from tests.support.paths import ROOT

DOCS = ROOT / "docs" / "own_layers.md"
FILES = {"prototxt": "net.prototxt", "proto": "my_layers.proto", "python": "my_layers.py"}
"""By the language of the page's first blocks; the second of Python has a Python layer."""


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """Write the files of the page's example, and weights for them."""
    folder = tmp_path_factory.mktemp("own")
    for kind, text in reversed(blocks()):
        if kind in FILES:
            (folder / FILES[kind]).write_text(text)
    assert {path.name for path in folder.iterdir()} == set(FILES.values())
    return folder


def blocks() -> list[tuple[str, str]]:
    return re.findall(r"```(\w+)\n(.*?)```", DOCS.read_text(), re.DOTALL)


def commanded(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own, as a user does."""
    command = [sys.executable, "-m", "converter", *words]
    root = str(DOCS.parents[1])
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": root, "PATH": "", "OMP_NUM_THREADS": "1"},
    )


def softgate(x: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    for at in np.ndindex(x.shape):
        gate = 1 / (1 + np.exp(-2.5 * (x[at] - threshold[at[1]])))
        out[at] = x[at] * gate
    return out


def test_the_pages_example_is_converted_and_verified(example):
    done = commanded(example, "convert", "net.prototxt", "-o", "out", "--layers", "my_layers.py")
    assert done.returncode == 0, done.stderr
    assert "gate" in (example / "out" / "report.md").read_text()
    path = example / "out" / "net.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    net = converter.load(example / "net.prototxt", layers=example / "my_layers.py")
    x = np.random.default_rng(1701).normal(size=(2, 3, 8, 8)).astype("f4")
    (theirs,) = session.run(None, {"data": x})
    np.testing.assert_allclose(theirs, net(torch.from_numpy(x))["prob"].detach(), rtol=1e-5)


def test_its_numbers_and_its_weights(example):
    layers = example / "my_layers.py"
    definition = read_net(example / "net.prototxt", schema=registry_of(layers).schema)
    rng = np.random.default_rng(1701)
    threshold = rng.normal(size=4).astype("f4")
    weights = {"conv": [rng.normal(size=(4, 3, 3, 3)).astype("f4"), np.zeros(4, "f4")]}
    path = example / "net.caffemodel"
    write_caffemodel(path, definition, weights | {"gate": [threshold]})
    for net in (example / "net.prototxt", path):  # the embedded network alike
        loaded = converter.load(net, path, layers=[layers], dtype=torch.float64)
        assert loaded.layers["gate"].sharpness == 2.5
        x = torch.from_numpy(rng.normal(size=(2, 3, 8, 8)))
        blobs = loaded.blobs({"data": x})
        want = softgate(blobs["conv"].detach().numpy(), threshold)
        np.testing.assert_allclose(blobs["gate"].detach(), want, rtol=1e-12)
        assert torch.autograd.gradcheck(
            loaded.layers["gate"], x[:, :, :4, :3].repeat(1, 2, 1, 1)[:, :4].requires_grad_()
        )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "net.prototxt"), "dialect: my_layers (SoftGate)"),
        (("check", "net.prototxt"), "SoftGate"),
        (("upgrade", "net.prototxt", "new.prototxt"), "wrote new.prototxt"),
        (("draw", "net.prototxt", "-o", "net.svg"), "wrote net.svg"),
        (("verify", "net.prototxt"), "gate"),
    ],
)
def test_every_command_takes_layers(example, words, said, monkeypatch, capsys):
    monkeypatch.chdir(example)
    assert main([*words, "--layers", "my_layers.py"]) == 0
    assert said in capsys.readouterr().out


def test_a_solver_takes_layers(example, tmp_path, monkeypatch):
    text = (example / "net.prototxt").read_text().replace('type: "Input"', 'type: "DummyData"')
    text = text.replace("input_param { shape", "dummy_data_param { data_filler { value: 1 } shape")
    text += 'layer { name: "loss" type: "EuclideanLoss" bottom: "prob" bottom: "gate" top: "loss" }'
    (tmp_path / "train.prototxt").write_text(text)
    rates = "base_lr: 0.1 lr_policy: 'fixed' max_iter: 2 solver_mode: CPU snapshot_after_train: "
    (tmp_path / "solver.prototxt").write_text(f"net: 'train.prototxt' {rates} false")
    monkeypatch.chdir(tmp_path)
    words = ["train", "solver.prototxt", "--log", "log.jsonl"]
    assert main([*words, "--layers", str(example / "my_layers.py")]) == 0
    assert main(words) == 1
    solver = Solver("solver.prototxt", layers=example / "my_layers.py")
    before = solver.net.layers["gate"].threshold.detach().clone()
    solver.step(1)
    assert not torch.equal(solver.net.layers["gate"].threshold, before)


def test_without_the_file_the_type_is_unknown(example):
    done = commanded(example, "show", "net.prototxt")
    assert done.returncode == 1
    assert "LayerParameter has no field 'soft_gate_param'" in done.stderr
    assert "did you mean" not in done.stderr


def test_its_field_is_its_types_alone(example, tmp_path):
    text = (example / "net.prototxt").read_text()
    path = tmp_path / "net.prototxt"
    path.write_text(text.replace('type: "Softmax"', 'type: "Softmax" soft_gate_param {}'))
    line = text[: text.index('type: "Softmax"')].count("\n") + 1
    said = f"{path}:{line}:.*a layer of type Softmax has no field 'soft_gate_param', in my_layers"
    with pytest.raises(FormatError, match=said):
        converter.load(path, layers=example / "my_layers.py")


@pytest.mark.parametrize(
    ("name", "text", "error", "said"),
    [
        ("gone_layers.py", None, FormatError, "no such file of layers"),
        ("bad_layers.py", "class Broken(:\n", FormatError, "bad_layers.py:1: invalid syntax"),
        ("lost_layers.py", "import not_there\n", UnsupportedError, "No module named 'not_there'"),
        (
            "taken_layers.py",
            "import caffe_layers\nclass A(caffe_layers.Layer, type='ReLU'): ...\n",
            UnsupportedError,
            "bvlc's 'ReLU' is taken by",
        ),
        ("json.py", "", UnsupportedError, "a module named 'json' is there already"),
        ("own_layers.txt", "", FormatError, "no Python file"),
    ],
)
def test_files_that_are_no_layers(example, tmp_path, name, text, error, said):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(CaffeError, match=re.escape(said)) as caught:
        converter.load(example / "net.prototxt", layers=tmp_path / name)
    assert caught.type is error


GATE = """
from caffe_layers import Layer

class SoftGate(Layer, type="SoftGate", fork="my_layers", param="{param}"):
    def __init__(self, {argument}=1.0): super().__init__()
"""


@pytest.mark.parametrize(
    ("param", "argument", "said"),
    [
        ("soft_gate_param", "sharpness", ""),
        ("gate_param", "sharpness", "my_layers's LayerParameter has no message 'gate_param'"),
        ("soft_gate_param", "sharp", "soft_gate_param has no field for the argument 'sharp'"),
    ],
)
def test_a_misspelt_parameter_is_told_with_the_file(example, tmp_path, param, argument, said):
    (tmp_path / "my_layers.py").write_text(GATE.format(param=param, argument=argument))
    (tmp_path / "my_layers.proto").write_text((example / "my_layers.proto").read_text())
    if not said:
        assert "SoftGate" in registry_of(tmp_path / "my_layers.py").layers
        return
    with pytest.raises(UnsupportedError, match=re.escape(f"my_layers.py: SoftGate: {said}")):
        registry_of(tmp_path / "my_layers.py")


def test_a_reading_of_ones_own_comes_first(tmp_path):
    (tmp_path / "own_l1.py").write_text(
        "from caffe_layers import Layer\n"
        "class Mine(Layer, type='L1Loss', fork='own_l1', bottoms=2):\n"
        "    def shapes(self, a, b): return [()]\n"
        "    def forward(self, a, b): return (a - b).abs().max()\n"
    )
    text = "input: 'a' input: 'b' input_shape { dim: 2 } input_shape { dim: 2 } "
    path = tmp_path / "net.prototxt"
    path.write_text(text + "layer { type: 'L1Loss' bottom: 'a' bottom: 'b' top: 'l' }")
    net = converter.load(path, layers=tmp_path / "own_l1.py")
    assert net({"a": torch.tensor([1.0, 5]), "b": torch.tensor([0.0, 2])})["l"] == 3


def test_a_loss_of_ones_own_needs_no_top(tmp_path):
    (tmp_path / "own_loss.py").write_text(
        "from caffe_layers import Layer\n"
        "class Mine(Layer, type='MineLoss', fork='own_loss'):\n"
        "    is_loss = True\n"
        "    def shapes(self, a): return [()]\n"
        "    def forward(self, a): return a.sum()\n"
    )
    path = tmp_path / "net.prototxt"
    path.write_text("input: 'a' input_shape { dim: 2 } layer { type: 'MineLoss' bottom: 'a' }")
    net = converter.load(path, layers=tmp_path / "own_loss.py")
    assert net({"a": torch.tensor([1.0, 5])}) == {"(automatic)": 6}
    assert net.loss({"a": torch.tensor([1.0, 5])}) == 6


# ---- One load's layers are not another's --------------------------------------------------------

RELU = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 } } }
layer { name: "y" type: "ReLU" bottom: "x" top: "y" }
"""

ANSWER = """
import torch
from caffe_layers import Layer

class Answer(Layer, type="ReLU", fork="answers"):
    def shapes(self, x): return [x]
    def forward(self, x): return torch.full_like(x, {answer})
    def onnx(self, op, x): return op.Add(op.Mul(x, op.scalar(0.0), name="no"), op.scalar({answer}))
"""


def write(folder: Path, **files: str) -> Path:
    """Write files; the names' last underscore stands for a dot."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / ".".join(name.rsplit("_", 1))).write_text(text)
    return folder


def answer(net: converter.CaffeNet) -> float:
    return float(net(torch.tensor([-3.0, 5.0]))["y"][1])


def test_a_later_load_is_not_changed(tmp_path):
    write(tmp_path, net_prototxt=RELU, answers_py=ANSWER.format(answer=42.0))
    path = tmp_path / "net.prototxt"
    before = {kind: dict(readings) for kind, readings in LAYERS.items()}
    assert answer(converter.load(path)) == 5
    own = converter.load(path, layers=tmp_path / "answers.py")
    assert answer(own) == 42
    assert answer(converter.load(path)) == 5
    assert before == LAYERS
    # The network that has them keeps them.
    assert answer(own.optimize()) == 42
    converter.export_onnx(own, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert session.run(["y"], {"x": np.float32([1, 2])})[0].tolist() == [42, 42]
    converter.save_caffemodel(own, tmp_path / "net.caffemodel")
    assert answer(converter.load(own.definition, layers=tmp_path / "answers.py")) == 42
    assert answer(converter.load(own.definition)) == 5


def test_its_schema_is_not_another_load_s(example):
    own = converter.load(example / "net.prototxt", layers=example / "my_layers.py")
    with pytest.raises(FormatError, match="LayerParameter has no field 'soft_gate_param'"):
        converter.load(example / "net.prototxt")
    with pytest.raises(UnsupportedError, match="layer type 'SoftGate' is unknown"):
        converter.load(own.definition)
    assert "my_layers" not in SHIPPED.names
    assert converter.preprocess(own.optimize(), mean="1,2,3")  # reads the definition once more
    copied = pickle.loads(pickle.dumps(own))
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(copied(x)["prob"], own(x)["prob"])


def test_a_network_that_was_read_without_it_may_be_loaded_with_it(example, tmp_path):
    """Its layer is then BVLC's message, which has none of the parameters."""
    path = tmp_path / "net.prototxt"
    text = (example / "net.prototxt").read_text()
    path.write_text(re.sub(r"soft_gate_param \{.*\}", "", text))
    net = converter.load(read_net(path), layers=example / "my_layers.py")
    assert net.layers["gate"].sharpness == 1
    assert net.definition.schema.is_known("my_layers")


def test_deploy_knows_that_it_learns(example, tmp_path):
    """A head whose only learned layer is the user's makes an output beside another's."""
    path = tmp_path / "net.prototxt"
    path.write_text("""
layer { name: "data" type: "Input" top: "data" top: "label" input_param {
  shape { dim: 1 dim: 3 dim: 4 dim: 4 } shape { dim: 1 dim: 3 dim: 4 dim: 4 } } }
layer { name: "gate" type: "SoftGate" bottom: "data" top: "gate" }
layer { name: "one" type: "EuclideanLoss" bottom: "gate" bottom: "label" top: "one" }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 3 kernel_size: 1 } }
layer { name: "two" type: "EuclideanLoss" bottom: "conv" bottom: "label" top: "two" }
""")
    net = converter.load(path, layers=example / "my_layers.py", deploy=True)
    assert net(torch.ones(1, 3, 4, 4)).keys() == {"gate", "conv"}


PYTHON = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 } } }
layer {
  name: "y" type: "Python" bottom: "x" top: "y" python_param { module: "mine" layer: "Answer" }
}
"""
REGISTERED = """
import torch
from caffe_layers import Layer, register_python

@register_python("mine", "Answer")
class Answer(Layer):
    def shapes(self, x): return [x]
    def forward(self, x): return torch.full_like(x, {answer})
"""


def test_python_layers_are_one_load_s_too(tmp_path):
    for number in (1.0, 2.0):
        folder = write(tmp_path / f"{number:g}", python_py=REGISTERED.format(answer=number))
        path = write(folder, net_prototxt=PYTHON) / "net.prototxt"
        assert answer(converter.load(path, layers=folder / "python.py")) == number
        with pytest.raises(UnsupportedError, match=r"mine\.Answer is Python code"):
            converter.load(path)
    both = [tmp_path / "1" / "python.py", tmp_path / "2" / "python.py"]
    with pytest.raises(UnsupportedError, match=r"mine\.Answer is taken by <class"):
        converter.load(path, layers=both)


def test_the_pages_python_layer_has_two_names(tmp_path):
    _, own = (text for kind, text in blocks() if kind == "python")
    for module in ("pylayers", "pylayers_v2"):
        net = PYTHON.replace('"mine" layer: "Answer"', f'"{module}" layer: "ShiftLayer"')
        net = net.replace('"ShiftLayer"', '"ShiftLayer" param_str: "2.5"')
        folder = write(tmp_path / module, net_prototxt=net, own_py=own)
        path = folder / "net.prototxt"
        loaded = converter.load(path, layers=folder / "own.py")
        assert loaded(torch.tensor([1.0, 2.0]))["y"].tolist() == [3.5, 4.5]
        said = commanded(folder, "convert", "net.prototxt", "--layers", "own.py", "-o", "out")
        assert said.returncode == 0, said.stderr


def test_a_python_layer_of_the_users_is_meant_before_a_shipped_one(tmp_path):
    own = REGISTERED.format(answer=7.0).replace('"mine", "Answer"', '"norm2layer", "Norm2Layer"')
    net = PYTHON.replace('"mine" layer: "Answer"', '"norm2layer" layer: "Norm2Layer"')
    write(tmp_path, net_prototxt=net.replace("dim: 2", "dim: 1 dim: 2"), own_py=own)
    path = tmp_path / "net.prototxt"
    x = torch.tensor([[3.0, 4.0]])
    assert converter.load(path)(x)["y"].tolist() == [[0.6000000238418579, 0.800000011920929]]
    assert converter.load(path, layers=tmp_path / "own.py")(x)["y"].tolist() == [[7.0, 7.0]]


def test_a_file_is_loaded_again_and_as_it_is_now(tmp_path):
    write(tmp_path, net_prototxt=RELU, answers_py=ANSWER.format(answer=42.0))
    path, layers = tmp_path / "net.prototxt", tmp_path / "answers.py"
    first, again = (converter.load(path, layers=layers) for _ in range(2))
    assert type(first.layers["y"]) is type(again.layers["y"])
    assert answer(converter.load(path, layers=[layers, str(layers)])) == 42
    write(tmp_path, answers_py=ANSWER.format(answer=43.0))  # as long, and of the same second
    changed = converter.load(path, layers=layers)
    assert [answer(net) for net in (first, again, changed)] == [42, 42, 43]
    for net in (first, changed):  # pickle finds both classes
        assert answer(pickle.loads(pickle.dumps(net))) == answer(net)


def test_a_schema_is_read_as_it_is_now(example, tmp_path):
    for name in FILES.values():
        (tmp_path / name).write_text((example / name).read_text())
    path, layers = tmp_path / "net.prototxt", tmp_path / "my_layers.py"
    proto = tmp_path / "my_layers.proto"
    assert converter.load(path, layers=layers).layers["gate"].sharpness == 2.5
    path.write_text(path.read_text().replace("sharpness: 2.5", ""))
    proto.write_text(proto.read_text().replace("[default = 1]", "[default = 7]"))
    assert converter.load(path, layers=layers).layers["gate"].sharpness == 7


def test_a_repaired_file_is_loaded(tmp_path):
    write(tmp_path, net_prototxt=RELU, mended_py="import not_there\n")
    path, layers = tmp_path / "net.prototxt", tmp_path / "mended.py"
    with pytest.raises(UnsupportedError, match="not_there"):
        converter.load(path, layers=layers)
    write(tmp_path, mended_py=ANSWER.format(answer=42.0))
    repaired = converter.load(path, layers=layers)
    assert answer(repaired) == 42
    assert type(repaired.layers["y"]).__module__ == "mended"  # as it would be imported


def test_two_files_of_one_name_type_and_fork(tmp_path):
    nets = []
    for number in (1.0, 2.0):
        folder = write(tmp_path / f"{number:g}", answers_py=ANSWER.format(answer=number))
        path = write(folder, net_prototxt=RELU) / "net.prototxt"
        nets.append(converter.load(path, layers=folder / "answers.py"))
    assert [answer(net) for net in nets] == [1, 2]
    both = [tmp_path / "1" / "answers.py", tmp_path / "2" / "answers.py"]
    with pytest.raises(UnsupportedError, match="answers's 'ReLU' is taken by"):
        converter.load(path, layers=both)


def test_files_share_what_they_import(tmp_path, monkeypatch):
    """A module that both import runs once, and its layers are those of either file's load."""
    monkeypatch.syspath_prepend(tmp_path)
    write(
        tmp_path,
        net_prototxt=RELU,
        shared_by_both_py=ANSWER.format(answer=42.0),
        one_py="from shared_by_both import Answer\n",
        other_py="from shared_by_both import Answer\nMORE = []\n",
    )
    path = tmp_path / "net.prototxt"
    for name in ("one", "other", "one"):
        assert answer(converter.load(path, layers=tmp_path / f"{name}.py")) == 42
    both = [tmp_path / "one.py", tmp_path / "other.py"]
    assert answer(converter.load(path, layers=both)) == 42
    assert answer(converter.load(path)) == 5


def test_two_threads_load_at_once(tmp_path):
    """Each has its own layers and its own schema, under one name."""
    proto = """
    message LayerParameter {{ optional TwoParameter two_param = 4712 [(type) = "Two"]; }}
    message TwoParameter {{ optional float {field} = 1 [default = {number}]; }}
    """
    python = """
    import time, torch
    from caffe_layers import Layer

    time.sleep(0.01)  # lets the others in

    class Two(Layer, type="Two", fork="threads"):
        def __init__(self, value):
            super().__init__()
            self.value = value

        @classmethod
        def from_caffe(cls, layer, bottoms): return cls(layer.two_param.{field})
        def shapes(self, x): return [x]
        def forward(self, x): return torch.full_like(x, self.value + {number})
    """
    text = RELU.replace('"ReLU"', '"Two" two_param {{ {field}: {number} }}')
    count, times = 4, 5
    folders = []
    for number in range(count):
        how = {"field": f"field_{number}", "number": number}
        folder = write(
            tmp_path / str(number),
            threads_py=dedent(python).format(**how),
            threads_proto=proto.format(**how),
            net_prototxt=text.replace("{ shape { dim: 2 } }", "{{ shape {{ dim: 2 }} }}")
            .replace("layer {", "layer {{")
            .replace("}\n", "}}\n")
            .format(**how),
        )
        folders.append(folder)
    start = Barrier(count)

    def work(folder: Path) -> list[float]:
        start.wait()
        path, layers = folder / "net.prototxt", folder / "threads.py"
        return [answer(converter.load(path, layers=layers)) for _ in range(times)]

    with ThreadPoolExecutor(count) as pool:
        results = list(pool.map(work, folders))
    assert results == [[2.0 * number] * times for number in range(count)]

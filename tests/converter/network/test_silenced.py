"""Networks of which nothing comes out but into Silence."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import torch

import converter
from converter.__main__ import main
from converter.training.testing import outputs_of
from tests.support.recorded import assert_close

INPUT = 'layer { name: "data" type: "Input" top: "x" input_param { shape { dim: [1, 3, 4, 4] } } }'
CONV = """layer { name: "%s" type: "Convolution" bottom: "x" top: "%s"
  convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "xavier" } } }"""
SILENCE = 'layer { name: "quiet" type: "Silence" bottom: "a" bottom: "b" }'
SAID = "nothing comes out of the network by itself: its outputs are what it silences, 'a', 'b'"


def write(folder: Path, *layers: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text("\n".join([INPUT, CONV % ("b", "b"), CONV % ("a", "a"), *layers]))
    return path


def test_what_is_silenced_comes_out(tmp_path):
    net = converter.load(write(tmp_path, SILENCE))
    assert net.notes == [SAID]
    x = torch.rand(1, 3, 4, 4)
    tops = net(x)
    assert list(tops) == ["a", "b"]
    converter.export_onnx(net, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    for name, got in zip("ab", session.run(["a", "b"], {"x": x.numpy()}), strict=True):
        assert_close(got, tops[name].detach().numpy(), name, 1e-5)


def test_caffe_shows_no_silenced_output_of_a_test(tmp_path):
    net = converter.load(write(tmp_path, SILENCE))
    fed = net.feed(torch.rand(1, 3, 4, 4))
    plan = net.plan(fed)
    assert plan.silenced
    assert outputs_of(plan, net.run(fed, plan)).values == {}


def test_silence_stays_silent_beside_an_output(tmp_path):
    net = converter.load(write(tmp_path, SILENCE.replace('bottom: "a"', "")))
    assert list(net(torch.rand(1, 3, 4, 4))) == ["a"]
    assert net.notes == []


def test_convert_and_deploy_take_it(tmp_path, capsys):
    net = write(tmp_path, SILENCE)
    assert main(["convert", str(net), "-o", str(tmp_path / "out")]) == 0
    assert f"note: {SAID}" in capsys.readouterr().out
    deployed = converter.load(net, deploy=True)
    assert list(deployed(torch.rand(1, 3, 4, 4))) == ["a", "b"]


def test_what_is_fed_for_silence_alone_is_no_input_of_a_file(tmp_path):
    """As the labels of networks in testing: nothing is computed of them."""
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "data" input_shape { dim: 1 dim: 3 } input: "label" input_shape { dim: 1 }\n'
        'layer { name: "relu" type: "ReLU" bottom: "data" top: "y" }\n'
        'layer { name: "silence" type: "Silence" bottom: "label" }\n'
    )
    net = converter.load(path)
    assert list(net.exported().inputs) == ["data"]
    report = converter.convert(path, None, tmp_path / "out", formats=["onnx"])
    assert report.passed
    session = onnxruntime.InferenceSession(tmp_path / "out" / "net.onnx")
    assert [info.name for info in session.get_inputs()] == ["data"]

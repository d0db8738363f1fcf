"""Networks cut by `skip`, `end` and the shapes of what unknown layers would make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from converter.__main__ import main
from prototxt import ShapeError, UsageError

DATA = """layer { name: "photos" type: "ImageData" top: "data" top: "label"
  transform_param { scale: 0.5 crop_size: 6 }
  image_data_param { source: "no_such_list" batch_size: 2 } }
"""
BODY = """layer { name: "c1" type: "Convolution" bottom: "data" top: "c1"
  convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "c1" top: "n1" }
layer { name: "relu" type: "ReLU" bottom: "n1" top: "n1" }
layer { name: "foreign" type: "WeirdNorm" bottom: "n1" top: "w1" }
layer { name: "c2" type: "Convolution" bottom: "w1" top: "c2"
  convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "xavier" } } }
"""
HEAD = 'layer { name: "loss" type: "WeirdLoss" bottom: "c2" bottom: "label" top: "loss" }\n'
SHAPE = {"data": (2, 3, 6, 6)}


def write(folder: Path, *parts: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text("".join(parts))
    return path


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write(tmp_path, DATA, BODY, HEAD)


def test_skip_and_end_let_an_unknown_network_run(net: Path) -> None:
    loaded = converter.load(net, skip=["foreign"], end=["c2"], input_shapes=SHAPE)
    assert loaded.inputs == ["data"]
    x = torch.rand(2, 3, 6, 6)
    top = loaded(x)
    assert list(top) == ["c2"]
    values = loaded.blobs(x)
    want = torch.nn.functional.conv2d(values["n1"], *loaded.params["c2"])
    torch.testing.assert_close(top["c2"], want)
    assert loaded.notes == [
        "--skip left out layer 'foreign' (WeirdNorm), as the identity: what read 'w1' reads 'n1'",
        "--end ended the network at 'c2', and left out layer 'loss' (WeirdLoss)",
        "no layer reads 'label' any more, so it is not fed: the input 'data' in the place of "
        "layer 'photos' (ImageData), which also did this to what it read: scale 0.5; crop to 6",
    ]


def test_outputs_are_the_blobs_named_also_where_layers_read_them(net: Path) -> None:
    loaded = converter.load(net, skip=["foreign"], end=["c2", "c1"], input_shapes=SHAPE)
    x = torch.rand(2, 3, 6, 6)
    top = loaded(x)
    assert list(top) == ["c1", "c2"]
    optimized = loaded.optimize()
    assert optimized.notes[-1] != loaded.notes[-1]
    for name, got in optimized(x).items():
        torch.testing.assert_close(got, top[name], rtol=1e-4, atol=1e-5)
    assert list(optimized(x)) == ["c1", "c2"]
    identities = converter.load(net, end=["w1"], skip=["relu"], input_shapes={"w1": (1, 2)})
    assert identities.inputs == ["w1"]


def test_a_named_identity_stays_when_a_network_is_optimized(tmp_path: Path) -> None:
    drop = """layer { name: "drop" type: "Dropout" bottom: "c1" top: "d1" }
    layer { name: "p" type: "Power" bottom: "d1" top: "p1" }"""
    path = write(tmp_path, DATA, BODY.splitlines()[0], BODY.splitlines()[1], drop)
    loaded = converter.load(path, end=["d1", "p1"], input_shapes=SHAPE)
    x = torch.rand(2, 3, 6, 6)
    assert list(loaded.optimize()(x)) == list(loaded(x)) == ["d1", "p1"]


def test_the_last_version_in_place_comes_out(net: Path) -> None:
    loaded = converter.load(net, end=["n1"], input_shapes=SHAPE)
    x = torch.rand(2, 3, 6, 6)
    assert [step.key for step in loaded.steps] == ["photos", "c1", "bn", "relu"]
    assert loaded(x)["n1"].min() == 0


def test_exported_models_end_there_too(net: Path, tmp_path: Path) -> None:
    loaded = converter.load(net, skip=["foreign"], end=["c1", "c2"], input_shapes=SHAPE)
    converter.export_onnx(loaded, tmp_path / "net.onnx", fold_bn=True)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert [one.name for one in session.get_outputs()] == ["c1", "c2"]
    x = torch.rand(2, 3, 6, 6)
    for name, got in zip(("c1", "c2"), session.run(None, {"data": x.numpy()}), strict=True):
        np.testing.assert_allclose(got, loaded(x)[name].detach(), rtol=1e-4, atol=1e-5)


def test_a_caffemodel_ends_there_and_says_what_it_cannot(net: Path, tmp_path: Path) -> None:
    report = converter.convert(
        net,
        None,
        tmp_path / "out",
        formats=["caffemodel"],
        skip=["foreign"],
        end=["c1", "c2"],
        input_shapes=SHAPE,
    )
    assert "net.caffemodel: 'c1' is no output there, for layers read it" in report.notes
    again = converter.load(tmp_path / "out" / "net.caffemodel")
    assert list(again(torch.rand(2, 3, 6, 6))) == ["c2"]


def test_an_unknown_layers_top_becomes_an_input(net: Path) -> None:
    loaded = converter.load(net, end=["c2"], input_shapes={"w1": (1, 4, 5, 5)})
    assert loaded.input_shapes == {"w1": (1, 4, 5, 5)}
    assert loaded.shapes() == {"w1": (1, 4, 5, 5), "c2": (1, 2, 5, 5)}
    assert loaded.notes[-2:] == [
        "the input 'w1', of the shape that is given, is in the place of layer 'foreign' "
        "(WeirdNorm)",
        "left out, for only that needed it: layer 'photos' (Input), layer 'c1' (Convolution), "
        "layer 'bn' (BatchNorm), layer 'relu' (ReLU)",
    ]


def test_what_others_need_of_the_way_to_it_stays(tmp_path: Path) -> None:
    both = """layer { name: "sum" type: "Eltwise" bottom: "c1" bottom: "w1" top: "sum" }
    layer { name: "quiet" type: "Silence" bottom: "label" }"""
    loaded = converter.load(
        write(tmp_path, DATA, BODY, both), input_shapes={**SHAPE, "label": (2,), "w1": (2, 3, 4, 4)}
    )
    assert [step.key for step in loaded.steps] == ["photos", "c1", "foreign", "c2", "sum", "quiet"]
    assert list(loaded.shapes()) == ["data", "label", "w1", "c1", "c2", "sum"]


def test_a_layer_that_is_known_and_refused_can_be_fed(tmp_path: Path) -> None:
    crf = """layer { name: "labels" type: "BiasChannel" bottom: "c1" bottom: "c1" top: "w" }
    layer { name: "p" type: "Power" bottom: "w" top: "p" }"""
    path = write(tmp_path, DATA, *BODY.splitlines()[:2], crf)
    loaded = converter.load(path, input_shapes={"w": (1, 7)}, dialect="deeplab")
    assert loaded.shapes() == {"w": (1, 7), "p": (1, 7)}


def test_a_python_layers_top_becomes_an_input(tmp_path: Path) -> None:
    rois = """layer { name: "rois" type: "Python" bottom: "c1" top: "rois"
      python_param { module: "my" layer: "Rois" } }
    layer { name: "p" type: "Power" bottom: "rois" top: "p" }
    layer { name: "q" type: "Power" bottom: "c1" top: "q" }"""
    path = write(tmp_path, DATA, *BODY.splitlines()[:2], rois)
    given = {**SHAPE, "label": (2,), "rois": (7, 5)}
    assert converter.load(path, input_shapes=given).shapes()["p"] == (7, 5)


def test_all_that_is_read_of_a_layer_has_to_be_given(tmp_path: Path) -> None:
    two = """layer { name: "two" type: "Weird" bottom: "c1" top: "u" top: "v" top: "w" }
    layer { name: "sum" type: "Eltwise" bottom: "u" bottom: "v" top: "sum" }"""
    path = write(tmp_path, DATA, *BODY.splitlines()[:2], two)
    with pytest.raises(UsageError) as caught:
        converter.load(path, input_shapes={"u": (1, 2)})
    assert str(caught.value) == (
        f"{path}:4: layer 'two' (Weird): 'u' is fed, and not 'v', which comes out or is read too\n"
        "  fix: --input-shape v=..."
    )
    with pytest.raises(UsageError, match="'u' is fed, and not 'w', which comes out or is read too"):
        converter.load(path, input_shapes={"u": (1, 2)}, end=["w"])
    loaded = converter.load(path, input_shapes={"u": (1, 2), "v": (1, 2)})
    assert loaded.inputs == ["u", "v"]


def test_a_top_in_place_cannot_be_fed(tmp_path: Path) -> None:
    path = write(tmp_path, DATA, BODY.replace('top: "w1"', 'top: "n1"').replace('"w1"', '"n1"'))
    with pytest.raises(UsageError, match=r"'n1' is its bottom too.*\n.*--skip foreign if"):
        converter.load(path, input_shapes={"n1": (1, 2)})


def test_a_known_layers_top_is_no_input(net: Path) -> None:
    with pytest.raises(ShapeError, match=r"'c1' is no input\n  fix: the inputs are data"):
        converter.load(net, skip=["foreign"], end=["c2"], input_shapes={**SHAPE, "c1": (1, 2)})


def test_deploy_ends_where_it_is_told(net: Path) -> None:
    loaded = converter.load(
        net, deploy=True, skip=["foreign"], end=["c1", "c2"], input_shapes=SHAPE
    )
    assert list(loaded(torch.rand(2, 3, 6, 6))) == ["c1", "c2"]


def test_deploy_keeps_an_end_that_learns_nothing(tmp_path: Path) -> None:
    pool = """layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"
      pooling_param { kernel_size: 2 stride: 2 } }"""
    path = write(tmp_path, DATA, *BODY.splitlines()[:2], pool)
    loaded = converter.load(path, deploy=True, end=["pool", "c1"], input_shapes=SHAPE)
    assert list(loaded(torch.rand(2, 3, 6, 6))) == ["c1", "pool"]


def test_every_command_that_reads_a_network_takes_them(net: Path, tmp_path: Path, capsys) -> None:
    cut = ["--skip", "foreign", "--end", "c1,c2", "--input-shape", "data=2,3,6,6"]
    npz = tmp_path / "blobs.npz"
    for words in (
        ["show"],
        ["check"],
        ["verify"],
        ["bench", "--batch", "1", "--rounds", "1"],
        ["draw", "-o", str(tmp_path / "net.svg")],
        ["run", "--output", str(npz)],
        ["convert", "-o", str(tmp_path / "out")],
    ):
        assert main([words[0], str(net), *cut, *words[1:]]) == 0, words
        said = capsys.readouterr().out
        if words[0] in ("show", "check", "verify", "convert"):
            assert "note: --skip left out layer 'foreign'" in said, words
            assert "note: --end ended the network at 'c1', 'c2'" in said, words
    assert set(np.load(npz)) == {"data", "c1", "n1", "c2"}
    report = (tmp_path / "out" / "report.md").read_text()
    assert "* --skip left out layer 'foreign'" in report
    assert "* --end ended the network at 'c1', 'c2'" in report


def test_a_misspelt_name_is_refused_with_the_nearest(net: Path, capsys) -> None:
    assert main(["show", str(net), "--end", "c3", "--skip", "foreign"]) == 1
    assert (
        "no layer makes a blob 'c3' to end at\n  fix: did you mean 'c2'?" in capsys.readouterr().err
    )

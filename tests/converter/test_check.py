"""What `check` says of networks that are supported, in part or not at all."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import converter
from converter.__main__ import main
from converter.check import UNSEEN, check
from prototxt import UnsupportedError

INPUT = 'layer { name: "data" type: "Input" top: "x" input_param { shape { dim: [2, 3, 8, 9] } } }'
CONV = """layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
  convolution_param { num_output: 4 kernel_size: 3 } }"""
WARP = 'layer { name: "warp" type: "Frob" bottom: "x" top: "z" }'
RELU = 'layer { name: "relu" type: "ReLU" bottom: "%s" top: "%s" }'


def write(folder: Path, *layers: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text("\n".join(layers))
    return path


def test_supported_network_passes(tmp_path, capsys):
    net = write(tmp_path, INPUT, CONV, RELU % ("y", "y"))
    assert main(["check", str(net)]) == 0
    assert capsys.readouterr().out == (
        "layer type   layers  torch  ONNX\n"
        "Input        1       yes    yes\n"
        "Convolution  1       yes    yes\n"
        "ReLU         1       yes    yes\n"
    )


def test_unknown_type_is_named_and_what_follows_is_not_judged(tmp_path, capsys):
    net = write(
        tmp_path,
        INPUT,
        WARP,
        WARP.replace('"warp"', '"warp2"').replace('"z"', '"w"'),
        RELU % ("x", "x"),
        (RELU % ("z", "z")).replace('"relu"', '"relu2"'),
    )
    assert main(["check", str(net)]) == 1
    with pytest.raises(UnsupportedError) as caught:
        converter.load(net)
    reason = str(caught.value).partition("(Frob): ")[2]
    assert capsys.readouterr().out == (
        "layer type  layers  torch   ONNX\n"
        "Input       1       yes     yes\n"
        "Frob        2       no      no\n"
        "ReLU        2       1 of 2  1 of 2\n"
        f"layer 'warp' and 1 more (Frob): {reason}\n"
        "not looked at, for want of what the layers above would make: 1\n"
        "unknown type Frob: 2 times, line 2, line 3\n"
    )
    assert [verdict.torch == UNSEEN for verdict in check(net).verdicts] == [0, 0, 0, 0, 1]


def test_what_only_torch_can_do_is_told_apart(tmp_path, capsys):
    stochastic = """layer { name: "pool" type: "Pooling" bottom: "x" top: "y"
      pooling_param { pool: STOCHASTIC kernel_size: 3 } }"""
    net = write(tmp_path, INPUT, stochastic)
    assert check(net).passed
    found = check(net, phase="TRAIN")
    assert [verdict.torch for verdict in found.verdicts] == ["", ""]
    assert not found.passed
    assert main(["check", str(net), "--phase", "TRAIN"]) == 1
    out = capsys.readouterr().out
    assert "Pooling     1       yes    no\n" in out
    assert "layer 'pool' (Pooling): ONNX: " in out


def test_unknown_fields_are_all_listed(tmp_path, capsys):
    net = write(tmp_path, INPUT, "layer { name: 'a' type: 'ReLU' bottom: 'x' top: 'y' odd: 1", "}")
    net.write_text(net.read_text() + "\nstrange: 2")
    assert main(["check", str(net)]) == 1
    out = capsys.readouterr().out
    assert "unknown field LayerParameter.odd: once, line 2\n" in out
    assert "unknown field NetParameter.strange: once, line 4\n" in out
    assert main(["check", str(net), "--allow-unknown"]) == 0
    assert "unknown field" not in capsys.readouterr().out


def test_weights_that_do_not_fit_are_a_problem(tmp_path, capsys):
    net = write(tmp_path, INPUT, CONV)
    model = tmp_path / "net.caffemodel"
    converter.save_caffemodel(converter.load(net), model)
    assert main(["check", str(net), str(model)]) == 0
    net.write_text(net.read_text().replace("num_output: 4", "num_output: 5"))
    capsys.readouterr()
    assert main(["check", str(net), str(model)]) == 1
    assert "blob 'weight' is (4, 3, 3, 3), wants (5, 3, 3, 3)" in capsys.readouterr().out
    assert main(["check", str(net), str(model), "--ignore", "conv"]) == 0


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (RELU % ("q", "y"), "layer 'relu' (ReLU): bottom 'q' is no layer's top"),
        (CONV.replace("3 }", "30 }"), "layer 'conv' (Convolution): "),
        (RELU % ("x", "x") * 1 + CONV + CONV.replace("conv", "c2", 1), "already the top of"),
    ],
)
def test_what_does_not_fit_together_is_said(layer, said, tmp_path, capsys):
    assert main(["check", str(write(tmp_path, INPUT, layer))]) == 1
    assert said in capsys.readouterr().out


def test_shape_that_the_file_does_not_say(tmp_path, capsys):
    data = """layer { name: "images" type: "Data" top: "x" top: "label"
      data_param { source: "lmdb" batch_size: 4 } }"""
    net = write(tmp_path, data, CONV)
    assert main(["check", str(net)]) == 1
    assert (
        "layer 'images' (Data): the file does not say the shape of 'x'" in capsys.readouterr().out
    )
    assert main(["check", str(net), "--input-shape", "x=4,3,8,8"]) == 0


def test_file_that_cannot_be_read_is_one_message(tmp_path, capsys):
    net = write(tmp_path, "layer {")
    assert main(["check", str(net)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"caffeport: {net}:1:")


def test_network_that_only_one_batch_fits_is_told(tmp_path, capsys):
    reshape = """layer { name: "fixed" type: "Reshape" bottom: "x" top: "y"
      reshape_param { shape { dim: [2, 216] } } }"""
    net = write(tmp_path, INPUT, reshape)
    found = check(net)
    assert not any(verdict.torch or verdict.onnx for verdict in found.verdicts)
    (note,) = found.notes
    assert note.startswith(
        "note: the batch of an ONNX model is fixed, since a free one fails: with"
    )
    assert found.passed
    assert main(["check", str(net)]) == 0
    assert capsys.readouterr().out.endswith(f"\n{note}\n")
    converter.convert(net, None, tmp_path / "out")


def test_every_file_is_opened_once(tmp_path, monkeypatch):
    net = write(tmp_path, INPUT, CONV, RELU % ("y", "y"))
    model = tmp_path / "net.caffemodel"
    converter.save_caffemodel(converter.load(net), model)
    read = import_module("prototxt.read")
    opened: list[str] = []
    open_file = read.open_file

    def counted(path, **options):
        opened.append(Path(path).name)
        return open_file(path, **options)

    monkeypatch.setattr(read, "open_file", counted)
    assert check(net, model).passed
    assert opened == ["net.prototxt", "net.caffemodel"]
    opened.clear()
    assert check(model).passed
    assert opened == ["net.caffemodel"]


EVERYTHING = """
layer { name: "data" type: "ImageData" top: "x" top: "label"
  image_data_param { source: "no/list.txt" batch_size: 2 new_height: 8 new_width: 9 }
  transform_param { mean_file: "no/mean.binaryproto" } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 4 kernel_size: ${K} dilatation: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "x" top: "c2"
  convolution_param { num_output: 4 kernel_size: 3 dilatation: 2 } }
layer { name: "w1" type: "Frob" bottom: "x" top: "w1" frob_param { stride: 2 } pooling_param {
  pool: AVE } }
layer { name: "w2" type: "Frob" bottom: "c" top: "w2" }
layer { name: "py" type: "Python" bottom: "w1" top: "q"
  python_param { module: "mine" layer: "Head" } }
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc"
  inner_product_param { num_output: ten } }
"""


def test_everything_that_stands_in_the_way_is_listed_at_once(tmp_path, capsys):
    assert main(["check", str(write(tmp_path, EVERYTHING))]) == 1
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.partition("unknown type")[1:] == (
        "unknown type",
        " Frob: 2 times, line 9, line 11; sets pooling_param.pool, frob_param\n"
        "unknown field LayerParameter.frob_param: once, line 9\n"
        "Python layer mine.Head: once, line 12\n"
        "ten where a whole number belongs: once, line 15\n",
    )
    for line in (
        "missing file 'no/list.txt': once, line 2",
        "missing file 'no/mean.binaryproto': once, line 2",
        "placeholder ${K}: once, line 6",
        "unknown field ConvolutionParameter.dilatation: 2 times, line 6, line 8",
    ):
        assert f"{line}\n" in printed.out


def test_a_thing_in_many_places_names_the_first(tmp_path, capsys):
    warps = [WARP.replace('"warp"', f'"warp{at}"') for at in range(11)]
    main(["check", str(write(tmp_path, INPUT, *warps))])
    lines = ", ".join(f"line {at}" for at in range(2, 10))
    assert f"unknown type Frob: 11 times, {lines} and 3 more\n" in capsys.readouterr().out


MIXES = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [1, 2, 4, 4] } } }
layer { name: "r" type: "Reshape" bottom: "x" top: "y"
  reshape_param { shape { dim: 1 dim: -1 dim: 4 } } }"""


def test_it_judges_by_what_convert_is_asked_for(tmp_path, capsys):
    net, out = tmp_path / "net.prototxt", ["-o", str(tmp_path / "out"), "--format", "onnx"]
    net.write_text(MIXES)
    for words in ([], ["--dynamic", "none"], ["--dynamic", "batch"]):
        assert main(["check", str(net), *words]) == 0
        checked = capsys.readouterr()
        assert main(["convert", str(net), *out, *words]) == 0
        converted = capsys.readouterr()
        said = "layer 'r' (Reshape): it puts all images into one"
        assert (said in checked.out) == (words != ["--dynamic", "none"])
        assert (said in converted.out + converted.err) == (said in checked.out)
    assert main(["check", str(net), "--softmax", "--with-losses", "--opset", "13"]) == 0


def test_a_filler_that_nobody_knows_is_said(tmp_path):
    (tmp_path / "net.prototxt").write_text("""
    layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 3] } } }
    layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y"
            inner_product_param { num_output: 2 weight_filler { type: "xaver" } } }""")
    said = "filler type 'xaver': `convert` wants weights"
    checked = check(tmp_path / "net.prototxt")
    assert checked.passed
    assert checked.notes[-1].endswith(said)


def test_a_network_of_an_input_alone_has_no_losses_to_keep(tmp_path):
    (tmp_path / "net.prototxt").write_text("""
    layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 3] } } }
    layer { name: "r" type: "ReLU" bottom: "x" top: "y" include { phase: TRAIN } }""")
    (problem,) = check(tmp_path / "net.prototxt").problems
    assert problem == "nothing is left to export: no layer makes an output"

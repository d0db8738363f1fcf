"""Many networks in one go, and their names beside each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import converter
from converter.__main__ import main
from converter.conversions import Model, models_of, read_list
from prototxt import FormatError, UsageError

NET = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
"""
BAD = 'layer { name: "z" type: "Frob" bottom: "y" top: "z" }'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("a", NET), ("b", NET), ("bad", NET + BAD)):
        Path(f"{name}.prototxt").write_text(text)
    converter.save_caffemodel(converter.load("a.prototxt"), "a.caffemodel")
    return tmp_path


def test_weights_are_those_of_the_definition_before_them():
    words = ["a.prototxt", "a.caffemodel,more.h5", "b.prototxt", "c.caffemodel", "d.caffemodel"]
    assert models_of(words) == [
        Model("a.prototxt", "a.caffemodel,more.h5", "a"),
        Model("b.prototxt", "c.caffemodel", "b"),
        Model("d.caffemodel", None, "d"),
    ]


def test_names_that_are_alike_get_their_folders():
    words = ["x/deploy.prototxt", "y/deploy.prototxt", "z.prototxt"]
    assert [model.name for model in models_of(words)] == ["x-deploy", "y-deploy", "z"]
    with pytest.raises(UsageError, match="several networks would be written as 'x-deploy'"):
        models_of(["x/deploy.prototxt", "1/x/deploy.prototxt"])


def test_a_list(folder):
    Path("lists").mkdir()
    Path("lists/near.prototxt").write_text(NET)
    Path("lists/l.txt").write_text(
        '# networks\na.prototxt a.caffemodel\n\nb.prototxt - "second one"  # drawn\nnear.prototxt\n'
    )
    assert read_list("lists/l.txt") == [
        Model("a.prototxt", "a.caffemodel", "a"),
        Model("b.prototxt", None, "second one"),
        Model("lists/near.prototxt", None, "near"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [("a b c d\n", ":1: 4 words, wants"), ('\n"a\n', ":2: No closing"), ("# x\n", ": no line")],
)
def test_what_is_no_list(text, said, folder):
    Path("l.txt").write_text(text)
    with pytest.raises(FormatError, match=f"l.txt{said}"):
        read_list("l.txt")


def test_all_are_converted_whatever_becomes_of_one(folder, capsys):
    words = ["a.prototxt", "a.caffemodel", "bad.prototxt", "b.prototxt"]
    assert main(["convert", *words, "-o", "out", "--format", "onnx"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["a.prototxt", "a", "passed"],
        ["bad.prototxt", "bad", "failed"],
        ["b.prototxt", "b", "passed"],
    ]
    assert lines[4].startswith("bad.prototxt: bad.prototxt: layer 'z' (Frob): layer type 'Frob' is")
    assert lines[-1] == "wrote out/summary.json"
    summary = json.loads(Path("out/summary.json").read_text())
    assert [row["outcome"] for row in summary] == ["passed", "failed", "passed"]
    assert summary[0]["worst"] < 1e-4
    assert "Frob" in summary[1]["error"]
    assert {path.name for path in Path("out").iterdir()} == {
        *("a.onnx", "a.report.md", "a.report.json", "b.onnx", "b.report.md", "b.report.json"),
        "summary.json",
    }
    assert main(["convert", "a.prototxt", "b.prototxt", "-o", "2", "--quiet"]) == 0


def test_a_list_by_the_command(folder, capsys):
    Path("l.txt").write_text("a.prototxt a.caffemodel mine\n")
    assert main(["convert", "--from", "l.txt", "-o", "out"]) == 0
    assert Path("out/mine.onnx").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which network?"),
        (["a.prototxt", "--from", "l.txt"], "which network?"),
        (["a.prototxt", "b.prototxt", "--name", "x"], "--name is one network's"),
        (["a.prototxt", "--name", "x/y"], "name 'x/y' is no file's name"),
    ],
)
def test_wrong_usage(words, said, folder, capsys):
    assert main(["convert", *words, "-o", "out"]) == 1
    assert said in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_name_that_another_networks_files_have(folder, capsys):
    assert main(["convert", "a.prototxt", "-o", "out"]) == 0
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert main(["convert", "b.prototxt", "-o", "out", "--name", "a"]) == 1
    said = capsys.readouterr().err
    assert f"out holds the conversion of {folder / 'a.prototxt'}, whose a.onnx would be" in said
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before
    assert main(["convert", "b.prototxt", "-o", "out", "--name", "b"]) == 0
    assert main(["convert", "b.prototxt", "-o", "out", "--name", "b"]) == 0


def test_two_networks_in_one_folder(folder, capsys):
    assert main(["convert", "a.prototxt", "-o", "out"]) == 0
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert main(["convert", "b.prototxt", "-o", "out"]) == 1
    said = capsys.readouterr().err
    assert f"out holds the conversion of {folder / 'a.prototxt'}" in said
    assert "fix: write into another folder, or tell them apart with --name" in said
    assert before == {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert main(["convert", "b.prototxt", "-o", "out", "--name", "other"]) == 0
    assert "wrote out/other.report.md" in capsys.readouterr().out
    assert before == {name: Path("out", name).read_bytes() for name in before}
    names = {path.name for path in Path("out").iterdir()}
    assert {"other.onnx", "other.safetensors", "other.report.json"} <= names
    assert main(["convert", "a.prototxt", "-o", "out"]) == 0  # the same again


ZERO = NET.replace('weight_filler { type: "xavier" }', "")


def test_a_table_says_of_each_what_its_verification_does_not_show(folder, capsys):
    Path("zero.prototxt").write_text(ZERO)
    words = ["a.prototxt", "a.caffemodel", "zero.prototxt", "-o", "out"]
    assert main(["convert", *words]) == 0
    assert capsys.readouterr().out.splitlines()[3:-1] == [
        "zero.prototxt: every value that was compared is 0: this verification shows nothing",
        "zero.prototxt: no weights were given: the files hold fillers' values, and no model",
    ]
    first, second = json.loads(Path("out/summary.json").read_text())
    assert (len(first["caveats"]), len(second["caveats"])) == (0, 2)
    assert main(["convert", *words, "--no-verify"]) == 0
    assert "passed" not in capsys.readouterr().out
    assert json.loads(Path("out/summary.json").read_text())[0]["outcome"] == "written"


@pytest.mark.parametrize("command", ["convert", "verify"])
def test_what_a_verification_does_not_show_stands_last(command, folder, capsys):
    Path("zero.prototxt").write_text(ZERO)
    out = ["-o", "out"] if command == "convert" else []
    drawn = "no weights were given: the files hold fillers' values, and no model"
    nothing = "every value that was compared is 0: this verification shows nothing"
    for net, said in (("zero", [nothing, drawn]), ("b", [drawn])):
        assert main([command, f"{net}.prototxt", *[word.replace("out", net) for word in out]]) == 0
        assert capsys.readouterr().out.splitlines()[-len(said) :] == said
        if out:
            assert json.loads(Path(net, "report.json").read_text())["caveats"] == said
            assert said[0] in Path(net, "report.md").read_text()
    assert main([command, "a.prototxt", "a.caffemodel", *out]) == 0
    printed = capsys.readouterr().out
    assert drawn not in printed
    assert nothing not in printed


def test_json_of_check_and_show(folder, capsys):
    assert main(["check", "a.prototxt", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["passed"] is True
    assert [verdict["type"] for verdict in said["verdicts"]] == ["Input", "InnerProduct"]
    assert main(["check", "bad.prototxt", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["passed"] is False
    assert "Frob" in said["unknown"][0]
    assert main(["show", "a.prototxt", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["learnable"], said["multiply_adds"], said["dialect"]) == (16, 12, "bvlc")
    assert said["rows"][1]["tops"] == {"y": [2, 4]}
    assert main(["show", "bad.prototxt", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["rows"][2]["tops"] == {"z": None}
    assert "Frob" in said["unknown"][0]


def test_what_a_network_and_a_report_look_like(folder):
    net = converter.load("a.prototxt", "a.caffemodel")
    assert net.outputs == ["y"]
    assert "(fc): InnerProduct(weight 4x3, bias 4)" in repr(net)
    report = converter.verify(net)
    assert str(report) == report.text()

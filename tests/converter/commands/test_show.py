"""`show` of networks that are not all known: the table, what it lacks, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.__main__ import main

NET = """name: "tiny"
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 3, 8, 9] } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "warp" type: "Frob" bottom: "x" bottom: "c" top: "w" }
layer { name: "relu" type: "ReLU" bottom: "w" top: "w" }
layer { name: "warp2" type: "Frob" bottom: "x" bottom: "c" top: "w2" }
layer { name: "pool" type: "Pooling" bottom: "c" top: "p"
  pooling_param { pool: MAX kernel_size: 2 dilatation: 2 } }
layer { name: "prob" type: "Softmax" bottom: "c" top: "prob" }
"""


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("net.prototxt")
    path.write_text(NET)
    return path


def test_what_is_known_is_shown_and_the_rest_is_marked(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(net)]) == 1
    printed = capsys.readouterr()
    fix = "  fix: `caffeport layers` lists the types that are here; --layers adds your own; --end, "
    fix += "--skip and --input-shape do without it\n"
    assert printed.out == (
        "dialect: bvlc\n"
        "\n"
        "layer  type         top   shape    parameters  multiply-adds\n"
        "in     Input        x     2x3x8x9\n"
        "conv   Convolution  c     2x4x6x7         112          4,536\n"
        "warp   Frob         w     ?\n"
        "relu   ReLU         w     ?\n"
        "warp2  Frob         w2    ?\n"
        "pool   Pooling      p     ?\n"
        "prob   Softmax      prob  2x4x6x7\n"
        "\n"
        "tiny at x 2x3x8x9: 7 layers, 4 of them not known, 112 learnable parameters (112 blob "
        "values), 4.54 k multiply-adds a sample\n"
        f"layer 'warp' and 1 more (Frob): layer type 'Frob' is unknown\n{fix}"
        "layer 'pool' (Pooling): PoolingParameter has no field 'dilatation'\n"
        "  fix: it is of layer 'pool' (Pooling); --allow-unknown passes over it, and reports it; "
        "`caffeport check` lists all that is unknown\n"
        "not looked at, for want of what the layers above would make: 1\n"
    )
    assert printed.err.startswith("caffeport: net.prototxt:9:44: PoolingParameter has no field")


def test_the_options_of_loading_work_on_what_is_known(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net.write_text(NET.replace("kernel_size: 3", "kernel_size: ${K}"))
    shape = ["--input-shape", "x=1,3,12,12"]
    assert main(["show", str(net), "--allow-unknown", "--set", "K=5", *shape]) == 1
    out = capsys.readouterr().out
    assert "conv   Convolution  c     1x4x8x8 " in out
    assert "pool   Pooling      p     1x4x7x7\n" in out
    assert "note: passed over, as allowed: net.prototxt:9:44: PoolingParameter.dilatation\n" in out
    assert "note: the definition is a template, filled in with K=5\n" in out


def test_what_is_wrong_with_the_whole_is_said_below_the_table(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net.write_text("\n".join(line for line in NET.splitlines() if "warp" not in line))
    net.write_text(net.read_text().replace(" dilatation: 2", "").replace('"w"', '"c"'))
    assert main(["show", str(net)]) == 0
    capsys.readouterr()
    assert main(["show", str(net), "--global-pool"]) == 1
    printed = capsys.readouterr()
    assert "prob  Softmax      prob  2x4x6x7\n" in printed.out.replace("prob   S", "prob  S")
    assert "--global-pool: no average pool" in printed.err


def test_a_blob_that_no_layer_makes_leaves_the_others_known(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net.write_text(
        """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 3] } } }
        layer { name: "a" type: "ReLU" bottom: "lost" top: "a" }
        layer { name: "b" type: "ReLU" bottom: "x" top: "b" }"""
    )
    assert main(["show", str(net)]) == 1
    printed = capsys.readouterr()
    assert "b      ReLU   b    2x3\n" in printed.out
    assert "layer 'a' (ReLU): bottom 'lost' is no layer's top\n" in printed.out
    assert "bottom 'lost' is no layer's top\n" in printed.err

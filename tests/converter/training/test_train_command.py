"""`caffeport train` and `caffeport test` as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from converter.__main__ import main
from converter.training import plot as curve
from converter.training.events import Displayed, Ended, NetTested, SnapshotWritten, Started
from converter.training.log import JsonLog, read_log
from prototxt import read_solverstate, read_weights
from tests.support.paths import ROOT

Printed = pytest.CaptureFixture[str]


def test_train_prints_logs_draws_and_writes(digits: Path, capsys: Printed) -> None:
    assert main(["train", "solver.prototxt"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert lines[0] == "Solving small by SGD, lr_policy inv, 89 parameters, on cpu"
    assert "Iteration 0, Testing net (#0)" in lines
    assert "Iteration 15, wrote small_iter_15.caffemodel and small_iter_15.solverstate" in lines
    assert any(line.startswith("Iteration 5 (") and "iter/s, " in line for line in lines)
    assert "Iteration 5, lr = 0.0964069" in lines
    assert any(line.startswith("    Test net output #0: accuracy = ") for line in lines)
    assert any(
        line.startswith("    Train net output #0: loss = ") and line.endswith(" loss)")
        for line in lines
    )
    assert lines[-2].startswith("Optimization done at iteration 20 (")
    assert lines[-1] == "wrote small_log.jsonl and small_log.png"
    logged = [json.loads(line) for line in Path("small_log.jsonl").read_text().splitlines()]
    assert [event["event"] for event in logged[:3]] == ["start", "test", "train"]
    assert logged[0]["seed"] == 7
    assert [event["iter"] for event in logged if event["event"] == "train"] == [0, 5, 10, 15, 20]
    last = logged[-1]
    assert (last["event"], last["iter"], last["interrupted"]) == ("end", 20, False)
    from PIL import Image

    with Image.open("small_log.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[:2] > (300, 600)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_going_on_by_command_appends_to_the_log(digits: Path, capsys: Printed) -> None:
    assert main(["train", "solver.prototxt", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["train", "solver.prototxt", "--snapshot", "small_iter_15.solverstate"]) == 0
    assert "going on at iteration 15" in capsys.readouterr().out.splitlines()
    assert read_solverstate("small_iter_20.solverstate").iter == 20
    kept = read_log("small_log.jsonl")
    assert sum(isinstance(event, Started) for event in kept) == 2
    trained = [event.iter for event in kept if isinstance(event, Displayed)]
    assert trained == [0, 5, 10, 15, 20]


def test_hdf5_snapshots_by_command(digits: Path) -> None:
    text = (digits / "solver.prototxt").read_text()
    (digits / "solver.prototxt").write_text(text + "snapshot_format: HDF5\n")
    args = ["train", "solver.prototxt", "--quiet", "--dtype", "float64"]
    assert main(args) == 0
    whole = read_weights("small_iter_20.caffemodel.h5")
    assert main([*args, "--snapshot", "small_iter_20.solverstate.h5"]) == 0
    again = read_weights("small_iter_20.caffemodel.h5")
    for one, two in zip(whole.layers, again.layers, strict=True):
        assert one.name == two.name
        for mine, theirs in zip(one.blobs, two.blobs, strict=True):
            assert np.array_equal(mine.array, theirs.array)


def test_without_matplotlib_it_says_how_to_get_a_picture(
    digits: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve, "find_spec", lambda name: None)
    assert main(["train", "solver.prototxt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    advice = 'pip install "caffeport[plots]"'
    assert f"note: no picture of the loss without matplotlib: {advice}" in lines
    assert lines[-1] == "wrote small_log.jsonl"
    assert not Path("small_log.png").exists()


def test_what_was_loaded_is_said(digits: Path, capsys: Printed) -> None:
    assert main(["train", "solver.prototxt", "--quiet"]) == 0
    text = (digits / "net.prototxt").read_text().replace('name: "fc"', 'name: "fc_new"')
    (digits / "net.prototxt").write_text(text)
    assert main(["train", "solver.prototxt", "--weights", "small_iter_20.caffemodel"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "weights of 1 layers from small_iter_20.caffemodel" in lines
    assert "note: fillers' values for fc_new" in lines
    assert "note: not in the network: fc" in lines


def test_test_prints_the_means(digits: Path, capsys: Printed) -> None:
    assert main(["train", "solver.prototxt"]) == 0
    trained = capsys.readouterr().out.splitlines()
    assert main(["test", "net.prototxt", "small_iter_20.caffemodel", "--iterations", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" = ")[0] for line in lines[:6]] == [
        f"Batch {batch}, {name}" for batch in range(3) for name in ("accuracy", "loss")
    ]
    batches = [float(line.partition(" = ")[2]) for line in lines[1:6:2]]
    assert float(lines[6].removeprefix("Loss: ")) == pytest.approx(np.mean(batches), rel=1e-4)
    last = [line.partition(": ")[2] for line in trained if line.startswith("    Test net output")]
    assert lines[7:] == last[-2:]
    assert (
        main(["test", "net.prototxt", "small_iter_20.caffemodel", "--quiet", "--iterations", "3"])
        == 0
    )
    assert capsys.readouterr().out.splitlines() == lines[6:]


def test_test_of_a_network_that_nothing_feeds(
    digits: Path, capsys: Printed, tmp_path: Path
) -> None:
    (tmp_path / "in.prototxt").write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 } } }'
        'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'
    )
    assert main(["test", "in.prototxt"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("caffeport: in.prototxt: layer 'x' (Input): 'x' would have to be fed")


EVENTS = [
    Started("1.0", "solver.prototxt", "small", "SGD", 0, 20, "cpu", 1, 7, False),
    Displayed(5, 0.5, 0.01, 2.0, 5, {"loss": [0.5], "x": [1.0, 2.0]}, {"loss": 2.0}),
    Displayed(10, 0.25, None, 0.5, 0, {"loss": [0.25]}, {}),
    NetTested(10, 1, {"accuracy": [0.75]}, {}, None),
    NetTested(10, 2, {"loss": [0.75]}, {"loss": 1.0}, 0.75),
    SnapshotWritten(10, "a.caffemodel", "a.solverstate"),
    Ended(20, 3.5, True),
]


def test_a_log_holds_what_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 12.34567)
    log = JsonLog(tmp_path / "log")
    for event in EVENTS:
        log.write(event)
    log.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0] == (
        '{"time": 12.346, "event": "start", "version": "1.0", "solver": "solver.prototxt", '
        '"net": "small", "type": "SGD", "iter": 0, "max_iter": 20, "device": "cpu", '
        '"processes": 1, "seed": 7, "amp": false}'
    )
    assert lines[1] == (
        '{"time": 12.346, "event": "train", "iter": 5, "loss": 0.5, "lr": 0.01, "seconds": 2.0, '
        '"iterations": 5, "outputs": {"loss": [0.5], "x": [1.0, 2.0]}, "weights": {"loss": 2.0}}'
    )
    assert lines[4] == (
        '{"time": 12.346, "event": "test", "iter": 10, "net": 2, "outputs": {"loss": [0.75]}, '
        '"weights": {"loss": 1.0}, "loss": 0.75}'
    )
    assert lines[5] == (
        '{"time": 12.346, "event": "snapshot", "iter": 10, "model": "a.caffemodel", '
        '"state": "a.solverstate"}'
    )
    assert lines[6] == (
        '{"time": 12.346, "event": "end", "iter": 20, "seconds": 3.5, "interrupted": true}'
    )
    assert read_log(tmp_path / "log") == EVENTS


def test_what_a_person_reads_of_events() -> None:
    assert [line for event in EVENTS for line in event.lines()] == [
        "Iteration 5 (2.5 iter/s, 2s/5 iters), loss = 0.5",
        "    Train net output #0: loss = 0.5 (* 2 = 1 loss)",
        "    Train net output #1: x = 1",
        "    Train net output #2: x = 2",
        "Iteration 5, lr = 0.01",
        "Iteration 10, loss = 0.25",
        "    Train net output #0: loss = 0.25",
        "Iteration 10, Testing net (#1)",
        "    Test net output #0: accuracy = 0.75",
        "Iteration 10, Testing net (#2)",
        "Test loss: 0.75",
        "    Test net output #0: loss = 0.75 (* 1 = 0.75 loss)",
        "Iteration 10, wrote a.caffemodel and a.solverstate",
    ]


def test_numbers_that_json_lacks(tmp_path: Path) -> None:
    log = JsonLog(tmp_path / "log")
    nan, infinity = float("nan"), float("inf")
    log.write(Displayed(0, nan, None, 1.0, 0, {"x": [infinity, 1.0]}, {}))
    log.close()
    line = json.loads((tmp_path / "log").read_text())
    assert (line["loss"], line["outputs"]) == (None, {"x": [None, 1.0]})
    (kept,) = read_log(tmp_path / "log")
    assert isinstance(kept, Displayed)
    assert np.isnan([kept.loss, kept.outputs["x"][0]]).all()
    assert (kept.lr, kept.outputs["x"][1]) == (None, 1.0)


def test_a_curve_of_nothing_is_no_picture(tmp_path: Path) -> None:
    assert not curve.draw_curve(EVENTS[:1], tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_two_processes_are_one_on_the_joined_batch(digits: Path) -> None:
    text = (digits / "solver.prototxt").read_text()
    one = text.replace('"net.prototxt"', '"joined.prototxt"').replace('"small"', '"one"')
    (digits / "one.prototxt").write_text(one)
    net = (digits / "net.prototxt").read_text()
    (digits / "joined.prototxt").write_text(net.replace("batch_size: 8", "batch_size: 16"))
    extra = "clip_gradients: 0.5 iter_size: 2\n"
    for name in ("solver", "one"):
        path = digits / f"{name}.prototxt"
        path.write_text(path.read_text() + extra)
    args = ["--dtype", "float64", "--quiet"]
    assert main(["train", "one.prototxt", *args]) == 0
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "converter"]
    done = subprocess.run(
        [sys.executable, "-m", *launch, "train", "solver.prototxt", *args],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    for name in ("iter_15", "iter_20"):
        mine, theirs = (
            {
                layer.name: layer.blobs
                for layer in read_weights(f"{prefix}_{name}.caffemodel").layers
            }
            for prefix in ("small", "one")
        )
        assert mine.keys() == theirs.keys()
        for layer, blobs in theirs.items():
            for got, want in zip(mine[layer], blobs, strict=True):
                np.testing.assert_allclose(got.array, want.array, rtol=1e-9, atol=1e-12)
    logged = [json.loads(line) for line in Path("small_log.jsonl").read_text().splitlines()]
    assert logged[0]["processes"] == 2
    assert [event["iter"] for event in logged if event["event"] == "test"] == [0, 10, 20]

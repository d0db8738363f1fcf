"""The solver: its networks, when it tests, shows and writes, and how it goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from converter.training import Solver, mean_outputs
from converter.training.events import Event, NetTested
from prototxt import read_solverstate, read_weights
from tests.support.recorded import assert_close

Edit = Callable[..., Path]


@pytest.fixture
def edit(digits: Path) -> Edit:
    """Return a function that writes the solver with some lines added, or left out: `name`."""
    text = (digits / "solver.prototxt").read_text().splitlines()

    def to(*lines: str) -> Path:
        fields = {line.partition(":")[0].split()[0] for line in lines}
        kept = [line for line in text if line.partition(":")[0] not in fields]
        path = digits / "solver.prototxt"
        path.write_text("\n".join([*kept, *(line for line in lines if ":" in line or "{" in line)]))
        return path

    return to


def events(path: Path, **options: Any) -> tuple[Solver, list[Event]]:
    told: list[Event] = []
    training = Solver(path, report=told.append, **options)
    training.solve()
    return training, told


def what(told: list[Event]) -> list[tuple[str, int]]:
    return [(event.name, event.iter) for event in told]


def test_what_happens_when(edit: Edit, digits: Path) -> None:
    _, told = events(edit("max_iter: 20"))
    assert what(told) == [
        ("test", 0),
        ("train", 0),
        ("train", 5),
        ("test", 10),
        ("train", 10),
        ("snapshot", 15),
        ("train", 15),
        ("snapshot", 20),
        ("train", 20),
        ("test", 20),
    ]
    assert sorted(path.name for path in digits.glob("small_*")) == [
        "small_iter_15.caffemodel",
        "small_iter_15.solverstate",
        "small_iter_20.caffemodel",
        "small_iter_20.solverstate",
    ]


@pytest.mark.parametrize(
    ("lines", "want"),
    [
        (
            ["test_initialization: false", "display: 0", "snapshot: 0"],
            ["test 10", "snapshot 20", "test 20"],
        ),
        (
            [
                "test_interval",
                "test_iter",
                "snapshot: 10",
                "snapshot_after_train: false",
                "max_iter: 12",
            ],
            ["train 0", "train 5", "snapshot 10", "train 10"],
        ),
        (
            ["test_interval: 7", "display: 7", "snapshot: 20"],
            ["test 0", "train 0", "test 7", "train 7", "test 14", "train 14", "snapshot 20"],
        ),
        (
            ["max_iter: 0", "snapshot: 0", "test_initialization: false"],
            ["snapshot 0", "train 0", "test 0"],
        ),
    ],
)
def test_intervals(lines: list[str], want: list[str], edit: Edit) -> None:
    _, told = events(edit(*lines))
    shown = [
        f"{event} {it}"
        for event, it in what(told)
        if not (event == "train" and "display: 0" in lines)
    ]
    assert shown == want


def test_displayed_is_the_mean_of_the_last_losses(edit: Edit) -> None:
    one = Solver(edit("average_loss: 1"))
    losses = []
    for _ in range(6):
        one.step(1)
        losses.append(one.loss)
    two = Solver(edit("average_loss: 4"))
    two.step(3)
    assert two.loss == pytest.approx(np.mean(losses[:3]))
    two = Solver(edit("average_loss: 4"))
    two.step(6)
    assert two.loss == pytest.approx(np.mean(losses[2:]))


def test_tests_measure_the_trained_blobs(edit: Edit, digits: Path) -> None:
    training, told = events(edit("display: 0"))
    (test_net,) = training.test_nets
    assert test_net.phase == "TEST"
    assert training.net.phase == "TRAIN"
    for layer, blobs in training.net.params.items():
        for mine, theirs in zip(blobs, test_net.params[layer], strict=True):
            assert mine.data_ptr() == theirs.data_ptr()
    net = converter.load(digits / "net.prototxt", digits / "small_iter_20.caffemodel")
    want = mean_outputs(net, 3)
    last = told[-1]
    assert want is not None
    assert isinstance(last, NetTested)
    assert last.outputs == want.values
    assert set(last.outputs) == {"accuracy", "loss"}
    with torch.no_grad():
        losses = [float(net.blobs()["loss"]) for _ in range(3)]
    assert want.values["loss"][0] == pytest.approx(np.mean(losses))
    assert want.loss == pytest.approx(want.values["loss"][0])


def test_a_snapshot_is_the_networks(edit: Edit, digits: Path) -> None:
    training, _ = events(edit("max_iter: 3"))
    state = read_solverstate(digits / "small_iter_3.solverstate")
    assert (state.iter, state.learned_net) == (3, "small_iter_3.caffemodel")
    held = {
        layer.name: layer.blobs for layer in read_weights(digits / "small_iter_3.caffemodel").layers
    }
    for layer, blobs in training.net.params.items():
        for mine, theirs in zip(blobs, held[layer], strict=True):
            assert np.array_equal(mine.detach().numpy(), theirs.array)


def test_going_on_is_as_never_having_stopped(edit: Edit, digits: Path) -> None:
    whole, _ = events(edit("max_iter: 20"))
    rest = Solver(digits / "solver.prototxt", snapshot=digits / "small_iter_15.solverstate")
    for net in (rest.net, *rest.test_nets):
        net.layers["data"].reset_state()
    for _ in range(15):  # Caffe starts its data anew: here they are wound on
        rest.net.layers["data"]()
    rest.solve()
    assert rest.iter == whole.iter
    for layer, blobs in whole.net.params.items():
        for mine, theirs in zip(blobs, rest.net.params[layer], strict=True):
            assert torch.equal(mine, theirs)


def test_a_state_that_was_moved_takes_the_weights_beside_it(edit: Edit, digits: Path) -> None:
    events(edit("max_iter: 2"))
    away = digits / "away"
    away.mkdir()
    for path in digits.glob("small_iter_2*"):
        path.rename(away / path.name)
    training = Solver(digits / "solver.prototxt", snapshot=away / "small_iter_2.solverstate")
    assert training.iter == 2


def test_weights_of_the_solver_and_in_their_place(edit: Edit, digits: Path) -> None:
    net = converter.load(digits / "net.prototxt", phase="TRAIN", seed=1)
    converter.save_caffemodel(net, digits / "a.caffemodel")
    other = converter.load(digits / "net.prototxt", phase="TRAIN", seed=2)
    converter.save_caffemodel(other, digits / "b.caffemodel")
    path = edit('weights: "a.caffemodel"', 'weights: "b.caffemodel"')

    def first(**options: Any) -> torch.Tensor:
        return Solver(path, **options).net.params["conv"][0]

    assert torch.equal(first(), other.params["conv"][0])
    assert torch.equal(first(weights="a.caffemodel"), net.params["conv"][0])
    assert torch.equal(first(weights="b.caffemodel,a.caffemodel"), net.params["conv"][0])
    assert torch.equal(
        first(weights=["a.caffemodel", digits / "b.caffemodel"]), other.params["conv"][0]
    )


def test_fine_tuning_keeps_fillers_of_new_layers(edit: Edit, digits: Path) -> None:
    net = converter.load(digits / "net.prototxt", phase="TRAIN", seed=1)
    converter.save_caffemodel(net, digits / "a.caffemodel")
    text = (digits / "net.prototxt").read_text().replace('name: "fc"', 'name: "fc_new"')
    (digits / "net.prototxt").write_text(text)
    training = Solver(edit("max_iter: 3"), weights="a.caffemodel")
    assert torch.equal(training.net.params["conv"][0], net.params["conv"][0])
    assert training.net.loaded is not None
    assert training.net.loaded.missing == ["fc_new"]
    assert training.net.params["fc_new"][0].any()


STATES = """layer { name: "data" type: "DummyData" top: "x" dummy_data_param {
  shape { dim: 2 dim: 3 } data_filler { type: "gaussian" } } }
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "z" top: "loss" }
"""


def with_states(*layers: str) -> str:
    """Return a definition with a target layer `z` for each rule."""
    targets = [
        f'layer {{ name: "{name}" type: "DummyData" top: "z" dummy_data_param {{ '
        f"shape {{ dim: 2 dim: 2 }} }} include {{ {rule} }} }}"
        for name, _, rule in (layer.partition("|") for layer in layers)
    ]
    data, rest = STATES.split('layer { name: "fc"')
    return "".join([data, *targets, 'layer { name: "fc"', rest])


def names(net: converter.CaffeNet) -> list[str]:
    return [name for name in net.layers if name not in ("data", "fc", "loss")]


def test_states_pick_the_layers(edit: Edit, digits: Path) -> None:
    (digits / "net.prototxt").write_text(
        with_states(
            "train|phase: TRAIN",
            'one|phase: TEST stage: "one"',
            "two|phase: TEST min_level: 2",
        )
    )
    training = Solver(
        edit(
            "test_iter: 3", "test_iter: 4", 'test_state { stage: "one" }', "test_state { level: 2 }"
        )
    )
    assert names(training.net) == ["train"]
    assert [names(net) for net in training.test_nets] == [["one"], ["two"]]
    stage = edit("test_iter", "test_interval", 'train_state { phase: TEST stage: "one" }')
    assert names(Solver(stage).net) == ["one"]


def test_the_definitions_own_state_counts(edit: Edit, digits: Path) -> None:
    text = with_states("low|max_level: 1", "high|min_level: 2")
    (digits / "net.prototxt").write_text("state { level: 3 }" + text)
    none = edit("test_iter", "test_interval")
    assert names(Solver(none).net) == ["high"]
    assert names(Solver(edit("test_iter", "test_interval", "train_state { level: 0 }")).net) == [
        "low"
    ]


def test_networks_in_files_of_their_own_and_in_the_solver(edit: Edit, digits: Path) -> None:
    text = (digits / "net.prototxt").read_text()
    (digits / "other.prototxt").write_text(text.replace('"small"', '"other"'))
    inside = text.replace('"small"', '"inside"')
    training = Solver(
        edit(
            "net",
            'train_net: "other.prototxt"',
            'test_net: "net.prototxt"',
            f"test_net_param {{ {inside} }}",
            "test_iter: 1",
            "test_iter: 2",
        )
    )
    assert training.net.name == "other"
    assert [net.name for net in training.test_nets] == ["inside", "small"]
    only = Solver(edit("net", f"net_param {{ {text} }}"))
    assert [only.net.name, only.test_nets[0].name] == ["small", "small"]
    both = Solver(edit('test_net: "other.prototxt"', "test_iter: 1", "test_iter: 2"))
    assert [net.name for net in both.test_nets] == ["other", "small"]


def test_paths_are_the_working_folders_then_the_solvers(
    edit: Edit, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (digits / "net.prototxt").read_text()
    for name in ("train.txt", "test.txt"):
        text = text.replace(f'"{name}"', f'"{digits / name}"')
    (digits / "net.prototxt").write_text(text)
    for name in ("train", "test"):
        (digits / f"{name}.txt").write_text(f"{digits / name}.h5")
    path, away = edit("max_iter: 1"), digits / "away"
    away.mkdir()
    monkeypatch.chdir(away)
    training = Solver(path)
    assert training.settings.notes == [
        f"net: 'net.prototxt' is not in the working folder, taken '{digits / 'net.prototxt'}'"
    ]
    (away / "net.prototxt").write_text(text.replace('"small"', '"near"'))
    training = Solver(path)
    assert training.net.name == "near"
    assert training.settings.notes == []
    training.solve()
    assert (away / "small_iter_1.caffemodel").exists()


def test_seeds(edit: Edit) -> None:
    path = edit("max_iter: 2")

    def blob(**options: Any) -> torch.Tensor:
        return Solver(path, **options).net.params["conv"][0].detach()

    assert torch.equal(blob(), blob(seed=7))
    assert not torch.equal(blob(), blob(seed=8))
    path = edit("random_seed")
    assert torch.equal(blob(), blob(seed=1701))


def test_a_signal_writes_a_snapshot_and_stops(edit: Edit, digits: Path) -> None:
    from converter.training.run import run

    training = Solver(edit("max_iter: 100", "snapshot: 0", "snapshot_after_train: false"))

    def moved() -> None:
        if training.iter == 7:
            os.kill(os.getpid(), signal.SIGHUP)
        if training.iter == 9:
            os.kill(os.getpid(), signal.SIGINT)

    training.follow(lambda event: None, moved)
    # In the background of a script signals are ignored, and stay so.
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    heeded = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    for number, handler in heeded.items():
        signal.signal(number, handler)
    try:
        assert run(training, quiet=True) == 128 + signal.SIGINT
        assert {number: signal.getsignal(number) for number in heeded} == heeded
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert training.iter == 9
    states = sorted(path.name for path in digits.glob("*.solverstate"))
    assert states == ["small_iter_7.solverstate", "small_iter_9.solverstate"]
    assert Solver(digits / "solver.prototxt", snapshot=states[1]).iter == 9


def test_mixed_precision(edit: Edit) -> None:
    path = edit("max_iter: 10")
    plain, mixed = Solver(path), Solver(path, amp=True)
    plain.step(10)
    mixed.step(10)
    blobs = [blob for row in mixed.net.params.values() for blob in row]
    assert {blob.dtype for blob in blobs} == {torch.float32}
    assert mixed.loss != plain.loss
    assert mixed.loss == pytest.approx(plain.loss, rel=0.1)


def test_a_frozen_norm_keeps_its_statistics(tiny_sk: Path, tmp_path: Path) -> None:
    text = (tiny_sk / "tiny_sk.prototxt").read_text().replace("frozen: false", "frozen: true")
    (tmp_path / "net.prototxt").write_text(text)
    solver = (
        (tiny_sk / "tiny_solver.prototxt").read_text().replace("tiny_sk.prototxt", "net.prototxt")
    )
    (tmp_path / "solver.prototxt").write_text(solver)
    random = torch.Generator().manual_seed(1701)

    def feed(net: converter.CaffeNet) -> dict[str, torch.Tensor]:
        data = torch.randn(net.input_shapes["data"], generator=random)
        return {"data": data, "label": torch.arange(8) % 10}

    weights = tiny_sk / "tiny_final_iter_12.caffemodel"
    training = Solver(tmp_path / "solver.prototxt", weights=weights, feed=feed)
    before = {name: [blob.clone() for blob in row] for name, row in training.net.params.items()}
    training.step(3)
    norms = [name for name in before if name.endswith("/bn")]
    assert len(norms) == 7
    for name, row in training.net.params.items():
        for old, new in zip(before[name], row, strict=True):
            assert torch.equal(old, new) == (name in norms), name


def test_stepping_by_hand(edit: Edit) -> None:
    training = Solver(edit("max_iter: 20", "test_initialization: false"))
    assert np.isnan(training.loss)
    training.step(4)
    training.step(3)
    assert training.iter == 7
    assert training.rate == pytest.approx(0.1 * (1 + 0.01 * 6) ** -0.75)
    (result,) = training.test_all()
    assert set(result.values) == {"loss", "accuracy"}


RECURRENT = """
layer { name: "data" type: "DummyData" top: "x" top: "cont" top: "target"
  dummy_data_param {
    shape { dim: 3 dim: 1 dim: 2 } shape { dim: 3 dim: 1 } shape { dim: 3 dim: 1 dim: 2 }
    data_filler { value: 0.5 } data_filler { value: 1 } data_filler { value: -1 } } }
layer { name: "rnn" type: "RNN" bottom: "x" bottom: "cont" top: "h" param { lr_mult: 0 }
  recurrent_param { num_output: 2 weight_filler { type: "constant" value: 0.25 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "h" bottom: "target" top: "loss" }
"""


def test_a_frozen_blob_of_a_recurrent_layer_counts_in_the_norm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(RECURRENT)
    Path("solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.5 lr_policy: "fixed" momentum: 0.9 clip_gradients: 0.75\n'
        "max_iter: 3 snapshot_after_train: false solver_mode: CPU"
    )
    training = Solver("solver.prototxt", dtype=torch.float64)
    training.solve()
    values = [blob.detach() for blob in training.net.params["rnn"]]
    # What real Caffe has in W_xh, b_h, W_hh, W_ho and b_o: all values of a blob are equal.
    caffes = [
        0.25,
        -0.5367907466572881,
        0.1306623850213646,
        -0.034305374682952805,
        -1.1127853672478136,
    ]
    for blob, value in zip(values, caffes, strict=True):
        assert_close(blob, np.full(blob.shape, value), "blob")

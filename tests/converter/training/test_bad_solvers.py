"""Bad solvers, snapshots and networks: one message, exit 1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import converter
from converter.__main__ import main
from converter.training import Solver
from prototxt import Blob, SolverState, write_solverstate
from prototxt.errors import UnsupportedError

Fails = Callable[..., str]


@pytest.fixture
def fails(digits: Path, capsys: pytest.CaptureFixture[str]) -> Fails:
    """Return a function that trains by a changed solver and returns the message."""

    def run(*lines: str, without: tuple[str, ...] = (), more: tuple[str, ...] = ()) -> str:
        text = (digits / "solver.prototxt").read_text().splitlines()
        fields = {line.partition(":")[0].split()[0] for line in lines} | set(without)
        kept = [line for line in text if line.partition(":")[0] not in fields]
        (digits / "bad.prototxt").write_text("\n".join([*kept, *lines]))
        assert main(["train", "bad.prototxt", *more]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("caffeport: ") == 1
        assert not list(digits.glob("*_log.jsonl"))
        return printed.err.removeprefix("caffeport: ").rstrip("\n")

    return run


CASES = {
    "no network": (
        (),
        ("net",),
        "bad.prototxt: no network is given\n  fix: give one of net, net_p",
    ),
    "two networks": (
        ('train_net: "net.prototxt"',),
        (),
        "bad.prototxt: both net and train_net are given\n  fix: give one of net,",
    ),
    "no such network": (
        ('net: "nowhere.prototxt"',),
        (),
        "bad.prototxt: net: no file 'nowhere.prototxt' in the working folder or beside the solver",
    ),
    "an unknown policy": (
        ('lr_policy: "stepp"',),
        (),
        "bad.prototxt: lr_policy 'stepp' is unknown\n  fix: did you mean 'step'?",
    ),
    "no policy": ((), ("lr_policy",), "bad.prototxt: lr_policy is missing"),
    "no stepsize": (('lr_policy: "step"',), (), "bad.prototxt: stepsize is 0, lr_policy 'step'"),
    "no rate": ((), ("base_lr",), "bad.prototxt: base_lr is missing"),
    "no end": ((), ("max_iter",), "bad.prototxt: max_iter is missing"),
    "an unknown type": (
        ('type: "Adams"',),
        (),
        "bad.prototxt: solver type 'Adams' is unknown\n  fix: did you mean 'Adam'?",
    ),
    "momentum where there is none": (
        ('type: "RMSProp"',),
        (),
        "bad.prototxt: momentum is 0.9, RMSProp has none\n  fix: remove momentum",
    ),
    "no test_iter": (
        ('test_net: "net.prototxt"', 'test_net: "net.prototxt"'),
        (),
        "bad.prototxt: 1 test_iter for 2 test networks\n  fix: give each one a test_iter",
    ),
    "too many test_iter": (
        ('train_net: "net.prototxt"',),
        ("net",),
        "bad.prototxt: 1 test_iter for 0 test networks",
    ),
    "test_iter of 0": (("test_iter: 0",), (), "bad.prototxt: test_iter is 0, wants 1 or more"),
    "no test_interval": ((), ("test_interval",), "bad.prototxt: test_interval is 0, with test net"),
    "states that do not fit": (
        ("test_state {}", "test_state {}"),
        (),
        "bad.prototxt: 2 test_state for 1 test networks, wants none or one for each",
    ),
    "a negative number": (("display: -1",), (), "bad.prototxt: display is -1, wants 0 or more"),
    "average_loss of 0": (("average_loss: 0",), (), "bad.prototxt: average_loss is 0"),
    "iter_size of 0": (("iter_size: 0",), (), "bad.prototxt: iter_size is 0, wants 1 or more"),
    "another decay": (('regularization_type: "L3"',), (), "bad.prototxt: regularization_type 'L3'"),
    "diffs": (("snapshot_diff: true",), (), "bad.prototxt: snapshot_diff: gradients are not wri"),
    "an unknown field": (("momentun: 0.9",), (), "bad.prototxt:16:1: SolverParameter has no field"),
    "nowhere to write": (
        ('snapshot_prefix: "nowhere/net"',),
        (),
        "bad.prototxt: snapshot_prefix: no folder 'nowhere'\n  fix: make it",
    ),
    "no such weights": (
        ('weights: "nowhere.caffemodel"',),
        (),
        "bad.prototxt: weights: no file 'nowhere.caffemodel' in the working folder or beside",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_solver(case: str, fails: Fails) -> None:
    lines, without, said = CASES[case]
    assert fails(*lines, without=without).startswith(said)


def test_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "nowhere.prototxt"]) == 1
    assert capsys.readouterr().err == "caffeport: nowhere.prototxt: No such file or directory\n"


def test_weights_or_a_snapshot(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "x", "--weights", "a", "--snapshot", "b"])
    assert caught.value.code == 2


@pytest.fixture
def state(digits: Path) -> Path:
    """Return a state after two iterations."""
    text = (digits / "solver.prototxt").read_text().replace("max_iter: 20", "max_iter: 2")
    (digits / "short.prototxt").write_text(text)
    assert main(["train", "short.prototxt", "--quiet", "--log", "short.jsonl"]) == 0
    return Path("small_iter_2.solverstate")


def test_a_state_of_another_type_of_solver(fails: Fails, state: Path) -> None:
    said = fails('type: "Adam"', more=("--snapshot", str(state)))
    assert said.startswith(f"{state}: 4 histories, but Adam keeps 8 of this network\n  fix: ")


def test_a_state_of_another_network(fails: Fails, state: Path, digits: Path) -> None:
    text = (digits / "net.prototxt").read_text().replace("num_output: 3", "num_output: 4")
    (digits / "net.prototxt").write_text(text)
    said = fails(more=("--snapshot", str(state)))
    assert said.startswith(f"{state}: history 0 is (3, 1, 2, 2), wants (4, 1, 2, 2)\n  fix: ")


def test_a_state_whose_weights_are_gone(fails: Fails, state: Path, digits: Path) -> None:
    (digits / "small_iter_2.caffemodel").unlink()
    said = fails(more=("--snapshot", str(state)))
    assert said.startswith(f"{state}: its weights 'small_iter_2.caffemodel' are neither in the")


def test_weights_for_a_state(fails: Fails, state: Path) -> None:
    said = fails(more=("--snapshot", "small_iter_2.caffemodel"))
    assert said.startswith("small_iter_2.caffemodel: no solver state: it begins as a .caffemodel")


def test_a_failed_restore_leaves_the_training_alone(state: Path, digits: Path) -> None:
    training = Solver(digits / "solver.prototxt")
    before = [blob.clone() for row in training.net.params.values() for blob in row]
    wrong = SolverState(3, "small_iter_2.caffemodel", [Blob(torch.ones(2).numpy(), (2,))] * 4)
    write_solverstate("wrong.solverstate", wrong)
    with pytest.raises(converter.WeightError):
        training.restore("wrong.solverstate")
    assert training.iter == 0
    after = [blob for row in training.net.params.values() for blob in row]
    assert all(map(torch.equal, before, after))


def test_a_network_that_nothing_feeds(fails: Fails, digits: Path) -> None:
    net = (digits / "net.prototxt").read_text()
    fed = (
        'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: [8, 1, 4, 5] } } }'
    )
    label = 'layer { name: "l" type: "Input" top: "label" input_param { shape { dim: 8 } } }'
    body = net[net.index('layer { name: "conv"') :]
    (digits / "net.prototxt").write_text(fed + label + body)
    said = fails()
    assert said.startswith(
        "net.prototxt: layer 'in' (Input): 'data' would have to be fed, and the "
    )


def test_a_network_without_a_loss(fails: Fails, digits: Path) -> None:
    net = (digits / "net.prototxt").read_text()
    (digits / "net.prototxt").write_text(net[: net.index('layer { name: "loss"')])
    assert fails().startswith("net.prototxt: no layer has a loss in phase TRAIN")


def test_a_network_without_blobs(fails: Fails, digits: Path) -> None:
    (digits / "net.prototxt").write_text(
        'layer { name: "d" type: "DummyData" top: "d" dummy_data_param { shape { dim: 2 } } }'
        'layer { name: "loss" type: "EuclideanLoss" bottom: "d" bottom: "d" }'
    )
    assert fails().startswith("net.prototxt: no layer has blobs in phase TRAIN")


def test_layers_of_one_name_that_differ(fails: Fails, digits: Path) -> None:
    text = (digits / "net.prototxt").read_text()
    (digits / "other.prototxt").write_text(text.replace("num_output: 2", "num_output: 5"))
    said = fails('train_net: "net.prototxt"', 'test_net: "other.prototxt"', without=("net",))
    assert said == (
        "other.prototxt: layer 'fc' (InnerProduct): blob 0 is (5, 36) in test, (2, 36) in training"
    )


def test_names_that_hdf5_cannot_hold(fails: Fails, digits: Path) -> None:
    text = (digits / "net.prototxt").read_text()
    (digits / "net.prototxt").write_text(text.replace('name: "fc"', 'name: "a/fc"'))
    said = fails("snapshot_format: HDF5")
    assert said.startswith("bad.prototxt: layer 'a/fc': HDF5 has no such names\n  fix: snapshot_fo")


@pytest.mark.parametrize("name", ["gpu", "cuda"])
def test_no_such_device(name: str, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if name == "cuda" and torch.backends.cuda.is_built():
        pytest.skip("this torch is built for GPUs")
    assert fails(more=("--device", name)).startswith(f"device {name!r}: ")


def test_mixed_precision_of_doubles(digits: Path) -> None:
    with pytest.raises(UnsupportedError, match="amp wants float32 weights"):
        Solver(digits / "solver.prototxt", dtype=torch.float64, amp=True)


NO_DATA = """layer { name: "data" type: "Data" top: "data" top: "label"
  data_param { source: "nowhere" batch_size: 2 backend: LMDB } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""


@pytest.mark.parametrize("given", [(), ("--input-shape", "data=2,3,8,8")])
def test_data_that_are_not_there_are_no_question_of_shapes(
    fails: Fails, digits: Path, capsys: pytest.CaptureFixture[str], given: tuple[str, ...]
) -> None:
    (digits / "no_data.prototxt").write_text(NO_DATA)
    said = (
        "no_data.prototxt: layer 'data' (Data): there is no database 'nowhere'\n"
        "  fix: paths begin in the working folder"
    )
    assert fails('net: "no_data.prototxt"', more=given) == said
    assert main(["test", "no_data.prototxt", *given]) == 1
    assert said in capsys.readouterr().err

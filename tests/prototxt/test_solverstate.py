"""Solver states: Caffe's own are read and written back, damaged ones refused."""

from __future__ import annotations

import numpy as np
import pytest

from prototxt import (
    Blob,
    CaffeError,
    FormatError,
    SolverState,
    UnsupportedError,
    read_solverstate,
    read_weights,
    write_hdf5,
    write_solverstate,
)
from tests.support import recorded

BINARY = [
    "adadelta_fixed",
    "adagrad_fixed",
    "adam_fixed",
    "nesterov_fixed",
    "rmsprop_fixed",
    "sgd_fixed_momentum_l2",
]


def small(**fields):
    history = [Blob(np.arange(6, dtype="f"), (2, 3)), Blob(np.array([0.5], "f"), ())]
    return SolverState(
        **{"iter": 300, "learned_net": "a/b.caffemodel", "history": history} | fields
    )


@pytest.mark.parametrize("case", BINARY)
def test_caffes_states_are_written_back_byte_for_byte(case, tmp_path):
    theirs = recorded.unpack("solvers") / case / "snap_iter_4.solverstate"
    state = read_solverstate(theirs)
    write_solverstate(tmp_path / "ours.solverstate", state)
    assert (tmp_path / "ours.solverstate").read_bytes() == theirs.read_bytes()
    assert (state.iter, state.learned_net) == (4, "snap_iter_4.caffemodel")
    assert len(state.history) == (20 if case in ("adadelta_fixed", "adam_fixed") else 10)


def test_the_released_networks_state(tiny_sk, tmp_path):
    theirs = tiny_sk / "tiny_final_iter_12.solverstate"
    state = read_solverstate(theirs)
    assert (state.iter, state.current_step, len(state.history)) == (12, 2, 38)
    write_solverstate(tmp_path / "ours", state)
    assert (tmp_path / "ours").read_bytes() == theirs.read_bytes()


def objects(path):
    h5py = pytest.importorskip("h5py")
    found = {}

    def visit(name, item):
        if not isinstance(item, h5py.Dataset):
            found[name] = None
            return
        kind = item.id.get_type()
        text = kind.get_class() == h5py.h5t.STRING
        found[name] = (
            item.shape,
            kind.get_size(),
            kind.get_class(),
            (kind.get_strpad(), kind.get_cset()) if text else None,
            np.asarray(item[()]).tobytes(),
        )

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def test_caffes_hdf5_state_is_written_back(tmp_path):
    theirs = recorded.unpack("solvers") / "sgd_inv" / "snap_iter_4.solverstate.h5"
    write_solverstate(tmp_path / "ours.solverstate.h5", read_solverstate(theirs))
    assert len(objects(theirs)) == 8
    assert objects(tmp_path / "ours.solverstate.h5") == objects(theirs)


def test_caffes_hdf5_weights_are_written_back(tmp_path):
    theirs = recorded.unpack("solvers") / "sgd_inv" / "snap_iter_4.caffemodel.h5"
    layers = [
        (layer.name, [blob.array for blob in layer.blobs]) for layer in read_weights(theirs).layers
    ]
    write_hdf5(tmp_path / "ours.h5", layers)
    assert len(objects(theirs)) == 11
    assert objects(tmp_path / "ours.h5") == objects(theirs)


@pytest.mark.parametrize("suffix", ["", ".h5"])
@pytest.mark.parametrize("fields", [{}, {"learned_net": None}, {"current_step": 3, "history": []}])
def test_there_and_back(suffix, fields, tmp_path):
    want, path = small(**fields), tmp_path / f"x.solverstate{suffix}"
    write_solverstate(path, want)
    got = read_solverstate(path)
    assert (got.iter, got.learned_net, got.current_step) == (
        want.iter,
        want.learned_net,
        want.current_step,
    )
    assert [blob.shape for blob in got.history] == [blob.shape for blob in want.history]
    for mine, theirs in zip(got.history, want.history, strict=True):
        assert np.array_equal(mine.values, theirs.values)


def test_old_states_hold_legacy_blobs(tmp_path):
    old = Blob(np.arange(6, dtype="f"), (1, 1, 2, 3), legacy=True)
    write_solverstate(tmp_path / "x", small(history=[old]))
    assert read_solverstate(tmp_path / "x").history[0].fits((2, 3))


def message_of(path):
    try:
        read_solverstate(path)
    except CaffeError as error:
        return str(error)
    return None


@pytest.mark.parametrize("suffix", ["", ".h5"])
def test_a_state_cut_anywhere_is_a_message(suffix, tmp_path):
    path = tmp_path / f"x.solverstate{suffix}"
    write_solverstate(path, small())
    data = path.read_bytes()
    for size in range(0, len(data), 1 if not suffix else 97):
        path.write_bytes(data[:size])
        said = message_of(path)
        assert said is None or said.startswith(str(path)), size


BROKEN = {
    "weights": (b"\x0a\x03net", "no solver state: it begins as a .caffemodel does\n  fix: "),
    "another field": (b"\x08\x01\x28\x01", "byte 2: field 5 of wire type 0, which no SolverState"),
    "a negative iter": (b"\x08" + b"\xff" * 9 + b"\x01", "iter is -1, wants 0 or more"),
    "a history of two values": (
        b"\x08\x01\x1a\x0a\x2a\x08" + b"\0" * 8,
        "history 0: byte 4: 2 ",
    ),
    "text": (b"iter: 4\n", "text, wants a solver's state"),
    "nothing": (b"", "the file is empty, wants a solver's state"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_state(case, tmp_path):
    data, said = BROKEN[case]
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read_solverstate(tmp_path / "x")
    assert str(caught.value).startswith(f"{tmp_path / 'x'}: {said}")


def test_what_is_no_hdf5_state(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "x.h5"
    said = {
        "no group `history`": {},
        "history has 'a', wants numbers": {"history/a": [1.0]},
        "history's datasets are [1], wants 0, 1, 2": {"history/1": [1.0]},
        "history 0: values of type int64": {"history/0": [1]},
        "no whole number 'iter'": {"history/0": [1.0]},
        "'learned_net' is no text": {"history/0": [1.0], "iter": [1], "learned_net": [2]},
    }
    for message, datasets in said.items():
        with h5py.File(path, "w") as file:
            for name, value in datasets.items():
                file[name] = value
        with pytest.raises(FormatError, match=f"x.h5: {message}".replace("[", r"\[")):
            read_solverstate(path)


@pytest.mark.parametrize("names", [["a/b"], [""], ["a", "a"]])
def test_names_that_hdf5_cannot_hold(names, tmp_path):
    with pytest.raises(UnsupportedError, match="fix: snapshot_format: BINARYPROTO"):
        write_hdf5(tmp_path / "x.h5", [(name, []) for name in names])
    assert not list(tmp_path.iterdir())

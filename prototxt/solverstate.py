"""Solver states: where a training stood, beside the weights of the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .atomic import writing
from .binary import blob, wire
from .binary.blob import Blob
from .binary.caffemodel import mapped
from .errors import FormatError, within
from .hdf5 import file as hdf5
from .hdf5.weights import dataset_blob

_ITER, _LEARNED_NET, _HISTORY, _CURRENT_STEP = 1, 2, 3, 4


@dataclass
class SolverState:
    """A SolverState message.

    `iter` counts the updates of the weights, `learned_net` is the path of the weights as the solver
    knew it, `history` holds the optimizer's memory in the order of the network's blobs (AdaDelta
    and Adam: a second one after the first), `current_step` the learning rate's steps so far.
    """

    iter: int = 0
    learned_net: str | None = None
    history: list[Blob] = field(default_factory=list)
    current_step: int = 0


def read_binary_state(path: str | Path) -> SolverState:
    """Read a .solverstate; FormatError names the byte where it is damaged."""
    state = SolverState()
    with within(str(path)):
        data = mapped(path)
        for entry in wire.fields(data, 0, len(data)):
            if entry.number == _ITER and entry.wire_type == wire.BYTES:
                fix = "a .solverstate lies beside it"
                raise FormatError("no solver state: it begins as a .caffemodel does", fix=fix)
            if entry.number in (_ITER, _CURRENT_STEP) and entry.wire_type == wire.VARINT:
                name = "iter" if entry.number == _ITER else "current_step"
                setattr(state, name, wire.signed(entry.value))
            elif entry.number == _LEARNED_NET:
                state.learned_net = wire.string(data, entry)
            elif entry.number == _HISTORY and entry.wire_type == wire.BYTES:
                with within(f"history {len(state.history)}"):
                    state.history.append(blob.read(data, entry.value, entry.end))
            else:
                problem = f"field {entry.number} of wire type {entry.wire_type}"
                raise FormatError(f"byte {entry.start}: {problem}, which no SolverState has")
        _check(state)
    return state


def read_hdf5_state(path: str | Path) -> SolverState:
    """Read a .solverstate.h5."""
    h5py = hdf5.h5py_for(path)
    with hdf5.reading(path, h5py) as file:
        group = file.get("history")
        if not isinstance(group, h5py.Group):
            raise FormatError("no group `history`: no solver state of Caffe's")
        numbers = sorted(map(_number, group))
        if numbers != list(range(len(numbers))):
            raise FormatError(f"history's datasets are {numbers}, wants 0, 1, 2, ...")
        history = []
        for number in numbers:
            with within(f"history {number}"):
                history.append(dataset_blob(group[str(number)]))
        name = file.get("learned_net")
        state = SolverState(
            _integer(file, "iter"),
            None if name is None else _text(name),
            history,
            _integer(file, "current_step"),
        )
        _check(state)
    return state


def write_solverstate(path: str | Path, state: SolverState) -> None:
    """Write a state as Caffe does, whole or not at all: HDF5 where the path ends in `.h5`."""
    if Path(path).suffix == ".h5":
        _write_hdf5(path, state)
    else:
        _write_binary(path, state)


def _write_binary(path: str | Path, state: SolverState) -> None:
    with writing(path) as file:
        file.write(wire.encode_key(_ITER, wire.VARINT) + wire.encode_varint(state.iter))
        if state.learned_net is not None:
            name = state.learned_net.encode()
            file.write(wire.encode_key(_LEARNED_NET, wire.BYTES) + wire.encode_varint(len(name)))
            file.write(name)
        for index, held in enumerate(state.history):
            with within(f"{path}: history {index}"):
                pieces = blob.encoded(held.array, legacy=held.legacy)
            file.write(wire.encode_key(_HISTORY, wire.BYTES))
            file.write(wire.encode_varint(sum(map(len, pieces))))
            for piece in pieces:
                file.write(piece)
        key = wire.encode_key(_CURRENT_STEP, wire.VARINT)
        file.write(key + wire.encode_varint(state.current_step))


def _write_hdf5(path: str | Path, state: SolverState) -> None:
    h5py = hdf5.h5py_for(path)
    with hdf5.writing(path, h5py) as file:
        file.create_dataset("iter", data=np.array([state.iter], np.int32))
        if state.learned_net is not None:
            _write_text(h5py, file, "learned_net", state.learned_net)
        file.create_dataset("current_step", data=np.array([state.current_step], np.int32))
        group = file.create_group("history")
        for index, held in enumerate(state.history):
            group.create_dataset(str(index), data=held.array)


def _write_text(h5py: Any, file: Any, name: str, text: str) -> None:
    """Write a C string: of fixed size, its last byte 0, which Caffe reads up to."""
    data = text.encode()
    dtype = h5py.h5t.C_S1.copy()
    dtype.set_size(len(data) + 1)
    space = h5py.h5s.create(h5py.h5s.SCALAR)
    made = h5py.h5d.create(file.id, name.encode(), dtype, space)
    made.write(space, space, np.array(data, f"S{len(data) + 1}"), dtype)


def _integer(file: Any, name: str) -> int:
    dataset = file.get(name)
    if dataset is None or dataset.dtype.kind not in "iu" or dataset.size != 1:
        raise FormatError(f"no whole number {name!r} in it")
    return int(np.asarray(dataset[()]).item())


def _text(dataset: Any) -> str:
    value = np.asarray(dataset[()]).item()
    if not isinstance(value, bytes):
        raise FormatError("'learned_net' is no text")
    try:
        return value.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        raise FormatError("'learned_net' is not UTF-8") from None


def _number(key: str) -> int:
    if not key.isdecimal():
        raise FormatError(f"history has {key!r}, wants numbers")
    return int(key)


def _check(state: SolverState) -> None:
    counts: Sequence[tuple[str, int]] = (
        ("iter", state.iter),
        ("current_step", state.current_step),
    )
    for name, value in counts:
        if value < 0:
            raise FormatError(f"{name} is {value}, wants 0 or more")

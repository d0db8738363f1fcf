"""HDF5 weights."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from prototxt import CaffeError, FormatError, read_net, read_weights

h5py = pytest.importorskip("h5py", reason="HDF5 weights need h5py")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.caffemodel.h5"


def refused(path) -> str:
    with pytest.raises(FormatError) as caught:
        read_weights(path)
    return str(caught.value).removeprefix(f"{path}: ")


def test_what_caffe_wrote_equals_its_binary_form(shared):
    folder = shared / "reference" / "solvers" / "sgd_inv"
    weights = read_weights(folder / "snap_iter_4.caffemodel.h5")
    start = {one.name: one for one in read_weights(folder / "init.caffemodel").layers}
    assert (weights.generation, weights.net) == ("HDF5", None)
    assert {one.name for one in weights.layers} == set(start)
    assert sum(len(one.blobs) for one in weights.layers) == 4
    for one in weights.layers:
        shapes = [blob.shape for blob in one.blobs]
        assert shapes == [blob.shape for blob in start[one.name].blobs]
        assert all(blob.values.dtype == np.float32 and not blob.legacy for blob in one.blobs)


def test_more_than_ten_blobs_shared_ones_doubles_and_scalars(path):
    with h5py.File(path, "w") as file:
        for index in (2, 10, 1):
            file[f"data/many/{index}"] = np.full((2, 3), index, "f8")
        file["data/one/0"] = np.float32(5)
        file.create_group("data/none")
        file["diff/one/0"] = np.float32(7)
    layers = {one.name: one.blobs for one in read_weights(path).layers}
    assert list(layers) == ["many", "none", "one"]
    assert [blob is not None for blob in layers["many"]] == [at in (1, 2, 10) for at in range(11)]
    assert layers["many"][10].array.tolist() == [[10.0] * 3] * 2
    assert layers["many"][2].values.dtype == np.float64
    assert (layers["one"][0].shape, layers["one"][0].array.item()) == ((), 5)
    assert layers["none"] == []


def test_a_slash_in_a_name_nests_groups(path):
    with h5py.File(path, "w") as file:
        file["data/conv1/0"] = np.zeros(1, "f4")
        file["data/conv1/bn/0"] = np.zeros(2, "f4")
        file["data/pool/5x5/0"] = np.zeros(3, "f4")
    shapes = {one.name: one.blobs[0].shape for one in read_weights(path).layers}
    assert shapes == {"conv1": (1,), "conv1/bn": (2,), "pool/5x5": (3,)}


def test_broken_files(path):
    with h5py.File(path, "w") as file:
        file["iter"] = 3
    assert refused(path) == "no group `data`: no weights of Caffe's"
    with h5py.File(path, "w") as file:
        file["data/a/weight"] = np.zeros(1, "f4")
    assert refused(path) == "layer 'a': a dataset 'weight', wants a blob's number"
    with h5py.File(path, "w") as file:
        file["data/a/0"] = np.zeros(1, "i4")
    assert refused(path) == "layer 'a': blob 0: values of type int32, wants float"


def test_a_cut_file_is_our_error(path):
    with h5py.File(path, "w") as file:
        file["data/a/0"] = np.arange(500, dtype="f4")
    whole = path.read_bytes()
    for cut in range(8, len(whole), 97):
        path.write_bytes(whole[:cut])
        assert refused(path).startswith("a damaged HDF5 file: ")


def test_it_holds_no_network(path):
    with h5py.File(path, "w") as file:
        file.create_group("data/a")
    with pytest.raises(FormatError) as caught:
        read_net(path)
    assert str(caught.value) == (f"{path}: HDF5 weights hold no network\n  fix: give its .prototxt")


def test_without_h5py_the_error_names_the_command(path, monkeypatch):
    with h5py.File(path, "w") as file:
        file.create_group("data/a")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(CaffeError) as caught:
        read_weights(path)
    assert str(caught.value) == (
        f'{path}: HDF5 weights need h5py\n  fix: pip install "caffeport[hdf5]"'
    )

"""Net beyond the probe: errors, passes in part, state that must not move, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converter
from converter.pycaffe.errors import ArgumentError

TRAIN = """
name: "train"
layer { name: "in" type: "Input" top: "x" top: "y"
  input_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "ip" top: "ip"
  param { lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 } }
layer { name: "drop" type: "Dropout" bottom: "ip" top: "ip" }
layer { name: "fc" type: "InnerProduct" bottom: "ip" top: "fc"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "y" top: "loss" }
layer { name: "acc" type: "Accuracy" bottom: "fc" bottom: "y" top: "acc" }
"""


@pytest.fixture
def net(caffe: Any, tmp_path: Path) -> Any:
    caffe.set_random_seed(7)
    (tmp_path / "net.prototxt").write_text(TRAIN)
    made = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TRAIN)
    made.blobs["x"].data[...] = np.random.RandomState(1).uniform(-1, 1, (4, 3))
    made.blobs["y"].data[...] = [0, 1, 2, 1]
    return made


def test_a_second_backward_leaves_masks_and_statistics_as_they_are(net: Any) -> None:
    net.forward()
    statistics = [blob.data.copy() for blob in net.params["bn"]]
    assert statistics[2] == 1
    mask = net.blobs["ip"].data != 0
    net.backward()
    first = net.params["ip"][0].diff.copy()
    assert np.abs(first).sum() > 0
    net.clear_param_diffs()
    # The values below change place: the layer is computed anew, with the mask that it drew.
    net.blobs["x"].data[...] = net.blobs["x"].data
    net._nodes[3].graph = None
    net.backward(start="drop", end="drop")
    assert np.array_equal(net.blobs["ip"].diff != 0, mask & (net.blobs["ip"].diff != 0))
    for blob, old in zip(net.params["bn"], statistics, strict=True):
        np.testing.assert_array_equal(blob.data, old)
    net.clear_param_diffs()
    net.forward()
    assert net.params["bn"][2].data == pytest.approx(1.999)


def test_gradients_are_those_of_a_network_that_is_run_whole(net: Any, tmp_path: Path) -> None:
    """Finite differences of the loss, where dropout is out of the way."""
    text = TRAIN.replace('layer { name: "drop" type: "Dropout" bottom: "ip" top: "ip" }', "")
    (tmp_path / "plain.prototxt").write_text(text)
    import caffe

    plain = caffe.Net(str(tmp_path / "plain.prototxt"), caffe.TRAIN)
    plain.blobs["x"].data[...] = net.blobs["x"].data
    plain.blobs["y"].data[...] = net.blobs["y"].data
    plain.forward()
    plain.backward()
    weights = plain.params["ip"][0]
    got = weights.diff.copy()
    for place in [(0, 0), (2, 1), (4, 2)]:
        kept, losses = weights.data[place], []
        for step in (1e-2, -1e-2):
            weights.data[place] = kept + step
            losses.append(float(plain.forward()["loss"]))
        weights.data[place] = kept
        assert got[place] == pytest.approx((losses[0] - losses[1]) / 2e-2, abs=2e-3)


def test_only_what_is_under_the_loss_runs_backward(net: Any) -> None:
    seen: list[int] = []
    net.before_backward(seen.append)
    net.forward()
    net.backward()
    assert seen == list(range(len(net.layers)))[::-1]
    names = list(net._layer_names)
    runs = {name: node.needs_backward for name, node in zip(names, net._nodes, strict=True)}
    assert runs == {
        "in": False,
        "ip": True,
        "bn": True,
        "drop": True,
        "fc": True,
        "fc_fc_0_split": True,
        "y_in_1_split": False,
        "loss": True,
        "acc": False,
    }
    assert not net.blobs["x"].diff.any()


def test_an_edit_between_the_passes_counts(net: Any) -> None:
    net.forward()
    net.params["fc"][0].data[...] = 0
    net.backward()
    assert not net.params["ip"][0].diff.any()  # nothing passes weights of 0


def test_errors_have_the_layers_place_and_are_runtime_errors(caffe: Any, net: Any) -> None:
    net.blobs["x"].reshape(4, 7)
    with pytest.raises(RuntimeError, match=r"layer 'ip' \(InnerProduct\): .*7"):
        net.forward()
    with pytest.raises(AttributeError, match=r"use caffe\.io\.Transformer"):
        net.preprocess("x", None)
    with pytest.raises(ArgumentError, match=r"Net\(str, str, str, str\)"):
        caffe.Net("a", "b", "c", "d")


def test_a_definition_that_caffe_refuses(caffe: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.prototxt"
    path.write_text('layer { name: "c" type: "Convolution" bottom: "x" top: "c" }')
    with pytest.raises(RuntimeError, match="bottom 'x' is no earlier layer's top"):
        caffe.Net(str(path), caffe.TEST)


def test_saved_files_are_converters_own(net: Any, tmp_path: Path) -> None:
    net.save(str(tmp_path / "pycaffe.caffemodel"))
    loaded = converter.load(
        tmp_path / "net.prototxt", tmp_path / "pycaffe.caffemodel", phase="TRAIN"
    )
    converter.save_caffemodel(loaded, tmp_path / "ours.caffemodel")
    saved = (tmp_path / "pycaffe.caffemodel").read_bytes()
    assert saved == (tmp_path / "ours.caffemodel").read_bytes()
    assert saved.startswith(b"\n\x05train")


def test_hdf5_goes_both_ways(caffe: Any, net: Any, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = str(tmp_path / "w.h5")
    net.save_hdf5(path)
    other = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    assert not np.array_equal(other.params["fc"][0].data, net.params["fc"][0].data)
    other.load_hdf5(path)
    np.testing.assert_array_equal(other.params["fc"][0].data, net.params["fc"][0].data)


def test_gradients_are_written_to_hdf5_those_of_a_shared_blob_too(
    caffe: Any, tmp_path: Path
) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "net.prototxt").write_text("""
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }
  inner_product_param { num_output: 3 bias_term: false weight_filler { type: "xavier" } } }
layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" param { name: "w" }
  inner_product_param { num_output: 3 bias_term: false } }
""")
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    net.params["a"][0].diff[...] = np.arange(9).reshape(3, 3)
    net.save_hdf5(str(tmp_path / "w.h5"), True)
    with h5py.File(tmp_path / "w.h5") as file:
        assert [len(file["data"][name]) for name in "ab"] == [1, 0]
        for name in "ab":
            np.testing.assert_array_equal(file["diff"][name]["0"], net.params["a"][0].diff)
        np.testing.assert_array_equal(file["data"]["a"]["0"], net.params["a"][0].data)
        assert sorted(file["diff"]) == ["a", "b", "in"]
    net.save_hdf5(str(tmp_path / "w.h5"))
    with h5py.File(tmp_path / "w.h5") as file:
        assert list(file) == ["data"]


def test_dummy_constants_are_set_once_and_draws_each_time(caffe: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text("""
layer { name: "d" type: "DummyData" top: "c" top: "g" dummy_data_param {
  shape { dim: 3 } shape { dim: 3 }
  data_filler { type: "constant" value: 2 } data_filler { type: "gaussian" std: 1 } } }
""")
    net = caffe.Net(str(path), caffe.TEST)
    assert net.blobs["c"].data.tolist() == [2, 2, 2]
    net.blobs["c"].data[...] = 5
    first = net.forward()["g"].copy()
    assert not np.array_equal(net.forward()["g"], first)
    assert net.blobs["c"].data.tolist() == [5, 5, 5]


def test_scripts_may_hang_attributes_on_networks_and_layers(net: Any) -> None:
    net.name = "mine"
    net.layers[list(net._layer_names).index("ip")].extra = 3
    assert (net.name, net.layer_dict["ip"].extra) == ("mine", 3)


def test_a_layer_that_reads_nothing_here_says_so(caffe: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    layer = """
layer {{ name: "d" type: "DenseImageData" top: "data" top: "label"
  dense_image_data_param {{ source: "train.txt" batch_size: 1 {0} }} }}
layer {{ name: "r" type: "ReLU" bottom: "data" top: "r" }}
"""
    path.write_text(layer.format(""))
    with pytest.raises(RuntimeError, match=r"'d'.*not read here, and their sizes are not known"):
        caffe.Net(str(path), caffe.TEST)
    path.write_text(layer.format("new_height: 2 new_width: 2"))
    net = caffe.Net(str(path), caffe.TEST)
    with pytest.raises(RuntimeError, match=r"'d'.*nothing was written.*\n  fix: an Input"):
        net.forward()
    net.blobs["data"].data[...] = 3
    net.forward()
    assert net.blobs["r"].data.min() == 3


def test_memory_data_takes_arrays(caffe: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text("""
layer { name: "m" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 2 channels: 1 height: 1 width: 2 } }
layer { name: "p" type: "Power" bottom: "data" top: "p" power_param { scale: 3 } }
""")
    net = caffe.Net(str(path), caffe.TEST)
    net.set_input_arrays(np.arange(8, dtype=np.float32).reshape(4, 1, 1, 2), np.arange(4.0))
    assert net.forward()["p"].ravel().tolist() == [0, 3, 6, 9]
    assert net.forward()["label"].ravel().tolist() == [2, 3]


def test_what_a_detector_makes_changes_its_length(caffe: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text("""
layer { name: "in" type: "Input" top: "x" top: "keep"
  input_param { shape { dim: 3 dim: 2 } shape { dim: 3 } } }
layer { name: "f" type: "Filter" bottom: "x" bottom: "keep" top: "kept" }
""")
    net = caffe.Net(str(path), caffe.TEST)
    net.blobs["x"].data[...] = np.arange(6).reshape(3, 2)
    net.blobs["keep"].data[...] = [1, 0, 1]
    assert net.forward()["kept"].tolist() == [[0, 1], [4, 5]]
    net.blobs["keep"].data[...] = [0, 1, 0]
    assert net.forward()["kept"].tolist() == [[2, 3]]

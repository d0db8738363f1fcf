"""Layers written in Python: the user's code runs, sees blobs, and keeps its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converter
from prototxt.errors import UnsupportedError

MODULE = """
import caffe

class Scaled(caffe.Layer):
    def setup(self, bottom, top):
        self.factor = float(self.param_str or self.param_str_)
        self.seen = (str(self.phase), int(self.phase), self.phase == caffe.TRAIN)
        self.blobs.add_blob(2)
        self.blobs[0].data[...] = [1, 2]

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = self.factor * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        self.propagated = list(propagate_down)
        bottom[0].diff[...] = self.factor * top[0].diff
        self.blobs[0].diff[...] += 1

class Source(caffe.Layer):
    count = 0

    def setup(self, bottom, top):
        top[0].reshape(2, 3)

    def reshape(self, bottom, top):
        pass

    def forward(self, bottom, top):
        self.count += 1
        top[0].data[...] = self.count

    def backward(self, top, propagate_down, bottom):
        pass

class Failing(caffe.Layer):
    def setup(self, bottom, top):
        raise KeyError("mine")
"""
NET = """
force_backward: true
layer { name: "s" type: "Python" top: "a" python_param { module: "users" layer: "Source" } }
layer { name: "r" type: "Power" bottom: "a" top: "b" power_param { scale: 2 } }
layer { name: "p" type: "Python" bottom: "b" top: "c"
  python_param { module: "users" layer: "Scaled" param_str: "1.5" } }
layer { name: "q" type: "Power" bottom: "c" top: "d" power_param { power: 2 } }
"""


@pytest.fixture
def folder(tmp_path: Path, caffe: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "users.py").write_text(MODULE)
    (tmp_path / "net.prototxt").write_text(NET)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("users", None)


def test_the_users_class_computes_forward_and_backward(caffe: Any, folder: Path) -> None:
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TRAIN)
    assert [layer.type for layer in net.layers] == ["Python", "Power", "Python", "Power"]
    net.forward()
    out = net.forward()
    assert net.layers[0].count == 2  # the user's own object
    np.testing.assert_array_equal(out["d"], np.full((2, 3), (2 * 2 * 1.5) ** 2))
    net.blobs["d"].diff[...] = 1
    net.backward()
    # d = c^2, c = 1.5 b, b = 2 a: dd/da = 2 c * 1.5 * 2, with c = 6
    np.testing.assert_allclose(net.blobs["a"].diff, np.full((2, 3), 2 * 6 * 1.5 * 2))
    assert net.layer_dict["p"].propagated == [True]
    assert net.layer_dict["p"].seen == ("TRAIN", 0, True)
    assert net.params["p"][0].diff.tolist() == [1, 1]


def test_phase_is_a_number_whose_text_is_its_name(caffe: Any, folder: Path) -> None:
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TEST)
    assert net.layer_dict["p"].seen == ("TEST", 1, False)
    assert f"{net.layer_dict['p'].phase}" == "TEST"


def test_its_blobs_are_saved_loaded_and_shared(caffe: Any, folder: Path) -> None:
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TEST)
    net.params["p"][0].data[...] = [7, 8]
    net.save(str(folder / "a.caffemodel"))
    again = caffe.Net(str(folder / "net.prototxt"), str(folder / "a.caffemodel"), caffe.TEST)
    assert again.layers[2].blobs[0].data.tolist() == [7, 8]
    again.params["p"][0].data[...] = 0
    again.share_with(net)
    net.params["p"][0].data[...] = [3, 4]
    assert again.params["p"][0].data.tolist() == [3, 4]


def test_what_it_raises_passes_through(caffe: Any, folder: Path) -> None:
    path = folder / "bad.prototxt"
    path.write_text(NET.replace('"Source"', '"Failing"'))
    with pytest.raises(KeyError, match="mine"):
        caffe.Net(str(path), caffe.TEST)


def test_conversion_still_runs_no_code_of_a_files(folder: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"users\.Scaled is Python code"):
        converter.load(folder / "net.prototxt")


def test_a_known_port_serves_where_the_module_is_not_there(caffe: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text("""
layer { name: "in" type: "Input" top: "a" top: "b"
  input_param { shape { dim: 2 dim: 3 } shape { dim: 2 dim: 3 } } }
layer { name: "l" type: "Python" bottom: "a" bottom: "b" top: "loss" loss_weight: 1
  python_param { module: "pyloss" layer: "EuclideanLossLayer" } }
""")
    net = caffe.Net(str(path), caffe.TEST)
    net.blobs["a"].data[...] = 3
    assert float(net.forward()["loss"].sum()) == pytest.approx(6 * 9 / 2 / 2)
    path.write_text(path.read_text().replace("pyloss", "nowhere"))
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        caffe.Net(str(path), caffe.TEST)

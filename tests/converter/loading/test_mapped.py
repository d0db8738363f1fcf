"""Networks whose blobs are the very bytes of a caffemodel, mapped."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from converter.loading.weights import fill_layer
from converter.verification.run import stretches_for
from converter.verification.torch_pass import torch_pass
from prototxt import Blob, read_net, write_caffemodel
from tests.support import layers_with_blobs

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 3, 6, 6] } } }\n'
CONV = """layer { name: "%s" type: "Convolution" bottom: "x" top: "%s" %s
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 1 } } }
"""
SHARED = 'param { name: "w" share_mode: %s } param { name: "b" }'


def written(folder, text, dtype=torch.float32):
    """Write a definition and its weights, drawn; return both paths."""
    net, weights = folder / "net.prototxt", folder / "net.caffemodel"
    net.write_text(text)
    made = converter.load(net, dtype=dtype)
    for index, blob in enumerate(blob for layer in made.layers.values() for blob in layer.blobs):
        drawn = torch.randn(blob.shape, generator=torch.Generator().manual_seed(index))
        blob.data = drawn.to(blob.dtype).abs() + 1
    converter.save_caffemodel(made, weights)
    return net, weights


def in_file(net: converter.CaffeNet) -> list[bool]:
    """Tell of each blob whether it lies in the mapped file."""
    (source,) = net.origin.weights
    assert source._pages is not None
    pages = np.frombuffer(source._pages, np.uint8)
    begin = pages.ctypes.data
    blobs = [blob for layer in net.layers.values() for blob in layer.blobs]
    return [begin <= blob.data_ptr() < begin + pages.size for blob in blobs]


@pytest.mark.parametrize("row", layers_with_blobs.ROWS, ids="-".join)
def test_every_layer_has_the_same_blobs(row, tmp_path):
    kind, fork = row
    text = layers_with_blobs.inputs() + layers_with_blobs.layer(kind, layers_with_blobs.ROWS[row])
    path, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    path.write_text(text)
    converter.save_caffemodel(converter.load(path, dialect=fork), weights)
    own = converter.load(path, weights, dialect=fork)
    mapped = converter.load(path, weights, dialect=fork, mapped=True)
    want = own.state_dict()
    assert mapped.state_dict().keys() == want.keys()
    for key, value in mapped.state_dict().items():
        assert torch.equal(value, want[key]), key


def test_blobs_are_the_files_bytes_and_the_file_stays_as_it_is(tmp_path):
    path, weights = written(tmp_path, INPUT + CONV % ("conv", "y", ""))
    content = weights.read_bytes()
    own = converter.load(path, weights)
    net = converter.load(path, weights, mapped=True)
    assert in_file(net) == [True, True]
    x = torch.randn(2, 3, 6, 6)
    assert torch.allclose(net(x)["y"], own(x)["y"], rtol=1e-5)
    net(x)["y"].sum().backward()
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    assert not torch.equal(net.params["conv"][0], own.params["conv"][0])
    assert weights.read_bytes() == content
    trained = net.params["conv"][0].clone()
    net.origin.let_go()
    assert torch.equal(net.params["conv"][0], trained)


def test_what_is_let_go_is_read_again(tmp_path):
    path, weights = written(tmp_path, INPUT + CONV % ("conv", "y", ""))
    want = converter.load(path, weights).state_dict()
    net = converter.load(path, weights, mapped=True)
    net.origin.let_go()
    assert all(torch.equal(value, want[key]) for key, value in net.state_dict().items())


def test_a_copy_has_memory_of_its_own(tmp_path):
    path, weights = written(tmp_path, INPUT + CONV % ("conv", "y", ""))
    net = converter.load(path, weights, mapped=True).optimize()
    assert not any(in_file(net))


def test_doubles_and_what_is_to_be_doubles_are_copied(tmp_path):
    path, weights = written(tmp_path, INPUT + CONV % ("conv", "y", ""), torch.float64)
    want = converter.load(path, weights).state_dict()
    net = converter.load(path, weights, mapped=True)
    assert not any(in_file(net))
    assert all(torch.equal(value, want[key]) for key, value in net.state_dict().items())
    assert not any(in_file(converter.load(path, weights, mapped=True, dtype="float64")))


def test_one_layer_that_fills_several_gives_each_its_own(tmp_path):
    path, weights = written(tmp_path, INPUT + CONV % ("conv", "y", ""))
    path.write_text(INPUT + CONV % ("a", "a", "") + CONV % ("b", "b", ""))
    net = converter.load(path, weights, rename={"conv": "a,b"}, mapped=True)
    with torch.no_grad():
        net.params["a"][0].zero_()
    assert net.params["b"][0].abs().min() > 0


WHOLE = CONV % ("b", "b", SHARED % "STRICT")
FLAT = """layer { name: "flat" type: "Reshape" bottom: "x" top: "flat"
  reshape_param { shape { dim: [6, 36] } } }
layer { name: "b" type: "InnerProduct" bottom: "flat" top: "b"
  param { name: "w" share_mode: PERMISSIVE } inner_product_param { num_output: 3 } }
"""


@pytest.mark.parametrize("other", [WHOLE, FLAT], ids=["of one shape", "of another"])
def test_shared_blobs_stay_shared(other, tmp_path):
    path, weights = written(tmp_path, INPUT + CONV % ("a", "a", SHARED % "STRICT") + other)
    params = converter.load(path, weights).params
    blobs = {name: [one.detach().numpy() for one in params[name]] for name in ("a", "b")}
    blobs["b"] = [1 + blob for blob in blobs["b"]]  # of several the last one holds
    write_caffemodel(weights, read_net(path), blobs)
    net = converter.load(path, weights, mapped=True)
    assert torch.equal(net.params["b"][0], torch.from_numpy(blobs["b"][0]))
    assert torch.equal(net.params["b"][0], converter.load(path, weights).params["b"][0])
    with torch.no_grad():
        net.params["a"][0].fill_(3)
    assert net.params["b"][0].eq(3).all()


def test_values_that_do_not_follow_each_other_are_copied(tmp_path):
    """So they are in files of writers before packed fields: a key stands before each value."""
    path, weights = written(tmp_path, INPUT + CONV % ("conv", "y", ""))
    layer = converter.load(path, weights).layers["conv"]
    run = np.arange(216, dtype=np.float32)[::2]
    fill_layer(layer, [Blob(run, (4, 3, 3, 3)), Blob(run[:4], (4,))], mapped=True)
    assert layer.bias.tolist() == [0, 2, 4, 6]
    layer.bias.data.zero_()
    assert run[1] == 2


@pytest.mark.skipif(sys.platform != "linux", reason="the page table is Linux's")
def test_verification_holds_no_blobs_while_the_other_engine_runs(tmp_path):
    path, weights = written(tmp_path, INPUT + CONV % ("conv", "y", ""))
    net = converter.load(path, weights, mapped=True)
    pages = np.frombuffer(net.origin.weights[0]._pages, np.uint8)
    fed = {"x": torch.randn(2, 3, 6, 6)}
    for _ in torch_pass(net, stretches_for(net, fed), fed):
        with Path("/proc/self/pagemap").open("rb", buffering=0) as table:
            table.seek(8 * (pages.ctypes.data // mmap.PAGESIZE))
            (entry,) = np.frombuffer(table.read(8), np.uint64)
        assert not int(entry) >> 63  # the page is not present
    assert net.params["conv"][1].abs().min() > 0

"""Networks folded into definitions that Caffe reads: the same numbers, and fewer layers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

import converter
from converter.__main__ import main
from prototxt import UnsupportedError, read_net

INPUT = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 4, 7, 6] } } }
"""
CONV = """layer { name: "conv%s" type: "Convolution" bottom: "%s" top: "%s" convolution_param {
  num_output: 6 kernel_size: 3 bias_term: %s group: 2 weight_filler { type: "gaussian" std: 1 }
  bias_filler { type: "gaussian" std: 1 } } }
"""
NORM = """layer { name: "bn%s" type: "BatchNorm" bottom: "%s" top: "%s" }
layer { name: "scale%s" type: "Scale" bottom: "%s" top: "%s" scale_param { bias_term: true
  filler { type: "uniform" min: 0.5 max: 2 } bias_filler { type: "gaussian" std: 1 } } }
"""
RELU = """layer { name: "relu%s" type: "ReLU" bottom: "%s" top: "%s" }
"""
SUM = 'layer { name: "sum" type: "Eltwise" bottom: "c" bottom: "s" top: "sum" }'
IN_PLACE = INPUT + CONV % ("1", "x", "c", "false") + NORM % (("1", "c", "c") * 2)
RENAMED = INPUT + CONV % ("1", "x", "c", "false") + NORM % ("1", "c", "b", "1", "b", "s")
SECOND = CONV % ("2", "c", "d", "false") + NORM % (("2", "d", "d") * 2)
RELU_IN_PLACE = RELU % ("1", "c", "c")
CHAINS = {
    "in place": (IN_PLACE + RELU_IN_PLACE, ["in", "conv1", "relu1"]),
    "by other names": (RENAMED + RELU % ("1", "s", "r"), ["in", "conv1", "relu1"]),
    "with a bias": (IN_PLACE.replace("bias_term: false", ""), ["in", "conv1"]),
    "transposed": (
        IN_PLACE.replace('"Convolution"', '"Deconvolution"'),
        ["in", "conv1", "bn1", "scale1"],  # it takes nothing in
    ),
    "two in a row": (IN_PLACE + RELU_IN_PLACE + SECOND, ["in", "conv1", "relu1", "conv2"]),
    "shared numbers": (
        (IN_PLACE + SECOND.replace('"c"', '"x"', 1))
        .replace('top: "c" convolution', 'top: "c" param { name: "w" } convolution')
        .replace('top: "d" convolution', 'top: "d" param { name: "w" } convolution')
        + (CONV % ("3", "x", "e", "false")).replace(
            "convolution_param", 'param { name: "w" } convolution_param'
        ),
        ["in", "conv1", "conv2", "conv3"],
    ),
    "read twice": (RENAMED + SUM, ["in", "conv1", "bn1", "scale1", "sum"]),
}
"""Definitions, and the layers that are left of them."""


def trained(folder, text):
    """Write a network with statistics that do something; return its two files."""
    net, weights = folder / "net.prototxt", folder / "net.caffemodel"
    net.write_text(text)
    made = converter.load(net, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    for name, blobs in made.params.items():
        if name.startswith("bn"):
            blobs[0].data.normal_(0, 2, generator=generator)
            blobs[1].data.uniform_(0.5, 3, generator=generator)
            blobs[2].data.fill_(1)
    converter.save_caffemodel(made, weights)
    return net, weights


@pytest.mark.parametrize("what", CHAINS)
def test_a_folded_network_computes_the_same(what, tmp_path):
    text, left = CHAINS[what]
    files, out = trained(tmp_path, text), tmp_path / "out"
    net = converter.load(*files, dtype=torch.float64)
    options = {"fold_bn": True, "formats": ["caffemodel"], "dtype": torch.float64}
    converter.convert(*files, out, verify_it=False, **options)
    made = [out / "net.prototxt", out / "net.caffemodel"]
    folded = converter.load(*made, dtype=torch.float64, require_weights=True)
    assert [layer.name for layer in read_net(made[0]).layers] == left
    learned = ("conv", "bn", "scale")
    assert list(folded.params) == [name for name in left if name.startswith(learned)]
    x = torch.randn(2, 4, 7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    want, got = net({"x": x}), folded({"x": x})
    assert want.keys() == got.keys()
    for name, value in want.items():
        assert torch.allclose(
            got[name], value, rtol=0, atol=1e-9 * float(value.detach().abs().max())
        )


@pytest.mark.skipif(
    not hasattr(cv2.dnn, "readNetFromCaffe"), reason="OpenCV reads no Caffe files since version 5"
)
def test_another_reader_of_caffes_files_agrees(tmp_path):
    net, weights = trained(tmp_path, CHAINS["two in a row"][0])
    out = tmp_path / "out"
    args = ["convert", str(net), str(weights), "-o", str(out), "--format", "caffemodel"]
    assert main([*args, "--fold-bn", "--no-verify", "--quiet"]) == 0
    x = np.random.default_rng(1).standard_normal((2, 4, 7, 6)).astype(np.float32)
    theirs = cv2.dnn.readNetFromCaffe(str(out / "net.prototxt"), str(out / "net.caffemodel"))
    theirs.setInput(x)
    (want,) = converter.load(net, weights)({"x": torch.from_numpy(x)}).values()
    off = np.abs(theirs.forward() - want.detach().numpy()).max()
    assert off <= 1e-5 * float(want.detach().abs().max())


def test_the_network_itself_stays_as_it_is(tmp_path):
    net = converter.load(*trained(tmp_path, IN_PLACE))
    folded = converter.fold(net)
    assert list(net.params) == ["conv1", "bn1", "scale1"]
    assert [tuple(blob.shape) for blob in folded.params["conv1"]] == [(6, 2, 3, 3), (6,)]
    assert not net.definition.layers[1].convolution_param.bias_term
    assert folded.definition.layers[1].convolution_param.bias_term
    assert "folded 2 layers" in folded.notes[-1]


def test_what_cannot_be_folded(tmp_path):
    files = trained(tmp_path, IN_PLACE)
    net = converter.load(*files)
    with pytest.raises(UnsupportedError, match="only a network as it was loaded"):
        converter.fold(net.optimize())
    with pytest.raises(UnsupportedError, match="TRAIN phase learns"):
        converter.fold(converter.load(*files, phase="TRAIN"))
    with pytest.raises(UnsupportedError, match=r"layers that Caffe has not\n  fix: save the netw"):
        converter.save_caffemodel(net.optimize(), tmp_path / "optimized.caffemodel")
    assert not (tmp_path / "optimized.caffemodel").exists()


MERGED = INPUT + CONV % ("1", "x", "c", "true") + RELU_IN_PLACE


def test_weights_that_are_not_merged_load_into_a_merged_definition(tmp_path, capsys):
    net, weights = trained(tmp_path, IN_PLACE + RELU_IN_PLACE)
    merged = tmp_path / "merged.prototxt"
    merged.write_text(MERGED)
    want = converter.load(net, weights, dtype=torch.float64)
    x = {"x": torch.randn(2, 4, 7, 6, dtype=torch.float64)}
    got = converter.load(merged, weights, dtype=torch.float64, merge_bn=True)
    assert [name for name, blobs in got.params.items() if len(blobs) == 2] == ["conv1"]
    assert torch.allclose(got(x)["c"], want(x)["c"], rtol=0, atol=1e-9)
    assert "the weights' normalisation is merged into the convolutions before it" in got.notes
    with pytest.raises(converter.CaffeError, match=r"1 blobs, wants weight, bias\n.*--fold-bn"):
        converter.load(merged, weights)
    files = [str(merged), str(weights)]
    assert main(["convert", *files, "-o", str(tmp_path / "out"), "--fold-bn"]) == 0
    assert main(["check", *files, "--fold-bn"]) == 0
    assert main(["check", *files]) == 1
    assert "--fold-bn merges it" in capsys.readouterr().out


def test_what_is_not_to_be_merged_is_refused(tmp_path):
    net, weights = trained(tmp_path, IN_PLACE)
    with pytest.raises(converter.UsageError, match="no normalisation that the definition lacks"):
        converter.load(net, weights, merge_bn=True)
    with pytest.raises(converter.UsageError, match="no weights are given whose normalisation"):
        converter.load(net, merge_bn=True)
    converter.save_caffemodel(converter.load(net, weights), tmp_path / "net.caffemodel.h5")
    merged = tmp_path / "merged.prototxt"
    merged.write_text(MERGED)
    with pytest.raises(converter.UsageError, match="blobs alone, and not which layer normalises"):
        converter.load(merged, tmp_path / "net.caffemodel.h5", merge_bn=True)

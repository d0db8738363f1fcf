"""`upgrade` on files of every generation, text and binary, beside Caffe's own upgrade tools."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import converter
from converter.__main__ import main
from prototxt import FormatError, parse_text, read_net, read_weights, schema
from prototxt.binary.caffemodel import parse_binary
from prototxt.upgrade_file import upgrade_file
from tests.support import recorded

BINARY = {"v0_legacy": "V0", "v1_double": "V1", "v1_legacy": "V1", "v1_shape": "V1"}
TEXT = {"v0_lenet": "V0", "v0_padding": "V0", "v1_basic": "V1", "v2_input_shape": "V2"}


@pytest.fixture(scope="module")
def protos():
    return recorded.unpack("protos")


@pytest.mark.parametrize("case", BINARY)
def test_binary_is_byte_for_byte_what_caffe_writes(case, protos, tmp_path, capsys):
    folder, target = protos / "upgrade_binary" / case, tmp_path / "out.caffemodel"
    assert main(["upgrade", str(folder / "in.caffemodel"), str(target)]) == 0
    assert target.read_bytes() == (folder / "out.caffemodel").read_bytes()
    out = capsys.readouterr().out
    assert out.endswith(f"binary, today's form; {folder / 'in.caffemodel'} was {BINARY[case]}\n")


@pytest.mark.parametrize("case", BINARY)
def test_upgraded_weights_compute_what_caffe_computed(case, protos, tmp_path):
    folder, target = protos / "upgrade_binary" / case, tmp_path / "out.caffemodel"
    upgrade_file(folder / "in.caffemodel", target)
    net = converter.load(folder / "deploy.prototxt", target)
    with np.load(folder / "expected.npz") as expected:
        blobs = net.blobs({"data": torch.from_numpy(expected["in|data"]).float()})
        wants = {key[4:]: expected[key] for key in expected if key.startswith("out|")}
    assert wants
    for blob, want in wants.items():
        recorded.assert_close(blobs[blob].detach(), want, blob, 1e-5)


@pytest.mark.parametrize("case", TEXT)
def test_text_is_the_message_that_caffe_writes(case, protos, tmp_path, capsys):
    folder, target = protos / "upgrade" / case, tmp_path / "out.prototxt"
    assert main(["upgrade", str(folder / "in.prototxt"), str(target)]) == 0
    got, want = (parse_text(path.read_text()) for path in (target, folder / "out.prototxt"))
    assert got.header == want.header
    assert got.layers == want.layers
    assert f"was {TEXT[case]}\n" in capsys.readouterr().out


def test_what_caffe_drops_is_said(protos, tmp_path, capsys):
    folder = protos / "upgrade" / "v0_drops_fields"
    assert main(["upgrade", str(folder / "in.prototxt"), str(tmp_path / "out.prototxt")]) == 0
    dropped = read_net(folder / "in.prototxt").dropped
    assert dropped
    assert capsys.readouterr().out.count("note: left out ") == len(dropped)


def test_forms_follow_the_suffix(protos, tmp_path, capsys):
    source = protos / "upgrade_binary" / "v1_shape" / "in.caffemodel"
    text, binary, other = (tmp_path / name for name in ("a.prototxt", "b.protobin", "c.new"))
    assert main(["upgrade", str(source), str(text)]) == 0
    said = "note: left out the weights, which a text does not hold (layers with weights: 3)\n"
    assert said in capsys.readouterr().out
    assert read_net(text).layers == read_net(source).layers
    assert main(["upgrade", str(text), str(binary)]) == 0
    assert read_net(binary).layers == read_net(source).layers
    assert capsys.readouterr().out.endswith(f"{text} was today's form\n")
    upgrade_file(text, other)
    assert other.read_bytes() == text.read_bytes()
    upgrade_file(source, other)
    assert other.read_bytes().startswith(b"\n")
    assert len(read_weights(other).layers) == len(read_net(source).layers)


def test_file_may_be_upgraded_in_place(protos, tmp_path):
    folder, net = protos / "upgrade_binary" / "v0_legacy", tmp_path / "net.caffemodel"
    net.write_bytes((folder / "in.caffemodel").read_bytes())
    upgrade_file(net, net)
    assert net.read_bytes() == (folder / "out.caffemodel").read_bytes()
    assert upgrade_file(net, net).up_to_date


def test_blobs_stay_with_their_layers_where_padding_goes(protos, tmp_path):
    net = parse_text((protos / "upgrade" / "v0_padding" / "in.prototxt").read_text())
    whole = schema.dialect("bvlc").message("NetParameter")()
    whole.CopyFrom(net.header)
    for number, layer in enumerate(net.layers):
        kept = whole.layers.add()
        kept.CopyFrom(layer)
        if layer.layer.type == "conv":
            kept.layer.blobs.add(num=1, channels=1, height=1, width=1, data=[number])
    source, target = tmp_path / "in.caffemodel", tmp_path / "out.caffemodel"
    source.write_bytes(whole.SerializeToString())
    upgrade_file(source, target)
    wants = {
        layer.layer.name: float(number)
        for number, layer in enumerate(net.layers)
        if layer.layer.type == "conv"
    }
    weights = read_weights(target)
    assert "padding" in {layer.layer.type for layer in net.layers}
    assert len(weights.layers) < len(net.layers) + 1
    got = {layer.name: layer.blobs[0].values[0] for layer in weights.layers if layer.blobs}
    assert got == wants


def test_half_precision_becomes_float(tmp_path):
    values = np.array([1.5, -2.25], "<f2")
    blob = b"\x3a\x03\x0a\x01\x02\x50\x02\x62\x04" + values.tobytes()  # shape, raw type, raw data
    layer = b"\x0a\x01c\x12\x05Scale\x3a" + bytes([len(blob)]) + blob
    source, target = tmp_path / "half.caffemodel", tmp_path / "float.caffemodel"
    source.write_bytes(b"\xa2\x06" + bytes([len(layer)]) + layer)
    upgrade_file(source, target)
    (written,) = parse_binary(memoryview(target.read_bytes()), "float").layers[0].blobs
    assert written.values.dtype == np.float32
    assert written.shape == (2,)
    assert written.values.tolist() == [1.5, -2.25]


def test_refused_file_leaves_nothing_behind(protos, tmp_path, capsys):
    source = protos / "upgrade" / "v0_unknown_type" / "in.prototxt"
    assert main(["upgrade", str(source), str(tmp_path / "out.prototxt")]) == 1
    assert "'reluu' is no V0 layer type" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_unknown_field_is_refused_or_said(tmp_path, capsys):
    source = tmp_path / "in.prototxt"
    source.write_text('layers { name: "a" type: RELU bottom: "x" top: "x" odd: 1 }')
    with pytest.raises(FormatError, match="no field 'odd'"):
        upgrade_file(source, tmp_path / "out.prototxt")
    assert main(["upgrade", str(source), str(tmp_path / "out.prototxt"), "--allow-unknown"]) == 0
    assert f"note: left out {source}:1:52: V1LayerParameter.odd\n" in capsys.readouterr().out

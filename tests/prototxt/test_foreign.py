"""Files that are something else are named as what they are."""

from __future__ import annotations

import pickle
import zipfile

import pytest

from prototxt import FormatError, read_blob, read_net, read_weights

HTML = b"\n<!DOCTYPE html>\n<html><body>404 not found</body></html>"
TEXT = 'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"")


KINDS = {
    "an HTML page": lambda path: path.write_bytes(HTML),
    "text in UTF-16": lambda path: path.write_bytes(TEXT.encode("utf-16")),
    "a zip archive": archive,
    "a Python pickle": lambda path: path.write_bytes(pickle.dumps({"conv": 1}, protocol=2)),
    "a gzip file": lambda path: path.write_bytes(b"\x1f\x8b\x08\x00\x00"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("read", [read_weights, read_net], ids=["weights", "definition"])
def test_a_file_is_named_as_what_it_is(kind, read, tmp_path):
    path = tmp_path / "net.caffemodel"
    KINDS[kind](path)
    with pytest.raises(FormatError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: {kind}")
    assert caught.value.fix


def test_weights_alone_are_no_definition(tmp_path):
    header = b'{"conv.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path = tmp_path / "net.caffemodel"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(FormatError, match="a safetensors file, wants a network's text") as caught:
        read_net(path)
    assert caught.value.fix == "it holds weights alone: give it after the network's .prototxt"


def test_a_mean_file_too(tmp_path):
    (tmp_path / "mean.binaryproto").write_bytes(HTML)
    with pytest.raises(FormatError, match="an HTML page, wants a blob"):
        read_blob(tmp_path / "mean.binaryproto")


def test_a_layers_type_in_quotes_is_a_layers_of_today(tmp_path):
    (tmp_path / "net.prototxt").write_text(TEXT.replace("layer", "layers"))
    with pytest.raises(FormatError, match='"ReLU" is a string, wants a bare LayerType') as caught:
        read_net(tmp_path / "net.prototxt")
    assert caught.value.fix == "a type in quotes is that of a `layer`: write layer, not layers"

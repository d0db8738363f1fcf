"""Fields of binary networks that no dialect knows: refused, or passed over and reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import prototxt
from prototxt import FormatError, schema


def varint(number: int, value: int) -> bytes:
    """Return a field of a varint whose key takes two bytes."""
    key = number << 3
    return bytes([key & 127 | 128, key >> 7, value])


def network(extra: bytes, inner: bytes = b"", kind: str = "Pooling") -> bytes:
    """Return a network of one layer with bytes added to it and to its pooling_param."""
    layer: Any = schema.dialect("bvlc").message("LayerParameter")(name="p", type=kind)
    layer.pooling_param.kernel_size = 2
    layer.pooling_param.MergeFromString(inner)
    data = layer.SerializeToString() + extra
    return b"\xa2\x06" + bytes([len(data)]) + data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (network(varint(603, 1)), "LayerParameter has the unknown field 603"),
        (network(b"", varint(99, 7)), "PoolingParameter has the unknown field 99"),
    ],
)
def test_an_unknown_field_is_refused_or_reported(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    said = f"{path}: layer 'p' (Pooling): {said}"
    with pytest.raises(FormatError) as caught:
        prototxt.read_net(path)
    assert str(caught.value).startswith(f"{said}\n  fix: name the fork with --dialect")
    net = prototxt.read_net(path, allow_unknown=True)
    assert net.unknown == [said]
    assert net.layers[0].pooling_param.kernel_size == 2
    assert [layer.name for layer in prototxt.read_weights(path).layers] == ["p"]


def test_an_unknown_field_of_the_header(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(network(b"") + varint(900, 1))
    with pytest.raises(FormatError, match="NetParameter has the unknown field 900"):
        prototxt.read_net(path)
    path.write_bytes(network(b""))
    assert prototxt.read_net(path).unknown == []


def test_a_type_that_no_schema_knows_is_named_as_that(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(network(b"", varint(99, 7), "NobodysProduct"))
    with pytest.raises(FormatError) as caught:
        prototxt.read_net(path)
    assert str(caught.value).startswith(
        f"{path}: layer 'p' (NobodysProduct): PoolingParameter has the unknown field 99, and no "
        "schema here has fields of that type\n"
    )

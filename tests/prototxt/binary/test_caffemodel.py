"""Caffemodels: exact bytes in, exact values out; each way to be broken has its message."""

from __future__ import annotations

import struct
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from prototxt import (
    CaffeError,
    FormatError,
    UnsupportedError,
    WeightError,
    parse_text,
    read_blob,
    read_net,
    read_weights,
    write_caffemodel,
)
from prototxt.binary.caffemodel import parse_binary, read_binary
from prototxt.schema import dialect_of

# ---- Handmade bytes ---------------------------------------------------------------------------

CUT = "\n  fix: is the file cut off? compare its size with its source's"


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value & (1 << 64) - 1)


def chunk(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def doubles(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


def shape(*dims: int) -> bytes:
    return chunk(7, chunk(1, b"".join(map(varint, dims))))


def layer(*parts: bytes, name: bytes = b"conv1", kind: bytes = b"Convolution") -> bytes:
    return chunk(100, chunk(1, name) + chunk(2, kind) + b"".join(parts))


def read(data: bytes):
    return parse_binary(memoryview(data), "net.caffemodel")


def only_blob(*parts: bytes):
    (blob,) = read(layer(chunk(7, b"".join(parts)))).layers[0].blobs
    return blob


def refused(*parts: bytes) -> str:
    with pytest.raises(CaffeError) as caught:
        read(b"".join(parts))
    return str(caught.value)


def refused_blob(*parts: bytes) -> str:
    """Return the message about a blob, whose own bytes begin at byte 25."""
    return refused(layer(chunk(7, b"".join(parts))))


# ---- Blobs ------------------------------------------------------------------------------------

ONE = b"\x35" + floats(1)  # never field 5's key
UNPACKED = b"".join(b"\x2d" + floats(value) for value in (1, 2, 3))
UNPACKED_DOUBLES = b"".join(b"\x41" + doubles(value) for value in (1, 2, 3))


@pytest.mark.parametrize(
    "parts",
    [
        (chunk(5, floats(1, 2, 3)), shape(3)),
        (shape(3), chunk(5, floats(1, 2, 3))),
        (UNPACKED, shape(3)),
        (UNPACKED, ONE, ONE, shape(3)),
        (chunk(5, floats(1)), b"\x2d" + floats(2), chunk(5, floats(3)), shape(3)),
        (b"\x2d" + floats(1), chunk(5, floats(2, 3)), shape(3)),
        (chunk(5, floats(1, 2, 3)), chunk(6, floats(7, 8, 9)), shape(3)),
        (chunk(5, floats(1, 2, 3)), chunk(7, number(1, 3))),  # an unpacked dim
        (chunk(5, floats(1, 2, 3)), chunk(99, b"later"), shape(3)),
        (chunk(12, floats(1, 2, 3)), number(10, 1), shape(3)),  # NVIDIA's raw data
    ],
)
def test_float_storage(parts):
    blob = only_blob(*parts)
    assert blob.values.dtype == np.float32
    assert blob.values.tolist() == [1, 2, 3]
    assert (blob.shape, blob.legacy) == ((3,), False)


@pytest.mark.parametrize(
    "parts",
    [
        (chunk(8, doubles(1, 2, 3)), shape(3)),
        (UNPACKED_DOUBLES, shape(3)),
        (chunk(5, floats(7, 8, 9)), chunk(8, doubles(1, 2, 3)), shape(3)),  # doubles win
        (chunk(12, doubles(1, 2, 3)), number(10, 0), shape(3)),
        (chunk(12, doubles(1, 2, 3)), shape(3)),  # 0 is the enum's default
    ],
)
def test_double_storage(parts):
    blob = only_blob(*parts)
    assert blob.values.dtype == np.float64
    assert blob.values.tolist() == [1, 2, 3]


def test_half_storage():
    blob = only_blob(chunk(12, np.array([1, -2, 0.5], "<f2").tobytes()), number(10, 2), shape(3))
    assert blob.values.dtype == np.float16
    assert blob.values.tolist() == [1, -2, 0.5]


@pytest.mark.parametrize(
    ("parts", "want"),
    [
        ((number(1, 1), number(2, 1), number(3, 2), number(4, 3)), (1, 1, 2, 3)),
        ((number(1, 1), number(2, 1), number(3, 2), number(4, 3), shape(6)), (1, 1, 2, 3)),
        ((shape(2, 3),), (2, 3)),
        ((shape(2), shape(3)), (2, 3)),  # two occurrences merge
    ],
)
def test_shape_notations(parts, want):
    blob = only_blob(chunk(5, floats(*range(6))), *parts)
    assert (blob.shape, blob.legacy) == (want, len(want) == 4)
    assert blob.array.shape == want


VOLUME = [number(field, size) for field, size in enumerate((2, 1, 1, 3, 2), 1)]
VALUES = floats(*range(12))


@pytest.mark.parametrize(
    "values",
    [chunk(6, VALUES), b"".join(b"\x35" + VALUES[at : at + 4] for at in range(0, 48, 4))],
    ids=["packed", "unpacked"],
)
def test_c3ds_blob_has_a_length_and_its_data_behind(values):
    blob = only_blob(*VOLUME, values, chunk(7, floats(1)))
    assert blob.shape == (2, 1, 1, 3, 2)
    assert blob.array.ravel().tolist() == list(range(12))
    assert blob.fits((2, 1, 1, 3, 2))
    assert not blob.fits((2, 1, 3, 2))
    assert only_blob(*[number(field, 1) for field in (1, 2, 3)], number(4, 3), number(5, 4),
                     chunk(6, VALUES)).fits((3, 4))  # fmt: skip


def test_a_c3d_blob_that_is_broken_says_so():
    said = "values, its shape (2, 1, 1, 3, 2) wants 12"
    assert refused_blob(*VOLUME, chunk(6, floats(1))).endswith(f"1 {said}")
    assert refused_blob(*VOLUME).endswith(f"0 {said}")


def test_absent_legacy_dims_are_zero():
    blob = only_blob(number(2, 5))
    assert (blob.shape, blob.values.size) == ((0, 5, 0, 0), 0)


def test_a_blob_without_shape_is_a_scalar():
    blob = only_blob(chunk(5, floats(4)))
    assert (blob.shape, blob.array.item()) == ((), 4)


def test_a_packed_blob_is_a_view():
    data = bytearray(layer(chunk(7, chunk(5, floats(1, 2)) + shape(2))))
    (blob,) = read(data).layers[0].blobs
    before = blob.array.copy()
    data[:] = data.replace(floats(1), floats(5))
    assert before.tolist() == [1, 2]
    assert blob.array.tolist() == [5, 2]


@pytest.mark.parametrize(
    ("source", "legacy", "target", "fits"),
    [
        ((2, 3), False, (2, 3), True),
        ((1, 3), False, (3,), False),
        ((1, 1, 1, 3), False, (3,), False),
        ((1, 1, 1, 3), True, (3,), True),
        ((1, 1, 2, 3), True, (2, 3), True),
        ((1, 1, 2, 3), True, (1, 2, 3), True),
        ((4, 3, 2, 3), True, (4, 3, 2, 3), True),
        ((1, 1, 1, 1), True, (), True),
        ((3, 1, 1, 1), True, (3,), False),
        ((1, 3, 1, 1), True, (3,), False),
        ((1, 3, 1, 1), True, (3, 1, 1), True),
        ((1, 1, 1, 3), True, (1, 1, 1, 1, 3), False),
    ],
)
def test_fits_is_caffes_shape_equals(source, legacy, target, fits):
    dims = shape(*source)
    if legacy:
        dims = b"".join(number(at, dim) for at, dim in enumerate(source, 1))
    values = chunk(5, floats(*range(int(np.prod(source)))))
    assert only_blob(values, dims).fits(target) is fits


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((chunk(5, floats(1, 2)), shape(3)), "byte 25: 2 values, its shape (3,) wants 3"),
        ((chunk(5, floats(1, 2)),), "byte 25: 2 values, it has no shape, which wants 1"),
        ((chunk(5, b"12345"), shape(1)), "byte 25: field 5 has 5 bytes, no multiple of 4"),
        ((number(5, 1), shape(1)), "byte 25: field 5 has wire type 0"),
        ((b"\x29" + doubles(1), shape(1)), "byte 25: field 5 has wire type 1"),
        (
            (chunk(6, floats(1, 2)), shape(2)),
            "byte 25: the values lie in `diff`, which Caffe does not load\n"
            "  fix: move them to `data`",
        ),
        (
            (number(1, -1), number(2, 1)),
            "byte 25: a negative dimension in the shape (-1, 1, 0, 0)",
        ),
        ((shape(2**64 - 1),), "byte 25: a negative dimension in the shape (-1,)"),
        ((shape(*[1] * 33),), "byte 27: a blob has at most 32 axes"),
        (
            (shape(65536, 65536),),
            "byte 25: the shape (65536, 65536) has more than 2147483647 values",
        ),
        ((chunk(7, chunk(1, b"\x80")),), "byte 29: a number is cut off at byte 30"),
        ((chunk(7, b"\x0d" + floats(1)),), "byte 27: a shape's dim has wire type 5"),
        (
            (chunk(12, b"123"), number(10, 2), shape(1)),
            "byte 25: 3 bytes of raw data, no multiple of 2",
        ),
        ((chunk(12, b"12"), number(10, 3), shape(1)), "byte 25: raw data of type 3, wants a float"),
        ((b"\x2b",), "byte 25: field 5 has wire type 3"),
        ((b"\x00\x00",), "byte 25: field number 0, which protobuf does not have"),
        ((b"\x80" * 10 + b"\x01",), "byte 25: a number of more than 10 bytes"),
        ((b"\x2a\x05abc",), f"byte 25: field 5 ends at byte 32, there are 30{CUT}"),
    ],
)
def test_broken_blobs(parts, said):
    assert refused_blob(*parts) == f"layer 'conv1': blob 0: {said}"


# ---- Files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((), "no layers in it\n  fix: is it a .caffemodel?"),
        ((chunk(1, b"net"),), "no layers in it\n  fix: is it a .caffemodel?"),
        ((number(1, 12),), "no network: its first field is no name, as in a .solverstate"),
        (
            (number(1, 12), chunk(2, b"net"), chunk(3, b""), number(4, 0)),
            "no network: its first field is no name, as in a .solverstate",
        ),
        (
            (number(1, 10), chunk(7, b""), chunk(8, b"")),
            "an ONNX model, wants a network or weights of Caffe's\n"
            "  fix: give what it was made of; `run` takes the model itself, `verify` after both "
            "files",
        ),
        ((number(100, 1),), "byte 0: a layer has wire type 0"),
        ((chunk(100, chunk(1, b"\xff")),), "byte 5: a name that is not UTF-8"),
        ((chunk(100, number(1, 3)),), "byte 3: field 1 holds no text"),
        ((layer(), chunk(2, chunk(4, b"a"))), "layers of V1 and V2 in one file, wants one"),
        (
            (chunk(2, chunk(4, b"a")), chunk(2, chunk(1, chunk(1, b"b")))),
            "layers of V0 and V1 in one file, wants one",
        ),
        ((layer()[:-1],), f"byte 0: field 100 ends at byte 23, there are 22{CUT}"),
    ],
)
def test_broken_files(parts, said):
    assert refused(*parts) == said


def test_generations():
    blobs = chunk(5, floats(3)) + number(1, 1) + number(2, 1) + number(3, 1) + number(4, 1)
    v1 = read(chunk(2, chunk(4, b"c") + number(5, 4) + chunk(6, blobs) + chunk(2, b"data")))
    assert (v1.generation, v1.layers[0].name, v1.layers[0].type) == ("V1", "c", "CONVOLUTION")
    inner = chunk(1, b"c") + chunk(2, b"conv") + chunk(50, blobs)
    v0 = read(chunk(2, chunk(2, b"data") + chunk(1, inner)))
    assert (v0.generation, v0.layers[0].name, v0.layers[0].type) == ("V0", "c", "conv")
    for weights in (v0, v1):
        assert weights.layers[0].blobs[0].array.tolist() == [[[[3]]]]
        assert list(weights.net.layers[0].bottom) == ["data"]
    assert v0.net.layers[0].layer.name == "c"
    assert not v0.net.layers[0].layer.blobs


def test_the_type_settles_the_dialect_of_a_layer():
    momentum = b"\x15" + floats(0.9)
    for field, want in ((200, "sknet"), (139, "sknet_139")):
        net = read(layer(chunk(field, momentum), kind=b"CuDNNBatchNorm")).net
        assert dialect_of(net.layers[0]) == want
        assert net.layers[0].batch_norm_param.momentum == np.float32(0.9)
    net = read(layer(chunk(200, momentum), kind=b"ReLU")).net  # another type's field means nothing
    assert dialect_of(net.layers[0]) == "bvlc"
    net = read(layer(chunk(139, momentum), kind=b"BatchNorm")).net
    assert net.layers[0].batch_norm_param.moving_average_fraction == np.float32(0.9)


def test_unknown_fields_are_kept(tmp_path):
    data = chunk(1, b"n") + layer(
        chunk(3, b"x"), chunk(7, shape(0)), number(145, 2), chunk(999, b"?")
    )
    weights = read(data)
    path = tmp_path / "net.caffemodel"
    write_caffemodel(path, weights.net, {0: [weights.layers[0].blobs[0].array.astype("f4")]})
    assert path.read_bytes() == data


def test_damaged_parameters_are_an_error_when_the_network_is_asked_for():
    weights = read(layer(chunk(106, b"\xff")))
    with pytest.raises(FormatError) as caught:
        weights.net  # noqa: B018  # a property that reads
    assert str(caught.value) == (
        "net.caffemodel: layer 'conv1': its parameters are damaged: "
        "no dialect's LayerParameter can be read from them"
    )
    with pytest.raises(FormatError, match="its parameters are damaged"):
        read(layer(chunk(3, b"\xff"))).net  # noqa: B018  # a bottom that is not UTF-8


@pytest.fixture(scope="module")
def tiny(shared) -> bytes:
    return (shared / "reference" / "tiny_sk" / "tiny_init.caffemodel").read_bytes()


def outcome(data: bytes) -> bool:
    """Tell whether these bytes are read; any error but ours fails the test."""
    try:
        _ = read(data).net
    except CaffeError:
        return False
    return True


def test_a_file_cut_at_every_byte_gives_a_result_or_our_error(tiny):
    assert len(tiny) == 21068
    read_whole = [cut for cut in range(len(tiny) + 1) if outcome(tiny[:cut])]
    assert len(read_whole) == 44  # the ends of the layers
    assert read_whole[-1] == len(tiny)


def test_a_layer_cut_at_every_byte_gives_a_result_or_our_error(tiny):
    bodies = []
    at = tiny.index(b"\xa2\x06")
    while at < len(tiny):
        size, start = tiny[at + 2], at + 3
        if size > 127:
            size, start = size & 127 | tiny[at + 3] << 7, at + 4
        bodies.append(tiny[start : start + size])
        at = start + size
    assert len(bodies) == 44
    small = [body for body in bodies if len(body) < 400]
    assert len(small) > 20
    results = [outcome(chunk(100, body[:cut])) for body in small for cut in range(len(body))]
    assert any(results)
    assert not all(results)


def test_flipped_bytes_give_a_result_or_our_error(tiny):
    rng = np.random.default_rng(1701)
    for at in rng.integers(0, len(tiny), 1500):
        broken = bytearray(tiny)
        broken[at] ^= int(rng.integers(1, 256))
        outcome(bytes(broken))


# ---- What Caffe wrote comes back byte for byte ------------------------------------------------


def rewritten(path: Path, out: Path) -> bytes:
    weights = read_binary(path, "bvlc")
    blobs = {at: [blob.array for blob in one.blobs] for at, one in enumerate(weights.layers)}
    write_caffemodel(out, weights.net, blobs)
    return out.read_bytes()


@pytest.mark.parametrize("name", ["tiny_init", "tiny_final_iter_12"])
def test_tiny_sk_comes_back(shared, tmp_path, name):
    path = shared / "reference" / "tiny_sk" / f"{name}.caffemodel"
    assert b"\xc2\x0c" in path.read_bytes()  # batch_norm_param at field 200
    assert rewritten(path, tmp_path / "out") == path.read_bytes()


def test_every_layer_case_comes_back_with_its_text(layer_cases, tmp_path):
    seen = 0
    for path in sorted(layer_cases.glob("*/*/weights.caffemodel")):
        assert rewritten(path, tmp_path / "out") == path.read_bytes(), path
        stored = {one.name: one for one in read_binary(path, "bvlc").net.layers}
        for one in read_net(path.with_name("net.prototxt")).layers:
            theirs = stored[one.name]
            for field, value in one.ListFields():
                if field.number >= 100:  # parameters: names and numbers agree with Caffe's bytes
                    assert getattr(theirs, field.name) == value, (path, field.name)
        seen += 1
    assert seen == 141


def test_doubles_and_scalars_are_written_as_caffe_does(tmp_path):
    net = parse_text('layer { name: "a" type: "X" phase: TEST }')
    path = tmp_path / "net.caffemodel"
    write_caffemodel(path, net, {"a": [np.array([1.5, 2]), np.float32(3).reshape(())]})
    body = chunk(1, b"a") + chunk(2, b"X")
    body += chunk(7, shape(2) + chunk(8, doubles(1.5, 2))) + chunk(7, chunk(5, floats(3)))
    assert path.read_bytes() == chunk(100, body + number(10, 1))


def test_any_array_layout_is_written(tmp_path):
    net = parse_text('layer { name: "a" type: "X" }')
    path = tmp_path / "net.caffemodel"
    value = np.arange(24, dtype=">f4").reshape(2, 3, 4).transpose(2, 0, 1)[::-1]
    write_caffemodel(path, net, {0: [value]})
    (blob,) = read_weights(path).layers[0].blobs
    assert np.array_equal(blob.array, value)


@pytest.mark.parametrize(
    ("key", "array", "error", "said"),
    [
        ("b", np.zeros(1, "f4"), WeightError, "text: blobs for 'b', which is no layer"),
        (1, np.zeros(1, "f4"), WeightError, "text: blobs for 1, which is no layer"),
        (
            "a",
            np.zeros(1, "f2"),
            WeightError,
            "{path}: layer 'a' (X): blob 0: values of type float16, "
            "a blob holds float32 or float64",
        ),
    ],
)
def test_refused_writing_leaves_nothing(tmp_path, key, array, error, said):
    path = tmp_path / "net.caffemodel"
    with pytest.raises(error) as caught:
        write_caffemodel(path, parse_text('layer { name: "a" type: "X" }'), {key: [array]})
    assert str(caught.value) == said.format(path=path)
    assert list(tmp_path.iterdir()) == []


def test_old_generations_are_upgraded_before_they_are_written(tmp_path):
    net = parse_text('layers { name: "a" type: CONVOLUTION }')
    with pytest.raises(UnsupportedError, match="a V1LayerParameter cannot be written"):
        write_caffemodel(tmp_path / "net.caffemodel", net, {})


# ---- Large files ------------------------------------------------------------------------------


def test_files_above_2_gib_are_read(tmp_path):
    count = (1 << 29) + 3
    value = 4 * count
    blob_head = varint(5 << 3 | 2) + varint(value)
    blob_size = len(blob_head) + value + len(shape(count))
    head = (
        chunk(1, b"big") + chunk(2, b"Embed") + varint(7 << 3 | 2) + varint(blob_size) + blob_head
    )
    size = len(head) + value + len(shape(count))
    path = tmp_path / "big.caffemodel"
    with open(path, "wb") as file:
        file.write(varint(100 << 3 | 2) + varint(size) + head)
        start = file.tell()
        file.seek(value - 4, 1)
        file.write(floats(9) + shape(count))
        file.write(layer(chunk(7, chunk(5, floats(1, 2)) + shape(2))))
    assert path.stat().st_size > 2**31
    begin = time.perf_counter()
    big, small = read_weights(path).layers
    assert time.perf_counter() - begin < 1
    assert big.blobs[0].shape == (count,)
    assert (big.blobs[0].values[0], big.blobs[0].values[-1]) == (0, 9)
    assert small.blobs[0].values.tolist() == [1, 2]
    assert start < 40


def test_files_above_2_gib_are_written(monkeypatch):
    written: list[tuple[int, bytes]] = []

    class Sink:
        def write(self, part) -> None:
            written.append((len(part), bytes(part) if len(part) < 100 else b""))

    monkeypatch.setattr("prototxt.binary.caffemodel.writing", lambda path: nullcontext(Sink()))
    net = parse_text('layer { name: "a" type: "Embed" }')
    zeros = np.zeros(3 << 28, "f4")  # 3 GiB of pages that nobody touches
    write_caffemodel("big.caffemodel", net, {0: [zeros, zeros[:2]]})
    value = 12 << 28
    blob = varint(5 << 3 | 2) + varint(value)
    after = shape(3 << 28)
    head = chunk(1, b"a") + chunk(2, b"Embed")
    head += varint(7 << 3 | 2) + varint(len(blob) + value + len(after)) + blob
    tail = after + chunk(7, chunk(5, floats(0, 0)) + shape(2))
    front = varint(100 << 3 | 2) + varint(len(head) + value + len(tail))
    at = [size for size, _ in written].index(value)
    assert b"".join(part for _, part in written[:at]) == front + head
    assert b"".join(part for _, part in written[at + 1 :]) == tail


# ---- What a file is ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty, wants weights"),
        (
            b'name: "n"\n',
            "text, wants weights\n  fix: give the .prototxt first and the .caffemodel after it",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
            "a Git LFS pointer, wants weights\n  fix: fetch it with `git lfs pull`",
        ),
    ],
)
def test_no_weights(tmp_path, content, said):
    path = tmp_path / "x.caffemodel"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_weights(path)
    assert str(caught.value) == f"{path}: {said}"


def test_an_error_names_the_file_once(tmp_path):
    path = tmp_path / "x.caffemodel"
    path.write_bytes(layer(chunk(7, shape(3))))
    with pytest.raises(FormatError) as caught:
        read_weights(path)
    assert (
        str(caught.value)
        == f"{path}: layer 'conv1': blob 0: byte 25: 0 values, its shape (3,) wants 3"
    )


def test_a_lone_caffemodel_is_a_network(shared):
    folder = shared / "reference" / "tiny_sk"
    net = read_net(folder / "tiny_init.caffemodel")
    assert len(net.layers) == 44
    assert net.source == str(folder / "tiny_init.caffemodel")


def test_mean_binaryproto(shared, tmp_path):
    blob = read_blob(shared / "images" / "extra" / "ilsvrc_2012_mean.binaryproto")
    assert (blob.shape, blob.legacy) == ((1, 3, 256, 256), True)
    assert 90 < blob.values.mean() < 130
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(b"data: 3\n")
    with pytest.raises(FormatError, match=r"mean\.binaryproto: text, wants a blob$"):
        read_blob(path)

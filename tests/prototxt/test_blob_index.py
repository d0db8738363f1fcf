"""Who makes and who reads each blob of a definition."""

from __future__ import annotations

from prototxt import parse_text
from prototxt.blob_index import NOBODY, BlobIndex, Value

NET = """
layer { name: "in" type: "Input" top: "x" top: "label" }
layer { name: "conv" type: "Convolution" bottom: "x" top: "y" }
layer { name: "early" type: "Power" bottom: "y" top: "z" }
layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }
layer { name: "sum" type: "Eltwise" bottom: "y" bottom: "y" bottom: "lost" top: "s" }
layer { name: "lost" type: "Power" bottom: "s" top: "lost" }
"""


def test_what_is_overwritten_is_another_value() -> None:
    blobs = BlobIndex.of(parse_text(NET).layers)
    before, after = Value(1, 0, "y"), Value(3, 0, "y")
    assert [list(bottoms) for bottoms in blobs.bottoms] == [
        [],
        [Value(0, 0, "x")],
        [before],
        [before],
        [after, after, Value(NOBODY, NOBODY, "lost")],
        [Value(4, 0, "s")],
    ]
    assert blobs.tops[0] == [Value(0, 0, "x"), Value(0, 1, "label")]
    assert list(blobs.readers(before)) == [2, 3]
    assert list(blobs.readers(after)) == [4, 4]
    assert list(blobs.readers(Value(0, 1, "label"))) == []


def test_bottoms_that_nobody_makes_first_are_missing() -> None:
    blobs = BlobIndex.of(parse_text(NET).layers)
    assert [list(blobs.missing(index)) for index in range(6)] == [[], [], [], [], ["lost"], []]

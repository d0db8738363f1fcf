"""The picture of a network: every layer, shape and line is there, and nothing overlaps."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

import converter
from converter.__main__ import main
from converter.drawing.ranks import Item, Link, place
from converter.drawing.svg import COLOURS, draw
from converter.network.blocks import make_blocks, make_boxes

SVG = "{http://www.w3.org/2000/svg}"
NET = """
name: "two <blocks>"
layer { name: "data" type: "Input" top: "x" input_param { shape { dim: [2, 3, 8, 9] } } }
layer { name: "b1/conv" type: "Convolution" bottom: "x" top: "c1"
  convolution_param { num_output: 4 kernel_size: 3 stride: 2 } }
layer { name: "b1/relu" type: "ReLU" bottom: "c1" top: "c1" }
layer { name: "b1/pool" type: "Pooling" bottom: "c1" top: "p1" pooling_param { kernel_size: 2 } }
layer { name: "b2/conv" type: "Convolution" bottom: "p1" top: "c2"
  convolution_param { num_output: 5 kernel_size: 1 } }
layer { name: "b2/relu" type: "ReLU" bottom: "c2" top: "c2" }
layer { name: "b2/pool" type: "Pooling" bottom: "c2" top: "p2" pooling_param { kernel_size: 1 } }
layer { name: "flat" type: "Flatten" bottom: "p2" top: "flat" }
layer { name: "sum" type: "Concat" bottom: "flat" bottom: "flat" top: "y" }
"""


def load(folder: Path, text: str = NET) -> converter.CaffeNet:
    path = folder / "net.prototxt"
    path.write_text(text)
    return converter.load(path)


def rectangles(picture: str) -> list[tuple[float, float, float, float]]:
    boxes = ElementTree.fromstring(picture).iterfind(f".//{SVG}g[@class='box']")
    found = []
    for box in boxes:
        rect = box.findall(f"{SVG}rect")[-1]
        x, y, width, height = (float(rect.get(k, "")) for k in ("x", "y", "width", "height"))
        found.append((x, y, x + width, y + height))
    return found


def test_boxes_hold_the_layers_that_work_in_place(tmp_path):
    boxes = make_boxes(load(tmp_path))
    assert [[step.key for step in box.steps] for box in boxes] == [
        ["data"],
        ["b1/conv", "b1/relu"],
        ["b1/pool"],
        ["b2/conv", "b2/relu"],
        ["b2/pool"],
        ["flat"],
        ["sum"],
    ]


def test_value_that_another_layer_reads_before_it_is_overwritten_keeps_its_box(tmp_path):
    power = 'layer { name: "early" type: "Power" bottom: "c1" top: "e" }\nlayer { name: "b1/relu"'
    boxes = make_boxes(load(tmp_path, NET.replace('layer { name: "b1/relu"', power)))
    assert ["b1/conv"] in [[step.key for step in box.steps] for box in boxes]


def test_blocks_are_named_and_compared(tmp_path):
    blocks = make_blocks(make_boxes(load(tmp_path)))
    assert [(b.title, len(b.boxes), b.like) for b in blocks] == [
        ("", 1, ""),
        ("b1", 2, ""),
        ("b2", 2, "b1"),
        ("", 1, ""),
        ("", 1, ""),
    ]


def test_picture_has_every_layer_shape_type_and_block(tmp_path):
    net = load(tmp_path)
    root = ElementTree.fromstring(draw(net))
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    layers = root.findall(f".//{SVG}g[@class='layer']")
    assert [layer.findtext(f"{SVG}title", "").split(" (")[0] for layer in layers] == [
        step.key for step in net.steps
    ]
    shapes = [group.findtext(f"{SVG}text") for group in root.iterfind(f".//{SVG}g[@class='shape']")]
    assert sorted(shapes, key=str) == sorted(
        ["2x3x8x9", "2x4x3x4", "2x4x2x3", "2x5x2x3", "2x5x2x3", "2x30", "2x60"]
    )
    legend = [
        group.findtext(f"{SVG}text") for group in root.iterfind(f".//{SVG}g[@class='legend']")
    ]
    assert legend == ["Input", "Convolution", "ReLU", "Pooling", "Flatten", "Concat"]
    assert "two <blocks>" in texts
    assert "b2  built as b1" in texts
    assert "Convolution 3x3 /2" in texts


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ('"Convolution" convolution_param { num_output: 4 kernel_size: 3 }', "Convolution 3x3"),
        (
            '"ConvolutionDepthwise" convolution_param { num_output: 4 kernel_h: 1 kernel_w: 3 '
            "stride_h: 2 stride_w: 1 }",
            "ConvolutionDepthwise 1x3 /2x1 g4",
        ),
        (
            '"Convolution" convolution_param { num_output: 6 group: 2 kernel_size: 2 stride: 2 '
            "dilation: 3 }",
            "Convolution 2x2 /2 g2 d3",
        ),
        ('"Convolution" convolution_param { num_output: 4 axis: 3 }', "Convolution"),
        ('"Pooling" pooling_param { pool: AVE global_pooling: true }', "Pooling AVE global"),
        ('"Pooling" pooling_param { kernel_size: 2 stride: 2 }', "Pooling MAX 2x2 /2"),
        ('"Eltwise" bottom: "x" eltwise_param { operation: PROD }', "Eltwise PROD"),
        ('"ReLU"', "ReLU"),
    ],
)
def test_layer_says_what_tells_it_from_its_like(said, label, tmp_path):
    data = 'layer { type: "Input" top: "x" input_param { shape { dim: [2, 4, 8, 9] } } }'
    net = load(tmp_path, f'{data} layer {{ name: "l" bottom: "x" top: "y" type: {said} }}')
    assert net.layers["l"].label == label
    assert f">{label}</text>" in draw(net)


def test_layers_of_one_family_have_its_shades(tmp_path):
    wise = """layer { name: "dw" type: "ConvolutionDepthwise" bottom: "x" top: "z"
      convolution_param { num_output: 3 kernel_size: 3 } }"""
    root = ElementTree.fromstring(draw(load(tmp_path, NET + wise)))
    legend = {
        group.findtext(f"{SVG}text"): group.find(f"{SVG}rect").get("fill")
        for group in root.iterfind(f".//{SVG}g[@class='legend']")
    }
    assert (legend["Convolution"], legend["ConvolutionDepthwise"]) == COLOURS["convolution"]
    assert legend["Input"] == COLOURS["data"][0]
    assert legend["Concat"] == COLOURS["sum"][0]
    assert len(set(legend.values())) == len(legend)


def test_sknet_is_readable(sknet, tmp_path, capsys):
    out = tmp_path / "net.svg"
    assert main(["draw", str(sknet / "sknet50.prototxt"), "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"wrote {out}\n"
    picture = out.read_text()
    assert picture.count("<g class='layer'>") == 450
    assert picture.count("<g class='block'>") == 17
    assert picture.count("built as conv2_1") == 3
    assert picture.count("built as conv2_2") == 11
    rows = rectangles(picture)
    for a, b in combinations(rows, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)
    width, height = (float(size) for size in re.findall(r"(?:width|height)='(\d+)'", picture)[:2])
    assert max(width, height) < 6000
    assert 0.5 < width / height < 3
    assert all(min(a) > 0 and a[2] < width and a[3] < height for a in rows)


def test_links_point_down_and_lanes_fill_the_ranks_between():
    items = {name: Item(40, 10) for name in "abcd"}
    links = [Link("a", "a", "b"), Link("b", "b", "c"), Link("a", "a", "d"), Link("c", "c", "d")]
    ranking = place(items, links)
    placed = ranking.items
    assert [placed[name].rank for name in "abcd"] == [0, 1, 2, 3]
    assert len(placed) == 6
    for link in ranking.links:
        assert placed[link.target].rank == placed[link.source].rank + 1
    for rank in ranking.ranks:
        for left, right in combinations((placed[key] for key in rank), 2):
            assert right.x - left.x >= (left.width + right.width) / 2


def test_links_cross_only_where_they_must():
    items = {name: Item(40, 10) for name in "abcdef"}
    crossing = [Link("a", "a", "f"), Link("b", "b", "e"), Link("c", "c", "d")]
    ranking = place(items, crossing)
    position = {key: index for rank in ranking.ranks for index, key in enumerate(rank)}
    assert len(ranking.ranks) == 2
    assert [position[key] for key in "abc"] == [position[key] for key in "fed"]
    assert all(ranking.items[a].x == ranking.items[b].x for a, b in zip("abc", "fed", strict=True))


def test_lanes_of_a_value_stand_nearly_below_each_other():
    items = {
        name: Item(width, 10) for name, width in zip("abcde", [40, 200, 40, 120, 40], strict=True)
    }
    chain = [Link(a, a, b) for a, b in pairwise("abcde")]
    ranking = place(items, [*chain, Link("a", "a", "e")])
    lanes = [item.x for item in ranking.items.values() if item.lane]
    assert len(lanes) == 3
    assert max(lanes) - min(lanes) < 2


@pytest.mark.parametrize(("between", "named"), [(2, False), (3, True)])
def test_an_input_that_is_read_far_below_is_a_name_beside_its_reader(between, named, tmp_path):
    layers = ['layer { name: "in" type: "Input" top: "y0" input_param { shape { dim: [2, 3] } } }']
    layers += [
        f'layer {{ name: "r{n}" type: "Power" bottom: "y{n}" top: "y{n + 1}" }}'
        for n in range(between)
    ]
    last = f'layer {{ name: "sum" type: "Eltwise" bottom: "y{between}" bottom: "y0" top: "z" }}'
    picture = draw(load(tmp_path, "\n".join([*layers, last])))
    assert ("stroke-dasharray" in picture) == named
    assert picture.count(">y0</text>") == named


def test_a_moved_ranking_leaves_the_first_alone():
    ranking = place({name: Item(40, 10) for name in "ab"}, [Link("a", "a", "b")])
    moved = ranking.moved([1.0, 2.0], [3.0, 4.0])
    assert [(item.x, item.y) for item in ranking.items.values()] == [(0, 0), (0, 0)]
    assert [(item.x, item.y) for item in moved.items.values()] == [(1, 3), (2, 4)]

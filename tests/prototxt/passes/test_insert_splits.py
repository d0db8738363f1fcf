"""Split layers against recorded runs of Caffe's InsertSplits."""

from __future__ import annotations

import pytest

from prototxt import ShapeError, parse_text, read_net
from prototxt.passes.insert_splits import insert_splits

CASES = [
    "inplace_then_two",
    "input_three",
    "loss_weight",
    "loss_weight_two_users",
    "loss_weight_zero",
    "names_with_slashes",
    "none",
    "same_layer_twice",
    "second_top",
    "two_users",
    "use_before_and_after_inplace",
]
REFUSED = ["unknown"]


def test_every_recorded_case_has_its_row(shared):
    folder = shared / "reference" / "protos" / "split"
    assert sorted(path.name for path in folder.iterdir()) == sorted(CASES + REFUSED)


@pytest.mark.parametrize("case", CASES)
def test_splits_are_those_that_caffe_inserts(case, shared):
    folder = shared / "reference" / "protos" / "split" / case
    before = read_net(folder / "in.prototxt")
    after = insert_splits(before)
    wants = read_net(folder / "out.prototxt")
    assert after.layers == wants.layers
    assert after.header == wants.header
    assert len(after.lines) == len(after.layers)
    assert before.layers == read_net(folder / "in.prototxt").layers


def test_unknown_bottom_is_refused(shared):
    path = shared / "reference" / "protos" / "split" / "unknown" / "in.prototxt"
    with pytest.raises(ShapeError) as caught:
        insert_splits(read_net(path))
    place = f"{path}:3: layer 'a' (ReLU)"
    assert str(caught.value) == f"{place}: bottom 'zzz' is no earlier layer's top"


def test_split_loses_the_weights_of_other_tops_as_caffe_does():
    net = insert_splits(
        parse_text(
            'layer { name: "s" type: "Slice" top: "x" top: "y" loss_weight: 2 loss_weight: 3 }'
            'layer { name: "r" type: "ReLU" bottom: "y" top: "z" }'
        )
    )
    assert [list(layer.loss_weight) for layer in net.layers] == [[], [3, 0], []]
    assert net.layers[2].bottom == ["y_s_1_split_1"]


def test_loss_weight_of_0_reads_nothing():
    net = insert_splits(
        parse_text(
            'layer { name: "s" type: "ReLU" top: "x" loss_weight: 0 }'
            'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'
            'layer { name: "t" type: "ReLU" bottom: "x" top: "z" }'
        )
    )
    readers = [layer.bottom[0] for layer in net.layers[2:]]
    assert readers == ["x_s_0_split_0", "x_s_0_split_1"]
    assert list(net.layers[0].loss_weight) == [0]
    assert not net.layers[1].loss_weight

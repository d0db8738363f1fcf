"""Phase, level and stages against recorded runs of Caffe's FilterNet."""

from __future__ import annotations

import json

import pytest

from prototxt import CaffeError, parse_text, read_net
from prototxt.passes.filter import filter_net

CASES = ["both_rules", "leveldb_like", "levels", "mixed", "phases", "stages", "state_in_net"]


def test_every_recorded_case_has_its_row(shared):
    folder = shared / "reference" / "protos" / "filter"
    assert sorted(path.name for path in folder.iterdir()) == CASES


@pytest.mark.parametrize("case", CASES)
def test_layers_are_those_that_caffe_picks(case, shared):
    folder = shared / "reference" / "protos" / "filter" / case
    net = read_net(folder / "in.prototxt")
    states = json.loads((folder / "out.json").read_text())
    assert len(states) == 10
    for state in states:
        arguments = (state["phase"], state["level"], state["stages"])
        if "error" in state:
            with pytest.raises(CaffeError, match="include and exclude rules, wants one kind"):
                filter_net(net, *arguments)
        else:
            picked = filter_net(net, *arguments)
            assert [layer.name for layer in picked.layers] == state["layers"], state


def test_default_state_is_test_at_level_0():
    net = parse_text(
        'layer { name: "a" type: "ReLU" include { phase: TEST min_level: 0 max_level: 0 } }\n'
        'layer { name: "b" type: "ReLU" include { stage: "x" } }\n'
        'layer { name: "c" type: "ReLU" exclude { phase: TEST } }'
    )
    assert [layer.name for layer in filter_net(net).layers] == ["a"]
    assert filter_net(net).lines == [1]
    assert filter_net(net, "TRAIN").lines == [3]
    assert len(net.layers) == 3


def test_error_names_file_line_and_layer():
    text = '\nlayer { name: "a" type: "ReLU" include {} exclude {} }'
    with pytest.raises(CaffeError) as caught:
        filter_net(parse_text(text, "net.prototxt"))
    assert str(caught.value) == (
        "net.prototxt:2: layer 'a' (ReLU): include and exclude rules, wants one kind\n"
        "  fix: turn one into the other"
    )

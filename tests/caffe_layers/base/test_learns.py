"""What a class says of its blobs before it is built is what a built layer has."""

from __future__ import annotations

from pathlib import Path

import pytest

import caffe_layers
import converter
from caffe_layers import Filler, Layer
from tests.support.layer_cases import RUN, Case
from tests.support.layers_with_blobs import ROWS, inputs, layer


def load(kind: str, fork: str, said: str, folder: Path) -> converter.CaffeNet:
    path = folder / "net.prototxt"
    path.write_text(inputs() + layer(kind, said))
    return converter.load(path, dialect=None if fork == "bvlc" else fork)


def test_every_class_with_blobs_has_a_row() -> None:
    found = {
        (kind, fork)
        for kind, readings in caffe_layers.LAYERS.items()
        for fork, cls in readings.items()
        if cls.adds_blobs
    }
    assert found == ROWS.keys()


@pytest.mark.parametrize(("kind", "fork"), ROWS)
def test_layer_with_blobs_learns(kind: str, fork: str, tmp_path: Path) -> None:
    net = load(kind, fork, ROWS[kind, fork], tmp_path)
    step = net.steps[-1]
    assert (step.cls.caffe_type, step.cls.fork) == (kind, fork)
    assert net.layers["head"].blob_names
    assert step.cls.learns(step.layer)


@pytest.mark.parametrize(
    ("kind", "fork", "said"),
    [
        ("Bias", "bvlc", 'bottom: "x" bottom: "x" bias_param { axis: 0 }'),
        ("ChannelScale", "happynear", 'bottom: "x" bottom: "map"'),
        (
            "InnerProduct",
            "happynear",
            'bottom: "x" bottom: "weight" inner_product_param { num_output: 7 bias_term: false }',
        ),
        ("Scale", "bvlc", 'bottom: "x" bottom: "x" scale_param { axis: 0 }'),
    ],
)
def test_layer_whose_numbers_are_a_bottom_does_not(
    kind: str, fork: str, said: str, tmp_path: Path
) -> None:
    net = load(kind, fork, said, tmp_path)
    assert not net.layers["head"].blob_names
    assert not net.steps[-1].cls.learns(net.steps[-1].layer)


@pytest.mark.parametrize("name", RUN)
def test_recorded_layers(name: str, layer_cases: Path) -> None:
    case = Case(name, layer_cases)
    with case.place():
        net = case.load()
    for step in net.steps:
        assert step.cls.learns(step.layer) == bool(net.layers[step.key].blob_names), step.key


def test_class_of_a_users_own_learns_by_its_code() -> None:
    class Base(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.add_blob("weight", (1,), Filler())

    class Derived(Base):
        pass

    class Plain(Layer):
        pass

    assert [cls.learns(None) for cls in (Base, Derived, Plain)] == [True, True, False]

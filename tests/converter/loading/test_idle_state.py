"""A stage or a level that no layer's rule asks for is a slip."""

from __future__ import annotations

from pathlib import Path

import pytest

import converter
from converter.training import Solver
from prototxt.errors import UsageError


def test_a_state_that_no_rule_asks_for_is_refused(tmp_path: Path) -> None:
    text = """
    layer { name: "d" type: "Input" top: "x" input_param { shape { dim: [1, 2] } } }
    layer { name: "a" type: "ReLU" bottom: "x" top: "a" RULE }
    layer { name: "b" type: "ReLU" bottom: "x" top: "b" }"""
    net = tmp_path / "net.prototxt"
    net.write_text(text.replace("RULE", 'include { not_stage: "deploy" }'))
    assert list(converter.load(net, stages="deploy").outputs) == ["b"]
    with pytest.raises(UsageError, match=r"names stage 'Deploy'\n  fix: did you mean 'deploy'\?"):
        converter.load(net, stages="Deploy")
    with pytest.raises(UsageError, match="no layer's rule asks for a level"):
        converter.load(net, level=1)
    net.write_text(text.replace("RULE", "exclude { max_level: 1 }"))
    assert list(converter.load(net, level=1).outputs) == ["b"]
    with pytest.raises(UsageError, match=r"'deploy'\n  fix: no rule names any"):
        converter.load(net, stages="deploy")


def test_a_solvers_state_may_ask_for_more(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text("""
    layer { name: "d" type: "DummyData" top: "x"
            dummy_data_param { shape { dim: [1, 2] } data_filler { value: 1 } } }
    layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y"
            inner_product_param { num_output: 2 } }
    layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "x" top: "loss" }""")
    (tmp_path / "solver.prototxt").write_text(f"""net: "{tmp_path / "net.prototxt"}"
    train_state {{ level: 3 stage: "all" }} base_lr: 0.1 lr_policy: "fixed" max_iter: 1""")
    Solver(tmp_path / "solver.prototxt").step(1)

"""How often layers are built, and the advice for inputs of other shapes than the file's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import caffe_layers
import converter
from prototxt import ShapeError, WeightError

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 3, 6, 6] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: AVE kernel_size: 4 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
"""
LARGER = {"data": (1, 3, 9, 9)}
ADVICE = "average pool 'pool' has a fixed kernel of 4x4; --global-pool lets it follow the input's"
OTHER = """
layer { name: "more" type: "Input" top: "more" input_param { shape { dim: [2, 5] } } }
layer { name: "sum" type: "Eltwise" bottom: "fc" bottom: "more" top: "sum" }
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Write the network and its weights."""
    net, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    net.write_text(NET)
    converter.save_caffemodel(converter.load(net), weights)
    return net, weights


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each layer is built."""
    counted: Counter[str] = Counter()
    build = caffe_layers.build

    def count(layer, *rest):
        counted[layer.name] += 1
        return build(layer, *rest)

    monkeypatch.setattr(caffe_layers, "build", count)
    return counted


def test_a_network_is_built_once(files, built) -> None:
    converter.load(*files)
    assert built == dict.fromkeys(("data", "conv", "pool", "fc"), 1)


def test_a_network_of_global_pools_is_built_once(files, built) -> None:
    net = converter.load(*files, input_shapes=LARGER, global_pool=True)
    assert net.shapes()["pool"] == (1, 4, 1, 1)
    assert net.definition.layers[2].pooling_param.global_pooling
    assert built == {"data": 1, "conv": 1, "pool": 2, "fc": 1}


def test_advice_builds_only_what_would_be_another_layer(files, built) -> None:
    with pytest.raises(WeightError, match="blob 'weight' is") as caught:
        converter.load(*files, input_shapes=LARGER)
    assert caught.value.fix.startswith(ADVICE)
    assert built == {"data": 1, "conv": 1, "pool": 2, "fc": 2}


def test_no_pool_is_advised_where_it_would_not_help(files) -> None:
    net, weights = files
    net.write_text(NET.replace("num_output: 5", "num_output: 7"))
    with pytest.raises(WeightError) as caught:
        converter.load(net, weights, input_shapes=LARGER)
    assert "--global-pool" not in caught.value.fix
    net.write_text(NET.replace("kernel_size: 4", "kernel_size: 2"))
    with pytest.raises(WeightError) as caught:
        converter.load(net, weights, input_shapes=LARGER)
    assert "--global-pool" not in caught.value.fix
    with pytest.raises(ShapeError, match="no average pool of the network covers its whole map"):
        converter.load(net, weights, global_pool=True)


def test_an_input_of_the_files_batch_is_named(files) -> None:
    net, weights = files
    net.write_text(NET + OTHER)
    with pytest.raises(ShapeError, match=r"layer 'sum' \(Eltwise\)") as caught:
        converter.load(net, weights, input_shapes={"data": (1, 3, 6, 6)})
    assert (
        caught.value.fix == "'more' is still (2, 5), as the file says: give its --input-shape too"
    )
    net.write_text(NET + OTHER.replace("dim: [2, 5]", "dim: [2, 6]"))
    with pytest.raises(ShapeError, match=r"layer 'sum' \(Eltwise\)") as caught:
        converter.load(net, weights, input_shapes={"data": (1, 3, 6, 6)})
    assert not caught.value.fix  # it does not fit as the file says either


@pytest.mark.parametrize(("phase", "regions"), [("TEST", 300), ("TRAIN", 2000)])
def test_messages_have_the_shapes_of_the_networks_phase(phase, regions, tmp_path):
    """Of the 3600 boxes the best ones come out, fewer in testing."""
    path = tmp_path / "net.prototxt"
    path.write_text("""
    layer { name: "in" type: "Input" top: "s" top: "t" top: "i" top: "other"
      input_param { shape { dim: [1, 18, 20, 20] } shape { dim: [1, 36, 20, 20] }
        shape { dim: [1, 3] } shape { dim: [7, 5] } } }
    layer { name: "p" type: "Python" bottom: "s" bottom: "t" bottom: "i" top: "rois"
      python_param { module: "rpn.proposal_layer" layer: "ProposalLayer"
        param_str: "'feat_stride': 16" } }
    layer { name: "sum" type: "Eltwise" bottom: "rois" bottom: "other" top: "sum" }""")
    with pytest.raises(ShapeError, match=rf"bottoms 0 \({regions}, 5\) and 1 \(7, 5\) differ"):
        converter.load(path, phase=phase)

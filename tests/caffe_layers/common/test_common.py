"""What the recorded cases do not show of the layers of Caffe's `common` family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import caffe_layers
import converter
from converter.onnx.builder import Builder
from converter.onnx.emit import emit
from converter.onnx.graph import Graph
from converter.onnx.options import DEFAULT_OPSET, OLDEST_OPSET
from prototxt import ShapeError, UnsupportedError
from tests.support.recorded import assert_close

SIZES = (2, 3, 4, 6)
LARGER = (3, 3, 36, 38)


def define(folder: Path, layers: str, *inputs: tuple[int, ...]) -> Path:
    """Write a network of inputs x0, x1, ... and these layers."""
    path = folder / "net.prototxt"
    tops = [
        f'layer {{ name: "x{index}" type: "Input" top: "x{index}" input_param {{ shape {{ '
        + "".join(f"dim: {size} " for size in shape)
        + "} } }\n"
        for index, shape in enumerate(inputs)
    ]
    path.write_text("".join(tops) + layers)
    return path


def layer(rest: str, bottoms: int = 1) -> str:
    named = "".join(f'bottom: "x{index}" ' for index in range(bottoms))
    return f'layer {{ name: "L" {named}{rest} }}'


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1701), dtype=torch.float64)


FREE = {
    "argmax": 'type: "ArgMax" top: "y"',
    "argmax values": 'type: "ArgMax" top: "y" argmax_param { top_k: 3 out_max_val: true }',
    "argmax axis": 'type: "ArgMax" top: "y" argmax_param { axis: -2 top_k: 2 }',
    "argmax axis values": 'type: "ArgMax" top: "y" argmax_param { axis: 3 out_max_val: true }',
    "concat": 'type: "Concat" bottom: "x0" top: "y" concat_param { axis: 2 }',
    "flatten": 'type: "Flatten" top: "y"',
    "flatten inner": 'type: "Flatten" top: "y" flatten_param { axis: 0 end_axis: 1 }',
    "reduction": 'type: "Reduction" top: "y" reduction_param { operation: MEAN axis: 2 }',
    "reshape": 'type: "Reshape" top: "y" reshape_param { shape { dim: 0 dim: 3 dim: -1 } }',
    "reshape appends": 'type: "Reshape" top: "y" reshape_param { shape { dim: 1 } axis: -1 }',
    "slice even": 'type: "Slice" top: "y" top: "z" slice_param { axis: 2 }',
    "slice points": 'type: "Slice" top: "y" top: "z" slice_param { axis: 3 slice_point: 1 }',
    "tile": 'type: "Tile" top: "y" tile_param { axis: 2 tiles: 3 }',
}
"""Layers whose form must not hold the sizes that the file happens to have."""


@pytest.mark.parametrize("opset", [OLDEST_OPSET, DEFAULT_OPSET, 18])
@pytest.mark.parametrize("row", FREE)
def test_every_size_is_free(row: str, opset: int, tmp_path: Path) -> None:
    net = converter.load(define(tmp_path, layer(FREE[row]), SIZES), dtype=torch.float32)
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, opset=opset, dynamic=("batch", "height", "width"))
    converter.check_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in (SIZES, LARGER):
        x = draw(*shape).float()
        wants = net({"x0": x})
        names = [output.name for output in session.get_outputs()]
        assert names == list(wants)
        for name, got in zip(names, session.run(None, {"x0": x.numpy()}), strict=True):
            assert_close(got, wants[name], f"{name} of {shape}", 1e-5)


def test_inner_product_keeps_the_axes_in_front_free(tmp_path: Path) -> None:
    text = 'type: "InnerProduct" top: "y" inner_product_param { num_output: 5 axis: 2 }'
    net = converter.load(define(tmp_path, layer(text), (2, 3, 4, 6)))
    graph = emit(net)
    assert graph.outputs["y"] == (onnx.TensorProto.FLOAT, ["batch", 3, 5])
    assert net.layers["L"].multiply_adds([(2, 3, 4, 6)], [(2, 3, 5)]) == 2 * 3 * 5 * 24


def test_a_maximum_in_place_is_of_the_other_bottoms(tmp_path: Path) -> None:
    """Caffe clears the top, which is the first bottom, before it looks at it."""
    text = 'type: "Eltwise" top: "x0" eltwise_param { operation: MAX }'
    net = converter.load(define(tmp_path, layer(text, 3), *[(2, 3)] * 3), dtype=torch.float64)
    a, b, c = draw(3, 2, 3)
    got = net.blobs({"x0": a + 10, "x1": b, "x2": c})["x0"]
    assert torch.equal(got, torch.maximum(b, c))


def test_the_later_of_equal_maxima_takes_no_gradient() -> None:
    module = caffe_layers.Eltwise(operation="MAX")
    bottoms = [torch.ones(2, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    module(*bottoms).sum().backward()
    assert [None if x.grad is None else x.grad.tolist() for x in bottoms] == [
        [0, 0],
        [1, 1],
        [0, 0],
    ]


def test_every_copy_of_a_split_has_its_own_gradient() -> None:
    x = draw(2, 3).requires_grad_()
    first, second = caffe_layers.Split(2)(x)
    grads = torch.autograd.grad((2 * first + 3 * second).sum(), [first, second, x])
    assert [grad[0, 0].item() for grad in grads] == [2, 3, 5]


def test_axpy_in_place_of_a_smaller_bottom_is_refused(tmp_path: Path) -> None:
    path = define(tmp_path, layer('type: "Axpy" top: "x0"', 3), (2, 3), SIZES, SIZES)
    with pytest.raises(ShapeError, match=r"the top \(2, 3, 4, 6\) does not fit in the place of a"):
        converter.load(path)


def test_scale_by_one_number_needs_no_axis(tmp_path: Path) -> None:
    """Caffe looks at `axis` only where the scale has axes; but a bias has it looked at."""
    path = define(tmp_path, layer('type: "Scale" top: "y"', 2), (3,), ())
    net = converter.load(path)
    got = net({"x0": torch.tensor([1.0, 2, 3]), "x1": torch.tensor(2.0)})["y"]
    assert got.tolist() == [2, 4, 6]
    path = define(
        tmp_path, layer('type: "Scale" top: "y" scale_param { bias_term: true }', 2), (3,), ()
    )
    with pytest.raises(ShapeError, match="axis 1 is none of the 1 axes"):
        converter.load(path)


@pytest.mark.parametrize("index", [-1.0, 4.0])
@pytest.mark.parametrize("kind", ["Embed", "BatchReindex"])
def test_a_row_that_is_not_there_is_refused(kind: str, index: float) -> None:
    rows = torch.tensor([0.0, index])
    with pytest.raises(ShapeError, match=rf"the row numbers go from .*{int(index)}.* wants 0 to 3"):
        caffe_layers.Embed(4, 2)(rows) if kind == "Embed" else caffe_layers.BatchReindex()(
            draw(4, 3), rows
        )


@pytest.mark.parametrize("index", [torch.float32, torch.int64])
def test_rows_are_truncated_and_may_be_integers(index: torch.dtype) -> None:
    rows = torch.tensor([2.0, 0.9]) if index.is_floating_point else torch.tensor([2, 0])
    x = draw(4, 3)
    assert torch.equal(caffe_layers.BatchReindex()(x, rows), x[[2, 0]])
    embed = caffe_layers.Embed(4, 3, bias_term=False).double()
    embed.weight.data.copy_(x)
    assert torch.equal(embed(rows), x[[2, 0]])


def test_filtered_rows_are_free_in_onnx(tmp_path: Path) -> None:
    text = (
        layer('type: "Filter" top: "y"', 2)
        + 'layer { name: "after" type: "Flatten" bottom: "y" top: "z" }'
    )
    net = converter.load(define(tmp_path, text, (4, 3, 2), (4,)))
    fixed = emit(net, dynamic=())
    assert fixed.inputs["x0"][1] == [4, 3, 2]
    assert fixed.values["y"][1] == [None, 3, 2]
    assert fixed.outputs["z"][1] == [None, 6]
    free = emit(net)
    assert free.inputs["x0"][1] == free.inputs["x1"][1] + [3, 2] == ["batch", 3, 2]
    assert free.outputs["z"][1] == [None, 6]


def test_batches_of_different_sizes_have_names_of_their_own(tmp_path: Path) -> None:
    text = layer('type: "BatchReindex" top: "y"', 2)
    graph = emit(converter.load(define(tmp_path, text, (4, 3), (6,))))
    assert graph.inputs["x0"][1] == ["batch", 3]
    assert graph.inputs["x1"][1] == ["batch_of_x1"]
    assert graph.outputs["y"][1] == ["batch_of_x1", 3]


def test_silence_gives_no_output_and_no_gradient(tmp_path: Path) -> None:
    path = define(tmp_path, layer('type: "Silence"'), (2, 3))
    net = converter.load(path)
    assert net({"x0": torch.ones(2, 3)}) == {}
    with pytest.raises(UnsupportedError, match="nothing is left to export"):
        emit(net)


def test_a_parameter_is_trained_by_what_uses_it(tmp_path: Path) -> None:
    text = (
        'layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 3 } } }'
        'layer { name: "y" type: "Bias" bottom: "x0" bottom: "p" top: "y" }'
    )
    net = converter.load(define(tmp_path, text, (2, 3)), phase="TRAIN")
    net({"x0": torch.ones(2, 3)})["y"].sum().backward()
    assert net.params["p"][0].grad.tolist() == [2, 2, 2]


def test_layers_run_compiled_for_export() -> None:
    """No rule of these layers may look at values while a model is exported."""
    program = torch.export.export(caffe_layers.BatchReindex(), (draw(4, 3), torch.tensor([2.0, 0])))
    got = program.module()(draw(4, 3), torch.tensor([1.0, 3]))
    assert np.array_equal(got.numpy(), draw(4, 3).numpy()[[1, 3]])


REFUSALS = {
    "num_axes": ("Reshape", "reshape_param { num_axes: -2 }", "num_axes is -2, wants -1"),
    "two -1": (
        "Reshape",
        "reshape_param { shape { dim: -1 dim: -1 } }",
        r"shape \(-1, -1\) has more than one -1",
    ),
    "below -1": (
        "Reshape",
        "reshape_param { shape { dim: -2 dim: -1 } }",
        r"shape \(-2, -1\) has a size below -1",
    ),
    "axis": (
        "Reshape",
        "reshape_param { axis: 5 }",
        r"axis 5 is outside of the bottom \(2, 3, 4, 6\)",
    ),
    "slice order": (
        "Slice",
        'top: "z" slice_param { slice_point: 3 }',
        r"slice points \(3,\) leave a part of 3 empty",
    ),
    "no outputs": ("InnerProduct", "", "num_output is 0, wants 1 or more"),
    "no embedding": ("Embed", "embed_param { input_dim: 2 }", "num_output is 0, wants 1 or more"),
    "no tiles": ("Tile", "", "tiles is 0, wants 1 or more"),
    "no k": ("ArgMax", "argmax_param { top_k: 0 }", "top_k is 0, wants 1 or more"),
}


@pytest.mark.parametrize("row", REFUSALS)
def test_refusals_say_what_is_wrong(row: str, tmp_path: Path) -> None:
    kind, rest, message = REFUSALS[row]
    path = define(tmp_path, layer(f'type: "{kind}" top: "y" {rest}'), SIZES)
    with pytest.raises(ShapeError, match=message):
        converter.load(path)


@pytest.mark.parametrize("selector", [(), (4, 3), (4, 1, 2)])
def test_a_selector_of_several_numbers_a_row_is_refused(selector: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"the selector is .*, wants N or N x 1 x \.\.\."):
        caffe_layers.Filter().shapes((4, 2), selector)
    assert caffe_layers.Filter().shapes((4, 2), (4, 1, 1)) == [(4, 2)]


def test_concat_of_fewer_axes_is_refused(tmp_path: Path) -> None:
    path = define(
        tmp_path, layer('type: "Concat" top: "y" concat_param { axis: 0 }', 2), (2,), (2, 1)
    )
    with pytest.raises(ShapeError, match="differ outside of axis 0"):
        converter.load(path)


def test_an_operation_that_is_none_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="'MIN' is none of SUM, PROD and MAX"):
        caffe_layers.Eltwise(operation="MIN")
    with pytest.raises(UnsupportedError, match="'MAX' is none of SUM, ASUM, SUMSQ, MEAN"):
        caffe_layers.Reduction(operation="MAX")


@pytest.mark.parametrize(
    "values", ["", "axis: 1", "axis: 1 out_max_val: true", "out_max_val: true"]
)
def test_of_equal_values_the_last_is_the_largest(values: str, tmp_path: Path) -> None:
    text = f'type: "ArgMax" top: "y" argmax_param {{ {values} }}'
    net = converter.load(define(tmp_path, layer(text), (2, 40)), dtype=torch.float32)
    x = torch.arange(80).reshape(2, 40).fmod(5)
    want = torch.tensor([[39.0], [39.0]])
    if "true" in values:
        want = torch.full_like(want, 4)
    if values == "out_max_val: true":
        want = torch.tensor([[[39.0], [4.0]]] * 2)
    elif not values:
        want = want[:, None]
    got = net({"x0": x.float()})["y"]
    assert torch.equal(got, want)
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert_close(session.run(None, {"x0": x.float().numpy()})[0], want, "y in ONNX")


def test_any_value_but_zero_selects(tmp_path: Path) -> None:
    net = converter.load(define(tmp_path, layer('type: "Filter" top: "y"', 2), (4, 2), (4, 1)))
    x, selector = draw(4, 2).float(), torch.tensor([[-1.0], [0.0], [0.3], [-0.0]])
    want = x[[0, 2]]
    assert torch.equal(net({"x0": x, "x1": selector})["y"], want)
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {"x0": x.numpy(), "x1": selector.numpy()}
    assert_close(session.run(None, feeds)[0], want, "y in ONNX")


def test_row_numbers_get_no_gradient() -> None:
    rows = torch.tensor([0.0, 1.0], requires_grad=True)
    embed, reindex = caffe_layers.Embed(3, 2), caffe_layers.BatchReindex()
    (embed(rows).sum() + reindex(draw(2, 2).requires_grad_(), rows).sum()).backward()
    assert rows.grad is None
    assert (embed.fixed_bottoms, reindex.fixed_bottoms) == ((0,), (1,))


def test_an_inserted_axis_is_one_node(tmp_path: Path) -> None:
    text = 'type: "Reshape" top: "y" reshape_param { shape { dim: 1 } num_axes: 0 }'
    graph = emit(converter.load(define(tmp_path, layer(text), SIZES)))
    assert [node.op_type for node in graph.nodes] == ["Reshape"]
    assert graph.initializers[graph.nodes[0].input[1]].tolist() == [1, -1, 3, 4, 6]


def test_equal_parts_are_counted_since_opset_18(tmp_path: Path) -> None:
    text = 'type: "Slice" top: "y" top: "z" slice_param { axis: 0 }'
    path = define(tmp_path, layer(text), (2, 3))
    with pytest.raises(ShapeError, match="2 equal parts do not fill an axis of 3"):
        emit(converter.load(path))
    net = converter.load(define(tmp_path, layer(text.replace("axis: 0", "axis: 2")), SIZES))
    for opset, attributes in ((17, ["axis"]), (18, ["axis", "num_outputs"])):
        (node,) = emit(net, opset=opset, dynamic=("height", "width")).nodes
        assert sorted(attribute.name for attribute in node.attribute) == attributes


def test_a_size_that_moves_otherwise_is_no_batch(tmp_path: Path) -> None:
    text = (
        'layer { name: "L" type: "Concat" bottom: "x0" bottom: "x0" top: "y" '
        "concat_param { axis: 0 } }"
        'layer { name: "M" type: "Split" bottom: "x1" top: "z" }'
    )
    graph = emit(converter.load(define(tmp_path, text, (2, 3), (4, 3))))
    assert graph.outputs["z"][1] == ["batch_of_x1", 3]
    assert graph.outputs["y"][1] == [None, 3]


@pytest.mark.parametrize(("top", "wanted"), [((2, 3, 20), [0, 3, -1]), ((6, 20), None)])
def test_a_reshape_takes_no_size_for_another(
    top: tuple[int, ...], wanted: list[int] | None
) -> None:
    static = {"x": (2, 3, 4, 5), "y": top}
    dims = {"x": ["batch", 3, "height", 5], "y": [None if size != 3 else 3 for size in top]}
    op = Builder(Graph("g", 17), static, dims)
    op.layer, op.tops = "L", ("y",)
    if wanted is None:
        with pytest.raises(UnsupportedError, match=r"the sizes of \(6, 20\) cannot be told"):
            op.reshape_to_top("x")
    else:
        op.reshape_to_top("x")
        assert op.graph.initializers[op.graph.nodes[0].input[1]].tolist() == wanted

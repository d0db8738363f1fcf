"""What the recorded cases do not show of losses and of Accuracy."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import caffe_layers
import converter
from caffe_layers import Layer
from converter.onnx.options import DEFAULT_OPSET, OLDEST_OPSET
from prototxt import CaffeError
from tests.support.recorded import assert_close

FLT_MIN = float(np.finfo(np.float32).tiny)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1701), dtype=torch.float64)


def labels(*shape: int, classes: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1701)
    return torch.randint(0, classes, shape, generator=generator).double()


def load(folder: Path, layer: str, **inputs: tuple[int, ...]) -> converter.CaffeNet:
    """Load a float64 network of one layer L over these inputs."""
    path = folder / "net.prototxt"
    lines = [
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {size}" for size in shape)
        + " } } }"
        for name, shape in inputs.items()
    ]
    bottoms = " ".join(f'bottom: "{name}"' for name in inputs)
    path.write_text("\n".join([*lines, f'layer {{ name: "L" {bottoms} {layer} }}']))
    return converter.load(path, dtype=torch.float64)


Case = tuple[Callable[[], Layer], tuple[torch.Tensor, ...]]

LOSSES: dict[str, Case] = {
    "softmax": (lambda: caffe_layers.SoftmaxWithLoss(), (draw(4, 3), labels(4))),
    "softmax places": (
        lambda: caffe_layers.SoftmaxWithLoss(ignore_label=1, normalization="FULL"),
        (draw(4, 3, 5, 2), labels(4, 1, 5, 2)),
    ),
    "multinomial": (
        lambda: caffe_layers.MultinomialLogisticLoss(),
        (draw(4, 3).softmax(1), labels(4)),
    ),
    "infogain": (
        lambda: caffe_layers.InfogainLoss(draw(3, 3).abs()),
        (draw(4, 3, 2), labels(4, 2)),
    ),
    "sigmoid": (
        lambda: caffe_layers.SigmoidCrossEntropyLoss(ignore_label=1),
        (draw(4, 3), labels(4, 3)),
    ),
    "euclidean": (lambda: caffe_layers.EuclideanLoss(), (draw(4, 3), labels(4, 3))),
    "hinge": (lambda: caffe_layers.HingeLoss(), (draw(4, 3), labels(4))),
    "hinge L2": (lambda: caffe_layers.HingeLoss(norm="L2"), (draw(4, 3), labels(4))),
    "contrastive legacy": (
        lambda: caffe_layers.ContrastiveLoss(margin=20, legacy_version=True),
        (draw(4, 3), labels(4, 3), labels(4, classes=2)),
    ),
    "contrastive": (
        lambda: caffe_layers.ContrastiveLoss(margin=3),
        (draw(4, 3), labels(4, 3), labels(4, classes=2)),
    ),
}
METRICS: dict[str, Case] = {
    "accuracy": (lambda: caffe_layers.Accuracy(), (draw(4, 3), labels(4))),
    "accuracy per class": (
        lambda: caffe_layers.Accuracy(top_k=2, ignore_label=1, tops=2),
        (draw(4, 3, 5), labels(4, 5)),
    ),
}
ALL = {**LOSSES, **METRICS}


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "contrastive"])
def test_the_gradient_is_the_derivative(name: str) -> None:
    build, (x, *rest) = LOSSES[name]
    module = build().double()
    assert torch.autograd.gradcheck(lambda x: module(x, *rest), (x.requires_grad_(True),))


def test_the_gradient_of_a_distance_has_caffes_guard() -> None:
    _, (a, b, _) = LOSSES["contrastive"]
    a = a.detach().requires_grad_()
    module = caffe_layers.ContrastiveLoss(margin=3)
    module(a, b, torch.zeros(4)).backward()
    difference = (a - b).detach()
    distance = difference.norm(dim=1, keepdim=True)
    want = -(3 - distance).clamp(min=0) / (distance + 1e-4) * difference / 4
    assert_close(a.grad, want, "diff")


@pytest.mark.parametrize("name", ALL)
def test_labels_may_be_integers_and_are_truncated(name: str) -> None:
    build, (*bottoms, label) = ALL[name]
    module = build().double()
    want = module(*bottoms, label)
    assert_same(module(*bottoms, label.long()), want)
    if name not in ("sigmoid", "euclidean"):
        assert_same(module(*bottoms, label + 0.9), want)


def assert_same(got: torch.Tensor | tuple[torch.Tensor, ...], want: object) -> None:
    for one, other in zip(
        got if isinstance(got, tuple) else (got,),
        want if isinstance(want, tuple) else (want,),
        strict=True,
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ALL)
def test_only_floats_that_are_no_labels_get_a_gradient(name: str) -> None:
    build, bottoms = ALL[name]
    module = build().double()
    bottoms = tuple(bottom.detach().requires_grad_() for bottom in bottoms)
    tops = module(*bottoms)
    for top in tops if isinstance(tops, tuple) else (tops,):
        if top.requires_grad:
            top.sum().backward()
    reached = tuple(index for index, bottom in enumerate(bottoms) if bottom.grad is None)
    assert reached == module.fixed_bottoms[: len(reached)] or name == "infogain"
    assert reached == ((1,) if name == "infogain" else module.fixed_bottoms)


@pytest.mark.parametrize("name", ALL)
def test_export_traces_it_at_any_batch(name: str) -> None:
    build, bottoms = ALL[name]
    module = build().double()
    bottoms = tuple(bottom.detach() for bottom in bottoms)
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        module, bottoms, dynamic_shapes=tuple({0: batch} for _ in bottoms), strict=False
    )
    larger = tuple(torch.cat([bottom, bottom[:1]]) for bottom in bottoms)
    got, want = program.module()(*larger), module(*larger)
    for one, other in zip(got, want, strict=True) if isinstance(want, tuple) else [(got, want)]:
        assert_close(one.detach(), other.detach(), name)


FREE = {
    "softmax": ('type: "SoftmaxWithLoss" top: "y"', (2, 1, 4, 6)),
    "softmax batch": (
        'type: "SoftmaxWithLoss" top: "y" loss_param { normalization: BATCH_SIZE }'
        " softmax_param { axis: 3 }",
        (2, 3, 4, 1),
    ),
    "softmax full": (
        'type: "SoftmaxWithLoss" top: "y" loss_param { normalization: FULL ignore_label: 0 }',
        (2, 1, 4, 6),
    ),
    "softmax valid": (
        'type: "SoftmaxWithLoss" top: "y" loss_param { ignore_label: 0 }',
        (2, 1, 4, 6),
    ),
    "accuracy": ('type: "Accuracy" top: "y" top: "z"', (2, 1, 4, 6)),
    "sigmoid": ('type: "SigmoidCrossEntropyLoss" top: "y"', (2, 3, 4, 6)),
    "euclidean": ('type: "EuclideanLoss" top: "y"', (2, 3, 4, 6)),
}


@pytest.mark.parametrize("opset", [OLDEST_OPSET, DEFAULT_OPSET, 18])
@pytest.mark.parametrize("name", FREE)
def test_every_size_is_free_in_onnx(name: str, opset: int, tmp_path: Path) -> None:
    text, label = FREE[name]
    net = load(tmp_path, text, x=(2, 3, 4, 6), l=label).float()
    path = tmp_path / "net.onnx"
    # Axis 3 is the class axis where the label is one wide: its size is the file's.
    dynamic = ("batch", "height", "width") if label[3] == 6 else ("batch", "height")
    converter.export_onnx(net, path, opset=opset, dynamic=dynamic, with_losses=True)
    converter.check_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for sizes in ((2, 4, 6), (3, 36, 38 if label[3] == 6 else 6)):
        wide = sizes[2] if label[3] == 6 else 1
        x = draw(sizes[0], 3, *sizes[1:]).float()
        target = labels(sizes[0], label[1], sizes[1], wide).float()
        wants = net({"x": x, "l": target})
        got = session.run(None, {"x": x.numpy(), "l": target.numpy()})
        for (blob, want), one in zip(wants.items(), got, strict=True):
            assert_close(one, want.detach(), f"{blob} of {sizes}", 1e-5)


def test_labels_of_another_shape_are_placed_in_onnx(tmp_path: Path) -> None:
    text = 'type: "SoftmaxWithLoss" top: "y" loss_param { normalization: BATCH_SIZE }'
    net = load(tmp_path, text, x=(2, 3, 4, 5), l=(2, 20)).float()
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, with_losses=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (2, 7):
        fed = {"x": draw(batch, 3, 4, 5).float(), "l": labels(batch, 20).float()}
        (got,) = session.run(None, {name: value.numpy() for name, value in fed.items()})
        assert_close(got, net(fed)["y"].detach(), f"loss of {batch}", 1e-5)


EXTRA = {
    "hinge": ('type: "HingeLoss" top: "y"', {"x": (3, 4), "l": (3, 2)}),
    "contrastive": (
        'type: "ContrastiveLoss" top: "y" contrastive_loss_param { margin: 4 }',
        {"a": (3, 4), "b": (3, 4), "l": (5,)},
    ),
}


@pytest.mark.parametrize("name", EXTRA)
def test_further_labels_are_ignored(name: str, tmp_path: Path) -> None:
    """Caffe reads the first N values of the label blob and asks only for at least as many."""
    text, shapes = EXTRA[name]
    net = load(tmp_path, text, **shapes).float()
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, with_losses=True, dynamic=())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    fed = {name: draw(*shape).float() for name, shape in shapes.items()}
    fed["l"] = torch.tensor([0.0, 1, 0, 1, 1, 0])[: fed["l"].numel()].reshape(shapes["l"])
    want = net(fed)["y"]
    few = {**fed, "l": fed["l"].flatten()[:3]}
    module = net.layers["L"]
    assert torch.equal(want, module(*few.values()))
    (got,) = session.run(None, {name: value.numpy() for name, value in fed.items()})
    assert_close(got, want, "loss", 1e-5)


def test_an_impossible_label_costs_the_log_of_the_least_float() -> None:
    x = torch.tensor([[-torch.inf, 0.0], [-2000.0, 0.0]], requires_grad=True)
    loss = caffe_layers.SoftmaxWithLoss(normalization="NONE")(x, torch.zeros(2))
    loss.backward()
    assert loss.item() == pytest.approx(-2 * log(FLT_MIN), rel=1e-6)
    assert x.grad.tolist() == [[-1, 1], [-1, 1]]


def test_a_score_that_is_no_number_counts_as_right() -> None:
    x = torch.tensor([[torch.nan, 1.0], [0.0, 1.0]])
    assert caffe_layers.Accuracy()(x, torch.zeros(2)).item() == 0.5


@pytest.mark.parametrize("name", ["softmax", "multinomial", "infogain", "hinge", "accuracy"])
@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_refused(name: str, label: int) -> None:
    build, (x, right, *_) = ALL[name]
    wrong = right.clone()
    wrong.view(-1)[1] = label
    with pytest.raises(CaffeError, match=rf"^the labels go from .*{label}.*, wants 0 to 2$"):
        build().double()(x, wrong)


def test_the_label_that_is_ignored_may_be_no_class() -> None:
    x = draw(2, 3)
    loss = caffe_layers.SoftmaxWithLoss(ignore_label=255)(x, torch.tensor([255, 2]))
    assert_close(loss, -x.log_softmax(1)[1, 2], "loss")


def test_the_second_top_of_infogain_gives_nothing_back() -> None:
    x = draw(4, 3).requires_grad_()
    _, probabilities = caffe_layers.InfogainLoss(torch.eye(3).double(), tops=2)(x, labels(4))
    assert torch.equal(probabilities, x.detach().softmax(1))
    assert not probabilities.requires_grad


def test_infogain_floors_probabilities_but_not_its_gradient(tmp_path: Path) -> None:
    x = torch.tensor([[0.0, -2000]], dtype=torch.float64, requires_grad=True)
    matrix = torch.tensor([[1.0, 3], [0, 0]], dtype=torch.float64, requires_grad=True)
    loss = caffe_layers.InfogainLoss()(x, torch.zeros(1), matrix)
    loss.backward()
    floor = float(np.float32(1e-20))
    assert_close(loss.detach(), -3 * log(floor), "loss")
    assert x.grad.tolist() == [[3, -3]]
    assert matrix.grad is None

    net = load(tmp_path, 'type: "InfogainLoss" top: "y"', x=(1, 2), l=(1,), h=(2, 2)).float()
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, with_losses=True, dynamic=())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    fed = {"x": x, "l": torch.zeros(1), "h": matrix}
    (got,) = session.run(
        None, {name: value.detach().float().numpy() for name, value in fed.items()}
    )
    assert_close(got, loss.detach(), "loss in ONNX", 1e-5)


def test_an_identity_matrix_makes_infogain_the_softmax_loss() -> None:
    x, label = draw(4, 3, 2), labels(4, 2)
    want = caffe_layers.SoftmaxWithLoss()(x, label)
    assert_close(caffe_layers.InfogainLoss(torch.eye(3).double())(x, label), want, "loss")


REFUSED = {
    "euclidean axes": (
        'type: "EuclideanLoss"',
        [(1, 1, 1, 1, 2), (1, 2)],
        "bottom (1, 1, 1, 1, 2) has 5 axes, wants 4 at most",
    ),
    "scalar": (
        'type: "SigmoidCrossEntropyLoss"',
        [(), ()],
        "bottoms () and () want a batch axis each",
    ),
    "batch": (
        'type: "SoftmaxWithLoss"',
        [(3, 4), (2,)],
        "bottom (3, 4) has 3 samples, its labels (2,) are 2",
    ),
    "places": (
        'type: "SoftmaxWithLoss"',
        [(3, 4, 2), (3,)],
        "labels (3,) are 3, wants 6: one for each place of (3, 4, 2)",
    ),
    "top k": (
        'type: "Accuracy" accuracy_param { top_k: 5 }',
        [(3, 4), (3,)],
        "top_k 5 of 4 classes in bottom (3, 4)",
    ),
    "pairs": (
        'type: "ContrastiveLoss"',
        [(3, 4), (3, 4), (2,)],
        "labels (2,) are fewer than 3 pairs",
    ),
    "matrix": (
        'type: "InfogainLoss"',
        [(3, 4), (3,), (4, 3)],
        "the matrix (4, 3) wants 4 x 4 values, as x (3, 4) has",
    ),
    "no matrix": (
        'type: "InfogainLoss"',
        [(3, 4), (3,)],
        "it has neither a third bottom nor a source for its matrix",
    ),
    "normalize": (
        'type: "InfogainLoss" loss_param { normalize: true }',
        [(3, 4), (3,), (4, 4)],
        "InfogainLoss knows no normalize\n  fix: say `normalization: VALID` or BATCH_SIZE",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, tmp_path: Path) -> None:
    layer, shapes, message = REFUSED[name]
    with pytest.raises(CaffeError) as caught:
        load(tmp_path, f'{layer} top: "y"', **dict(zip("abc", shapes, strict=False)))
    assert str(caught.value).split("): ", 1)[1] == message


def test_infogains_matrix_is_read_from_its_file_and_stays_out_of_the_weights(
    tmp_path: Path,
) -> None:
    layer = 'type: "InfogainLoss" top: "y" infogain_loss_param {{ source: "{}" }}'
    missing = tmp_path / "none.binaryproto"
    with pytest.raises((CaffeError, OSError), match=r"none\.binaryproto"):
        load(tmp_path, layer.format(missing), x=(3, 2), l=(3,))
    broken = tmp_path / "broken.binaryproto"
    broken.write_bytes(b"\x2a\xff")
    with pytest.raises(CaffeError, match=r"broken\.binaryproto"):
        load(tmp_path, layer.format(broken), x=(3, 2), l=(3,))
    source = tmp_path / "h.binaryproto"
    values = np.array([1, 2, 3, 4], "<f4").tobytes()
    source.write_bytes(b"\x08\x01\x10\x01\x18\x02\x20\x02\x2a\x10" + values)
    net = load(tmp_path, layer.format(source), x=(3, 2), l=(3,))
    x, label = draw(3, 2), torch.tensor([0.0, 1, 1])
    rows = torch.tensor([[1.0, 2], [3, 4], [3, 4]]).double()
    want = -(rows * x.log_softmax(1)).sum() / 3
    assert_close(net({"x": x, "l": label})["y"], want, "loss")
    assert not net.state_dict()
    assert not net.params

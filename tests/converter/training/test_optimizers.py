"""The optimizers and policies as a PyTorch user meets them."""

from __future__ import annotations

from copy import deepcopy
from math import exp, sqrt

import numpy as np
import pytest
import torch

import converter
from caffe_layers.base.number import float32
from converter.training import (
    SGD,
    AdaDelta,
    AdaGrad,
    Adam,
    Nesterov,
    Policy,
    PolicyLR,
    RMSProp,
    clip_scale,
    fused_sgd,
)
from prototxt.errors import CaffeError
from tests.support import recorded

RULES = [
    (SGD, {"momentum": 0.9}),
    (Nesterov, {"momentum": 0.9}),
    (AdaGrad, {"delta": 1e-4}),
    (RMSProp, {"rms_decay": 0.9, "delta": 1e-4}),
    (AdaDelta, {"momentum": 0.95, "delta": 1e-4}),
    (Adam, {"momentum": 0.9, "momentum2": 0.99, "delta": 1e-4}),
]
rules = pytest.mark.parametrize(
    ("rule", "numbers"), RULES, ids=lambda value: getattr(value, "__name__", "")
)


def parameter(*values: float) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))


def pull(blob: torch.nn.Parameter, step: int) -> None:
    """Set some gradient."""
    blob.grad = torch.cos(blob.detach() * (step + 2))


@rules
def test_a_saved_optimizer_goes_on_exactly(rule, numbers):
    blobs = [parameter(1.0, -2.0, 3.0) for _ in range(2)]
    first, second = (rule([blob], 0.1, weight_decay=0.01, **numbers) for blob in blobs)
    for step in range(3):
        pull(blobs[0], step)
        first.step()
    second.load_state_dict(deepcopy(first.state_dict()))
    blobs[1].data.copy_(blobs[0].data)
    for step in range(3, 6):
        for blob, optimizer in zip(blobs, (first, second), strict=True):
            pull(blob, step)
            optimizer.step()
    assert torch.equal(*blobs)


@rules
def test_a_multiplier_is_a_rate_of_its_own(rule, numbers):
    one, two = parameter(0.5, -1.5), parameter(0.5, -1.5)
    first = rule(
        [{"params": [one], "lr_mult": 0.5, "decay_mult": 4.0}], 0.1, weight_decay=0.01, **numbers
    )
    second = rule([two], 0.05, weight_decay=4 * float32(0.01), **numbers)
    for step in range(4):
        for blob, optimizer in ((one, first), (two, second)):
            pull(blob, step)
            optimizer.step()
    assert torch.allclose(one, two, rtol=1e-7, atol=0)
    assert not torch.equal(one.detach(), torch.tensor([0.5, -1.5]).double())


@rules
def test_a_blob_with_rate_0_keeps_its_value_and_has_a_history(rule, numbers):
    blob = parameter(0.5, -1.5)
    optimizer = rule([{"params": [blob], "lr_mult": 0.0}], 0.1, weight_decay=0.01, **numbers)
    pull(blob, 0)
    optimizer.step()
    assert blob.tolist() == [0.5, -1.5]
    moves = rule not in (SGD, Nesterov)  # theirs holds rates
    assert bool(optimizer.history(blob)[0].any()) == moves


@rules
def test_what_has_no_gradient_decays_and_what_wants_none_does_not(rule, numbers):
    unused, frozen, still = parameter(2.0), parameter(2.0), parameter(2.0)
    frozen.requires_grad_(False)
    groups = [{"params": [unused, frozen]}, {"params": [still], "decay_mult": 0.0}]
    optimizer = rule(groups, 0.1, weight_decay=0.5, **numbers)
    optimizer.step()
    assert unused.item() < 2.0
    assert frozen.item() == still.item() == 2.0
    assert not optimizer.state[frozen]


@rules
def test_the_gradient_is_left_as_it_is(rule, numbers):
    blob = parameter(0.5, -1.5)
    optimizer = rule([blob], 0.1, weight_decay=0.5, iter_size=2, clip_gradients=0.1, **numbers)
    pull(blob, 0)
    before = blob.grad.clone()
    optimizer.step()
    assert torch.equal(blob.grad, before)


def test_the_order_is_clip_then_divide_then_decay():
    blob, other = parameter(1.0), parameter(1.0)
    optimizer = SGD(
        [{"params": [blob]}, {"params": [other], "lr_mult": 0.0}],
        1.0,
        weight_decay=0.25,
        clip_gradients=2.5,
        iter_size=2,
    )
    blob.grad, other.grad = torch.tensor([3.0]).double(), torch.tensor([4.0]).double()
    optimizer.step()
    assert blob.item() == pytest.approx(1 - (3.0 * 2.5 / 5.0 / 2 + 0.25), rel=1e-12)


@pytest.mark.parametrize(("kind", "want"), [("L1", -0.5), ("L2", -2.0)])
def test_decay_by_sign_or_by_value(kind, want):
    blob = parameter(-4.0, 0.0)
    optimizer = SGD([blob], 1.0, weight_decay=0.5, regularization_type=kind)
    optimizer.step()
    assert (blob.detach() - torch.tensor([-4.0, 0.0])).tolist() == [-want, 0.0]


def test_a_closure_is_run_with_gradients():
    blob = parameter(3.0)
    optimizer = SGD([blob], 0.5)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (blob**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9.0
    assert blob.item() == 0.0


def test_numbers_are_floats_of_caffes():
    group = Adam([parameter(1.0)], 0.1, momentum=0.9, weight_decay=0.3).param_groups[0]
    assert group["momentum"] == float(np.float32(0.9)) != 0.9
    assert group["weight_decay"] == float(np.float32(0.3))
    assert (group["momentum2"], group["delta"]) == (
        float(np.float32(0.999)),
        float(np.float32(1e-8)),
    )


def test_defaults_are_the_solvers():
    blob = parameter(1.0)
    assert RMSProp([blob], 0.1).param_groups[0]["rms_decay"] == float(np.float32(0.99))
    for rule, _ in RULES:
        optimizer = rule([blob], 0.1)
        assert (optimizer.clip_gradients, optimizer.iter_size) == (-1, 1)
        group = optimizer.param_groups[0]
        assert (group["weight_decay"], group["regularization_type"]) == (0, "L2")
        assert group.get("momentum", 0.0) == 0.0
        assert group.get("delta", 0.0) in (0.0, float(np.float32(1e-8)))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: AdaGrad(p, 0.1, momentum=0.9), "momentum is 0.9, AdaGrad has none"),
        (lambda p: RMSProp(p, 0.1, momentum=0.9), "momentum is 0.9, RMSProp has none"),
        (lambda p: RMSProp(p, 0.1, rms_decay=1.0), "rms_decay is 1, RMSProp wants 0 or more and"),
        (lambda p: RMSProp(p, 0.1, rms_decay=-0.1), "rms_decay is -0.1"),
        (lambda p: SGD(p, 0.1, regularization_type="L3"), "regularization_type 'L3' is unknown"),
        (lambda p: SGD(p, 0.1, iter_size=0), "iter_size is 0, wants 1 or more"),
    ],
)
def test_what_caffe_refuses(make, said):
    with pytest.raises(CaffeError) as caught:
        make([parameter(1.0)])
    assert str(caught.value).startswith(said)


def test_clipping():
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    assert clip_scale(gradients, -1.0) is None
    assert clip_scale([], 1.0) is None
    for limit, want in ((2.5, 0.5), (5.0, 1.0), (6.0, 1.0), (0.0, 0.0)):
        scale = clip_scale(gradients, limit)
        assert scale is not None
        assert scale.item() == pytest.approx(want)


NUMBERS = {"gamma": 0.5, "power": 2.0, "stepsize": 3, "stepvalue": [2, 3, 6], "max_iter": 8}
FACTORS = {
    "fixed": [1] * 8,
    "step": [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25],
    "exp": [1, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125],
    "inv": [1, 1 / 2.25, 1 / 4, 1 / 6.25, 1 / 9, 1 / 12.25, 1 / 16, 1 / 20.25],
    "multistep": [1, 1, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125],
    "poly": [1, 49 / 64, 36 / 64, 25 / 64, 16 / 64, 9 / 64, 4 / 64, 1 / 64],
    "sigmoid": [1 / (1 + exp(-0.5 * (it - 3))) for it in range(8)],
}


@pytest.mark.parametrize("name", FACTORS)
def test_policies(name):
    policy = Policy(name, **NUMBERS)
    assert [policy.factor(it) for it in range(8)] == pytest.approx(FACTORS[name], rel=1e-12)


def test_multistep_takes_one_step_an_iteration():
    policy = Policy("multistep", gamma=0.5, stepvalue=[1, 1, 1])
    assert [policy.factor(it) for it in (5, 6, 7, 8)] == [0.5, 0.25, 0.125, 0.125]


def test_inv_multiplies_floats():
    policy = Policy("inv", gamma=0.3, power=0.75)
    product = float(np.float32(0.3) * np.float32(7))
    assert policy.factor(7) == (1 + product) ** -0.75
    assert policy.factor(7) != (1 + float(np.float32(0.3)) * 7) ** -0.75


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lr_policy": "stepp"}, "lr_policy 'stepp' is unknown\n  fix: did you mean 'step'?"),
        ({"lr_policy": ""}, "lr_policy is missing\n  fix: one of fixed, step"),
        ({"lr_policy": "step"}, "stepsize is 0, lr_policy 'step' wants 1 or more"),
        ({"lr_policy": "multistep", "gamma": -1}, "gamma is -1, lr_policy 'multistep' wants 0"),
    ],
)
def test_bad_policies(options, said):
    with pytest.raises(CaffeError) as caught:
        Policy(**options)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("name", FACTORS)
def test_schedulers_of_torchs_optimizers(name):
    groups = [{"params": [parameter(1.0)], "lr": 0.5}, {"params": [parameter(1.0)], "lr": 2.0}]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    scheduler = PolicyLR(optimizer, Policy(name, **NUMBERS))
    rates = []
    for it in range(8):
        rates.append([group["lr"] for group in optimizer.param_groups])
        if it == 3:
            state = scheduler.state_dict()
            assert all(isinstance(value, (int, float, bool, list)) for value in state.values())
            scheduler = PolicyLR(optimizer, Policy(name, **NUMBERS))
            scheduler.load_state_dict(state)
        optimizer.step()
        scheduler.step()
    want = np.outer(FACTORS[name], [0.5, 2.0])
    np.testing.assert_allclose(rates, want, rtol=1e-12)


@pytest.fixture
def net() -> converter.CaffeNet:
    folder = recorded.unpack("solvers") / "sgd_mix_shared_frozen"
    return converter.load(folder / "net.prototxt", folder / "init.caffemodel", phase="TRAIN")


def test_groups_for_caffes_optimizers(net):
    groups = net.parameter_groups()
    assert {(group["lr_mult"], group["decay_mult"]) for group in groups} == {(0, 1), (1, 1), (2, 1)}
    counts = {group["lr_mult"]: len(group["params"]) for group in groups}
    assert counts == {0: 1, 1: 6, 2: 1}  # a and a2 share both of theirs


def test_groups_for_torchs_optimizers(net):
    groups = net.parameter_groups(0.1, weight_decay=0.01)
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {(0.1, 0.01), (0.2, 0.01)}
    blobs = [blob for group in groups for blob in group["params"]]
    assert len(blobs) == 7
    assert not any(blob is net.params["pre"][0] for blob in blobs)
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    net.loss({name: torch.ones(shape) for name, shape in net.input_shapes.items()}).backward()
    before = net.params["out"][0].detach().clone()
    optimizer.step()
    assert not torch.equal(before, net.params["out"][0])


def test_statistics_are_in_caffes_groups_alone(tiny_sk):
    net = converter.load(tiny_sk / "tiny_sk.prototxt", phase="TRAIN")
    statistics = {id(blob) for blob in net.buffers()}

    def held(groups) -> int:
        return sum(id(blob) in statistics for group in groups for blob in group["params"])

    assert held(net.parameter_groups()) == 14
    assert held(net.parameter_groups(0.1)) == 0
    assert sum(len(group["params"]) for group in net.parameter_groups()) == 38


def test_the_native_network_has_the_released_ones(tiny_sk):
    model = converter.sknet.SKNet((1, 1), width=32, num_classes=5)
    groups = model.parameter_groups(0.5, weight_decay=0.25)
    native = {
        id(blob): (group["lr"], group["weight_decay"])
        for group in groups
        for blob in group["params"]
    }
    assert native.keys() == {id(blob) for blob in model.parameters()}
    net = converter.load(tiny_sk / "tiny_sk.prototxt", phase="TRAIN")
    caffe = {
        id(blob): (group["lr"], group["weight_decay"])
        for group in net.parameter_groups(0.5, weight_decay=0.25)
        for blob in group["params"]
    }

    def of(numbers, *blobs):
        return [numbers[id(blob)] for blob in blobs]

    unit = model.stages[0][0]
    params = net.params
    assert of(native, model.fc.weight, model.fc.bias, model.stem.conv.weight) == of(
        caffe, *params["classifier"], params["conv1"][0]
    )
    assert of(native, unit.increase.bn.weight, unit.increase.bn.bias) == of(
        caffe, *params["u/1x1_increase/bn"][:2]
    )
    assert of(native, unit.kernels.select.weight) == of(caffe, params["u/B_fc2"][0])
    torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def test_adams_correction():
    blob = parameter(0.0)
    optimizer = Adam([blob], 1.0, momentum=0.5, momentum2=0.75, delta=0.25)
    blob.grad = torch.tensor([2.0]).double()
    optimizer.step()
    assert blob.item() == pytest.approx(-sqrt(0.25) / 0.5 * 1.0 / (1.0 + 0.25), rel=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.0},
        {"lr": 1e-8},
        {"weight_decay": 0.0},
        {"regularization_type": "L1"},
        {"clip_gradients": 0.5},
        {"iter_size": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("last", [False, True], ids=["alike", "channels_last"])
def test_floats_go_the_way_of_doubles(options, last):
    """Torch's fused step, which takes floats alone, and where it does not, makes one update."""
    take_floats_as_doubles(options, last=last)


def test_floats_go_the_way_of_doubles_without_torchs_private_step(monkeypatch):
    monkeypatch.setattr(fused_sgd, "HAS_FUSED_SGD", False)
    monkeypatch.delattr(torch, "_fused_sgd_")
    take_floats_as_doubles({}, last=False)


def take_floats_as_doubles(options, *, last):
    random = torch.Generator().manual_seed(1701)
    start = torch.randn(6, 4, 3, 3, generator=random).double()
    diffs = [torch.randn(start.shape, generator=random).double() for _ in range(4)]
    ways = []
    for dtype in (torch.float64, torch.float32):
        blob = start.clone().to(dtype)
        if last:  # and gradients that are not
            blob = blob.contiguous(memory_format=torch.channels_last)
        blob.requires_grad_()
        optimizer = SGD([blob], **{"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01} | options)
        way = []
        for diff in diffs:
            blob.grad = diff.to(dtype)
            optimizer.step()
            way += [optimizer.history(blob)[0].clone(), blob.detach().clone()]
        ways.append(way)
    for double, single in zip(*ways, strict=True):
        recorded.assert_close(single.double(), double, "a history or a blob", 1e-6)

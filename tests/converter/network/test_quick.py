"""Calls like earlier ones: a flat list of calls gives what the network itself does."""

from __future__ import annotations

import copy
import pickle
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import caffe_layers
import converter
from converter.network.net import CaffeNet
from converter.network.quick import cache
from prototxt import ShapeError

SMALL = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [1, 3, 12, 11] } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv" convolution_param {
  num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "xavier" }
  bias_filler { type: "gaussian" std: 1 } } }
layer { name: "prelu" type: "PReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "wide" type: "Convolution" bottom: "pool" top: "wide" convolution_param {
  num_output: 6 kernel_size: [3, 2] group: 2 dilation: 2 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "wide" top: "wide" relu_param { negative_slope: 0.1 } }
layer { name: "drop" type: "Dropout" bottom: "wide" top: "drop" }
layer { name: "slice" type: "Slice" bottom: "drop" top: "a" top: "b" }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }
layer { name: "fc" type: "InnerProduct" bottom: "sum" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "rows" type: "InnerProduct" bottom: "fc" top: "rows" inner_product_param {
  num_output: 5 axis: -1 bias_term: false weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "rows" top: "prob" }
"""


@pytest.fixture
def net(tmp_path: Path) -> CaffeNet:
    (tmp_path / "net.prototxt").write_text(SMALL)
    return converter.load(tmp_path / "net.prototxt")


def image(seed: int = 0, *shape: int) -> Tensor:
    return torch.randn(shape or (1, 3, 12, 11), generator=torch.Generator().manual_seed(seed))


def as_it_is(net: CaffeNet, x: Any) -> dict[str, Tensor]:
    """Return the outputs of the pass that looks at everything."""
    fed = net.feed(x)
    plan = net.plan(fed)
    values = net.run(fed, plan)
    return {blob: values[value] for blob, value in plan.outputs.items()}


def warmed(net: CaffeNet, x: Any) -> CaffeNet:
    """Return the network after two calls; the third is quick."""
    for _ in range(2):
        net(x)
    assert net._quick.outputs(net, x) is not None
    return net


def test_the_third_call_is_quick_and_the_same(net: CaffeNet) -> None:
    x = image()
    assert net._quick.outputs(net, x) is None
    warmed(net, x)
    for seed in range(3):
        for given in (image(seed), {"x": image(seed)}):
            want = as_it_is(net, given)["prob"]
            assert torch.equal(net(given)["prob"], want)
    assert list(net(x)) == ["prob"]


def test_other_sizes_are_other_calls(net: CaffeNet) -> None:
    warmed(net, image())
    batch = image(1, 5, 3, 12, 11)
    for _ in range(3):
        assert torch.equal(net(batch)["prob"], as_it_is(net, batch)["prob"])
    for _ in range(3):
        with pytest.raises(ShapeError, match="layer 'fc'"):
            net(image(1, 1, 3, 20, 20))


def test_gradients_are_the_same(net: CaffeNet) -> None:
    warmed(net, image())
    found = []
    for run in (net, lambda x: as_it_is(net, x)):
        x = image(1).requires_grad_()
        net.zero_grad()
        run(x)["prob"].square().sum().backward()
        found.append([x.grad, *(one.grad.clone() for one in net.parameters())])
    assert all(map(torch.equal, *found))


def changed_in_place(net: CaffeNet) -> None:
    with torch.no_grad():
        for one in net.parameters():
            one.mul_(1.5)


def other_data(net: CaffeNet) -> None:
    for one in net.parameters():
        one.data = one.data + 0.5


def other_parameters(net: CaffeNet) -> None:
    net.layers["conv"].weight = nn.Parameter(torch.ones(4, 3, 3, 3), requires_grad=False)
    net.layers["fc"].bias = nn.Parameter(torch.ones(5), requires_grad=False)


def other_state(net: CaffeNet) -> None:
    net.load_state_dict({key: value + 0.25 for key, value in net.state_dict().items()})


def as_doubles_and_back(net: CaffeNet) -> None:
    net.double()
    net.float()
    other_data(net)


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize(
    "change",
    [changed_in_place, other_data, other_parameters, other_state, as_doubles_and_back],
)
def test_changed_blobs_are_seen(
    change: Callable[[CaffeNet], None], optimized: bool, net: CaffeNet
) -> None:
    if optimized:
        net = net.optimize()
    x = image()
    before = warmed(net, x)(x)["prob"]
    change(net)
    got = net(x)["prob"]
    assert not torch.allclose(got, before)
    assert torch.allclose(got, as_it_is(net, x)["prob"], rtol=1e-5)


def test_a_hook_is_called_and_may_change_the_value(net: CaffeNet) -> None:
    x = image()
    warmed(net, x)
    seen: list[Tensor] = []
    hook = net.layers["conv"].register_forward_hook(lambda *given: seen.append(given[2]))
    net(x)
    assert torch.equal(seen[0], net.layers["conv"](x))
    hook.remove()
    assert net._quick.outputs(net, x) is not None
    doubled = net.layers["prob"].register_forward_hook(lambda *given: 2 * given[2])
    assert torch.allclose(net(x)["prob"].sum(), torch.tensor(2.0))
    doubled.remove()
    count = nn.modules.module.register_module_forward_hook(lambda *given: seen.append(given[2]))
    net(x)
    count.remove()
    assert len(seen) > 10


def test_another_module_in_a_layers_place_is_called(net: CaffeNet) -> None:
    x = image()
    warmed(net, x)
    net.layers._modules["prob"] = caffe_layers.Power(shift=-7)
    assert torch.equal(net(x)["prob"], as_it_is(net, x)["prob"])
    assert net(x)["prob"].min() < 0


def test_copies_have_calls_of_their_own(net: CaffeNet) -> None:
    x = image()
    warmed(net, x)
    want = net(x)["prob"]
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        changed_in_place(other)
        assert not torch.allclose(warmed(other, x)(x)["prob"], want)
    assert torch.equal(net(x)["prob"], want)


def test_training_mode_is_seen(net: CaffeNet) -> None:
    x = image()
    want = warmed(net, x)(x)["prob"]
    net.train()
    assert len({net(x)["prob"].sum(0)[0].item() for _ in range(5)}) > 1  # Dropout draws
    net.eval()
    assert torch.equal(net(x)["prob"], want)


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize("value", [torch.nan, -torch.inf, torch.inf, -1e37])
def test_no_maximum_is_nan_or_less_than_caffes_least(
    value: float, optimized: bool, tmp_path: Path
) -> None:
    text = SMALL[: SMALL.index('layer { name: "wide"')]
    (tmp_path / "net.prototxt").write_text(text)
    net = converter.load(tmp_path / "net.prototxt")
    net = net.optimize() if optimized else net
    warmed(net, image())
    x = image()
    x[0, :, :5, :5] = value
    with torch.no_grad():
        want = as_it_is(net, x)["pool"]
        assert torch.allclose(net(x)["pool"], want, rtol=1e-5, atol=1e-6)
    assert not want.isnan().any()


def test_what_traces_sees_the_layers(net: CaffeNet) -> None:
    x = image()
    warmed(net, x)
    program = torch.export.export(net, ({"x": x},), strict=False)
    assert torch.allclose(program.module()({"x": x})["prob"], net(x)["prob"], rtol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.jit, and of tracing
        traced = torch.jit.trace(net, x, strict=False, check_trace=False)
    assert torch.allclose(traced(image(3))["prob"], net(image(3))["prob"], rtol=1e-5)


def test_wrong_inputs_are_the_same_errors(net: CaffeNet) -> None:
    warmed(net, image())
    with pytest.raises(RuntimeError, match=r"(?i)type"):
        net(image().double())
    with pytest.raises(ShapeError, match="'y' is no input"):
        net({"y": image()})
    assert list(net(image().numpy())) == ["prob"]


def test_few_signatures_are_kept(net: CaffeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 3)
    for batch in range(1, 9):
        warmed(net, image(0, batch, 3, 12, 11))
        assert len(net._quick._calls) <= 3


def test_a_network_that_reads_data_or_cuts_diffs_has_none(tmp_path: Path) -> None:
    text = SMALL.replace('bottom: "x" top: "conv"', 'bottom: "x" top: "conv" propagate_down: false')
    (tmp_path / "net.prototxt").write_text(text)
    net = converter.load(tmp_path / "net.prototxt")
    x = image().requires_grad_()
    for _ in range(3):
        assert net._quick.outputs(net, x) is None
        net(x)
    net(x)["prob"].sum().backward()
    assert x.grad is None


def test_values_are_let_go(net: CaffeNet) -> None:
    x = image()
    warmed(net, x)
    calls = net._quick._calls[x.shape]
    assert calls is not None
    dead = [place for call in calls._calls for place in call.dead]
    assert len(dead) == len(set(dead)) == len(calls._room) - 1
    first, last = calls._calls[0], calls._calls[-1]
    made: list[weakref.ref[Tensor]] = []
    gone: list[bool] = []

    def noted(value: Tensor) -> Tensor:
        top: Tensor = first.run(value)
        made.append(weakref.ref(top))
        return top

    def looking(value: Tensor) -> Tensor:
        gone.append(made[0]() is None)
        top: Tensor = last.run(value)
        return top

    calls._calls[0], calls._calls[-1] = first._replace(run=noted), last._replace(run=looking)
    with torch.no_grad():
        net(x)
    assert gone == [True]


@pytest.mark.parametrize("size", [12, 200])
def test_a_convolution_of_few_products_needs_no_packing(size: int, net: CaffeNet) -> None:
    faster = net.optimize()
    conv = faster.layers["conv"]
    shape = (1, 3, size, size)
    assert conv.has_few_products(shape) == (size == 12)
    assert conv.wants_channels_last(shape) == (size != 12)
    x = image(0, *shape)
    with torch.inference_mode():
        got = conv.bound(shape)(x)
        assert (conv._packed is None) == (size == 12)
        assert torch.allclose(got, net.layers["conv"](x), rtol=1e-4, atol=1e-5)


FILLED = 'weight_filler { type: "gaussian" std: 1 } bias_filler { type: "gaussian" std: 1 }'
CONVOLUTIONS = {
    "volume": "kernel_size: 2",
    "strided": "kernel_size: 3 stride: 2",
    "too large": "kernel_size: 8 stride: 3",
    "along the last axis": "kernel_size: 3 axis: 2",
    "same": "kernel_size: 4 tf_pad: SAME",
    "with a ReLU": "kernel_size: 3 relu: true negative_slope: 0.2",
    "no bias": "kernel_size: 3 bias_term: false",
}
POOLS = {
    "padded": "kernel_size: 3 stride: 2 pad: 1",
    "with gaps": "kernel_size: 2 stride: 3",
    "global": "global_pooling: true",
    "mean": "pool: AVE kernel_size: 3 stride: 2",
}
PRODUCTS = {"transposed": "transpose: true", "rows": "axis: 2", "the last": "axis: -1"}
LAYERS = {
    "slope": '"ReLU" relu_param { negative_slope: -0.5 }',
    "one slope": '"PReLU" prelu_param { channel_shared: true }',
    "along an axis": '"Softmax" softmax_param { axis: 2 }',
}
for name, fields in CONVOLUTIONS.items():
    LAYERS[name] = f'"Convolution" convolution_param {{ num_output: 2 {fields} {FILLED} }}'
for name, fields in PRODUCTS.items():
    LAYERS[name] = f'"InnerProduct" inner_product_param {{ num_output: 3 {fields} {FILLED} }}'
for name, fields in POOLS.items():
    LAYERS[name] = f'"Pooling" pooling_param {{ {fields} }}'


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize("said", LAYERS)
def test_a_layers_own_function_does_what_it_does(
    said: str, optimized: bool, tmp_path: Path
) -> None:
    shape = (2, 3, 7, 6, 5) if said == "volume" else (2, 3, 7, 6)
    dims = ", ".join(map(str, shape))
    text = 'layer { name: "in" type: "Input" top: "x" '
    text += f"input_param {{ shape {{ dim: [{dims}] }} }} }}\n"
    text += f'layer {{ name: "L" bottom: "x" top: "y" type: {LAYERS[said]} }}\n'
    (tmp_path / "net.prototxt").write_text(text)
    net = converter.load(tmp_path / "net.prototxt")
    net = net.optimize() if optimized else net
    x = image(3, *shape)
    got, want = warmed(net, x)(x)["y"], as_it_is(net, x)["y"]
    assert torch.allclose(got, want, rtol=1e-5, atol=1e-5)
    assert got.shape == want.shape

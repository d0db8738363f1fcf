"""Trained networks: names, values and gradients as real pycaffe had them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.recorded import unpack

NAMES = sorted(path.stem for path in (unpack("pycaffe") / "nets").glob("*.json"))
DECIDED: dict[str, dict[str, dict[int, float]]] = {
    "lenet_cafftf": {"conv2": {132930: 0.024292342364788055, 132931: 0.024291805922985077}},
    "squeezenet_v1.0_dc": {"fire4/concat": {81311: 5.692484378814697, 81367: 5.692485809326172}},
    "vdsr": {
        "conv5": {2307303: 0.0},
        "conv7": {904714: 0.0, 1558521: 0.0},
        "conv10": {1250464: 1.7601996660232544e-07},
        "conv11": {2125816: 0.0},
        "conv12": {1615928: 0.0},
    },
    "waifu2x_anime_style_art": {"conv6": {819425: 1.6577541828155518e-07}},
}
"""Where a ReLU or a maximum decides otherwise for a value that rounding makes: a blob's place and
the value that real pycaffe has there, from which the gradients are then computed."""
SAMPLES = 64


def fed(net: Any, random: np.random.RandomState) -> dict[str, np.ndarray]:
    for name in net.inputs:
        net.blobs[name].data[...] = random.uniform(-1, 1, tuple(net.blobs[name].shape))
    result: dict[str, np.ndarray] = net.forward()
    return result


def assert_recorded(
    arrays: dict[str, np.ndarray], kind: str, found: Callable[[str], np.ndarray], tolerance: float
) -> int:
    keys = [key for key in arrays if key.startswith(f"{kind}|") and key.endswith("|sample")]
    for key in keys:
        name = key.removeprefix(f"{kind}|").removesuffix("|sample")
        value, want = found(name), arrays[key]
        assert value.shape == tuple(arrays[f"{kind}|{name}|shape"]), name
        flat = value.reshape(-1)
        places = np.unique(np.linspace(0, flat.size - 1, min(SAMPLES, flat.size)).astype(np.int64))
        largest = arrays[f"{kind}|{name}|stats"][2]
        assert np.abs(flat[places] - want).max() <= tolerance * largest, f"{kind} {name}"
    return len(keys)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_is_what_real_pycaffe_makes_of_it(
    caffe: Any, shared: Path, tmp_path: Path, name: str
) -> None:
    nets, model = unpack("pycaffe") / "nets", shared / "models" / name
    want: dict[str, Any] = json.loads((nets / f"{name}.json").read_text())
    with np.load(nets / f"{name}.npz") as file:
        arrays = dict(file)
    definition = model / "deploy.prototxt"
    weights = next(iter(sorted(model.glob("weights.caffemodel*"))))
    net = caffe.Net(str(definition), caffe.TEST, weights=str(weights))
    assert list(net._layer_names) == want["layers"]
    assert [layer.type for layer in net.layers] == want["types"]
    assert net.inputs == want["inputs"]
    assert net.outputs == want["outputs"]
    assert [[key, value] for key, value in net.top_names.items()] == want["tops"]
    assert [[key, value] for key, value in net.bottom_names.items()] == want["bottoms"]
    assert list(net._blob_loss_weights) == want["lw"]
    params = [[key, [list(blob.shape) for blob in blobs]] for key, blobs in net.params.items()]
    assert params == want["params"]
    random = np.random.RandomState(0)
    assert sorted(fed(net, random)) == sorted(want["outkeys"])
    assert assert_recorded(arrays, "blob", lambda blob: net.blobs[blob].data, 5e-6)

    forced = tmp_path / "forced.prototxt"
    forced.write_text("force_backward: true\n" + definition.read_text())
    plain, net = net, caffe.Net(str(forced), str(weights), caffe.TEST)
    random = np.random.RandomState(0)
    if name in DECIDED:
        for blob in net.inputs:
            random.uniform(-1, 1, tuple(net.blobs[blob].shape))
        copy_decided(plain, net, DECIDED[name])
    else:
        fed(net, random)
    for blob in net.outputs:
        net.blobs[blob].diff[...] = random.uniform(-1, 1, tuple(net.blobs[blob].shape))
    assert sorted(net.backward()) == sorted(want["bkeys"])

    def gradient(key: str) -> np.ndarray:
        layer, _, index = key.rpartition("|")
        diff: np.ndarray = net.params[layer][int(index)].diff
        return diff

    assert assert_recorded(arrays, "diff", lambda blob: net.blobs[blob].diff, 1e-5)
    assert assert_recorded(arrays, "pdiff", gradient, 1e-5)


def copy_decided(plain: Any, net: Any, decided: dict[str, dict[int, float]]) -> None:
    """Give a network that never ran the values of one that did, and Caffe's where it decides."""
    for blob, array in plain.blobs.items():
        net.blobs[blob].data[...] = array.data
    for blob, values in decided.items():
        flat, largest = net.blobs[blob].data.reshape(-1), np.abs(net.blobs[blob].data).max()
        for place, value in values.items():
            assert 0 < abs(flat[place] - value) <= 1e-6 * largest, f"{blob} {place}"
            flat[place] = value

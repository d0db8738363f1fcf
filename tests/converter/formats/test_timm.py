"""The format timm: strictly loaded by timm's models, which then give Caffe's scores."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import converter
import prototxt
from converter.network.build import build as build_net
from converter.timm_names import SENETS, caffe_stem, timm_state_dict
from converter.verification.golden import golden_error
from prototxt import UnsupportedError
from prototxt.nets import networks
from prototxt.nets.sknet import sknet as build_sknet
from tests.support import timm_models

FLOAT32 = 1e-4


def test_sknet50_is_skresnext50(sknet: Path, checkpoints: Path, tmp_path: Path) -> None:
    model = timm_models.create("skresnext50_32x4d")
    files = sknet / "sknet50.prototxt", checkpoints / "sknet50.caffemodel"
    report = converter.convert(*files, tmp_path, formats=["timm"], verify_it=False)
    state = load_file(tmp_path / "sknet50.timm.safetensors")
    assert model.load_state_dict(state, strict=True)
    data = np.load(sknet / "input.npz")["data"]
    want = np.load(sknet / "sknet50_test64.npz")["classifier"]
    with torch.no_grad():
        published = model(torch.from_numpy(data).float()).numpy()
        scores = caffe_stem(model)(torch.from_numpy(data).float()).numpy()
    assert np.abs(scores - want).max() <= FLOAT32 * np.abs(want).max()
    assert np.abs(published - want).max() > 0.1 * np.abs(want).max()
    assert any(
        "timm.create_model('skresnext50_32x4d', num_classes=1000)" in n for n in report.notes
    )


def test_released_senet_is_timms(shared: Path, tmp_path: Path) -> None:
    model = timm_models.create("legacy_seresnet50")
    nets = shared / "reference" / "nets"
    script = [sys.executable, nets / "build_weights.py", tmp_path, "SE-ResNet-50"]
    subprocess.run(script, check=True, capture_output=True)
    folder = nets / "SE-ResNet-50"
    net = converter.load(folder / "deploy.prototxt", tmp_path / "SE-ResNet-50.caffemodel")
    name, state = timm_state_dict(net)
    assert name == "legacy_seresnet50"
    assert model.load_state_dict(state, strict=True)
    meta = json.loads((folder / "meta.json").read_text())
    draw = np.random.default_rng([meta["seed"], zlib.crc32(b"input|data")])
    data = (draw.standard_normal((1, 3, 224, 224)) * meta["scale"]).astype("f")
    light = np.load(folder / "light.npz")
    want = {part: light[f"classifier|{part}"] for part in ("shape", "stats", "sample")}
    for stem in (lambda same: same, caffe_stem):  # timm's has the right stem already
        with torch.no_grad():
            scores = stem(model)(torch.from_numpy(data))
        assert golden_error(scores.numpy(), want) <= FLOAT32


def test_statistics_are_divided_by_their_factor() -> None:
    net = build_net(prototxt.parse_text(str(networks.build("se_resnet50"))))
    bn, scale = (net.layers[f"conv2_1_3x3/bn{end}"] for end in ("", "/scale"))
    for index, blob in enumerate([*bn.blobs, *scale.blobs], 1):
        blob.data.fill_(2 * index)
    _, state = timm_state_dict(net)
    values = [
        state[f"layer1.0.bn2.{key}"][0].item()
        for key in ("weight", "bias", "running_mean", "running_var")
    ]
    assert values == [8, 10, pytest.approx(2 / 6), pytest.approx(4 / 6)]
    bn.factor.fill_(0)
    _, state = timm_state_dict(net)
    assert not state["layer1.0.bn2.running_var"].any()


@pytest.mark.parametrize("name", ["se_resnet101", "se_resnext50", "senet154"])
def test_every_senets_names_and_shapes_are_timms(name: str) -> None:
    with torch.device("meta"):
        model = timm_models.create(SENETS[name], num_classes=7)
    net = build_net(prototxt.parse_text(str(networks.build(name, num_classes=7))))
    found, state = timm_state_dict(net)
    assert found == SENETS[name]
    want = model.state_dict()
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in want.items()}


def test_smaller_image_of_senet_is_read_too() -> None:
    definition = str(networks.build("se_resnet50", num_classes=7, data=(2, 3, 224, 224)))
    text = definition.replace("kernel_size: 7 stride: 1", "engine: CAFFE global_pooling: true")
    net = build_net(prototxt.parse_text(text))
    assert timm_state_dict(net)[0] == "legacy_seresnet50"


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (
            lambda: build_sknet("deep", (3, 4, 23, 3)),
            "timm's skresnext50_32x4d has layers (3, 4, 6, 3), the network has (3, 4, 23, 3)\n"
            "  fix: timm has no other SKNet of these units; --format sknet has any",
        ),
        (
            lambda: build_sknet("three", (3, 4, 6, 3), branches=3),
            "timm's skresnext50_32x4d has branches 2, the network has 3",
        ),
        (
            lambda: networks.build("se_resnext50", groups=16),
            "timm has no SENet of 16 units whose first 3x3 convolution has 16 groups",
        ),
        (
            lambda: networks.build("se_resnet50", stride_in_reduce=False),
            "no se_resnet50: layer 'conv3_1_1x1_reduce' (Convolution) is not as se_resnet50's",
        ),
        (
            lambda: str(networks.build("se_resnet50")).replace(
                "use_global_stats: true", "eps: 1e-3"
            ),
            "no se_resnet50: layer 'conv1/7x7_s2/bn' (BatchNorm) is not as se_resnet50's",
        ),
        (
            lambda: networks.build("dpn92"),
            "timm has no model of dpn92 that we know\n  fix: wants SKNet-50 or one of SENet's",
        ),
    ],
)
def test_what_timm_lacks_is_refused(definition, message: str) -> None:
    net = build_net(prototxt.filter_net(prototxt.parse_text(str(definition())), phase="TEST"))
    with pytest.raises(UnsupportedError) as caught:
        timm_state_dict(net)
    assert str(caught.value).startswith(message)


def test_model_without_such_a_stem_is_refused() -> None:
    with pytest.raises(UnsupportedError) as caught:
        caffe_stem(nn.Linear(1, 1))
    assert str(caught.value) == (
        "Linear has no stem as timm's ResNets have\n  fix: wants a module called maxpool or pool0"
    )

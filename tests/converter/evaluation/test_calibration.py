"""What calibration is fed: folders of images, lists, arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import converter
from converter.evaluation.calibration import calibration_feeds
from prototxt.errors import CaffeError, FormatError, UsageError
from tests.support.definitions import convolution, layer

INPUT = layer("data", "Input", "", "data", "input_param { shape { dim: [1, 3, 6, 6] } }")
OTHER = layer("more", "Input", "", "more", "input_param { shape { dim: [1, 3, 6, 6] } }")


def load(folder: Path, *, two: bool = False) -> converter.CaffeNet:
    text = INPUT + convolution("conv", "data", 4, 3)
    if two:
        text = INPUT + OTHER + layer("sum", "Eltwise", "data more", "sum")
    (folder / "net.prototxt").write_text(text)
    return converter.load(folder / "net.prototxt")


def test_images_are_prepared_as_the_network_wants_them(tmp_path: Path) -> None:
    net = load(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    (tmp_path / "images").mkdir()
    for index in range(3):
        Image.fromarray(pixels + index).save(tmp_path / "images" / f"{index}.png")
    (tmp_path / "list.txt").write_text("images/2.png 7\n")
    settings = {"channels": "BGR", "mean": "1,2,3"}
    feeds = calibration_feeds(net, tmp_path / "images", settings)
    assert [feed.keys() for feed in feeds] == [{"data"}] * 3
    wanted = pixels[:, :, ::-1].transpose(2, 0, 1) - np.array([1, 2, 3.0])[:, None, None]
    np.testing.assert_allclose(feeds[0]["data"], wanted[None], atol=1e-4)
    (listed,) = calibration_feeds(net, tmp_path / "list.txt", settings)
    np.testing.assert_array_equal(listed["data"], feeds[2]["data"])
    with pytest.raises(UsageError, match="the network reads data, more"):
        calibration_feeds(load(tmp_path, two=True), tmp_path / "images", settings)


def test_of_many_samples_some_are_taken_evenly(tmp_path: Path) -> None:
    net = load(tmp_path)
    data = np.arange(10, dtype=np.float32).repeat(108).reshape(10, 3, 6, 6)
    np.savez(tmp_path / "x.npz", any_name=data)
    feeds = calibration_feeds(net, tmp_path / "x.npz", most=4)
    assert [feed["data"][0, 0, 0, 0] for feed in feeds] == [0, 3, 6, 9]
    assert [feed["data"].shape for feed in feeds] == [(1, 3, 6, 6)] * 4
    assert len(calibration_feeds(net, tmp_path / "x.npz")) == 10


def test_arrays_of_several_inputs(tmp_path: Path) -> None:
    net = load(tmp_path, two=True)
    data = np.arange(3, dtype=np.float32).repeat(108).reshape(3, 3, 6, 6)
    np.savez(tmp_path / "x.npz", data=data, more=data[:1] + 7)
    feeds = calibration_feeds(net, tmp_path / "x.npz")
    assert [(feed["data"].max(), feed["more"].max()) for feed in feeds] == [(0, 7), (1, 7), (2, 7)]
    np.savez(tmp_path / "x.npz", data=data, more=data[:2])
    with pytest.raises(FormatError, match="2 samples of 'more', wants 1 or 3"):
        calibration_feeds(net, tmp_path / "x.npz")


def test_what_is_no_data(tmp_path: Path) -> None:
    net = load(tmp_path)
    (tmp_path / "x.npz").write_bytes(b"no archive")
    with pytest.raises(FormatError, match=r"no \.npz file"):
        calibration_feeds(net, tmp_path / "x.npz")
    with pytest.raises(CaffeError, match="nowhere"):
        calibration_feeds(net, tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"nowhere\.npz: no such file"):
        calibration_feeds(net, tmp_path / "nowhere.npz")
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(UsageError, match=r"x\.npy: an array without a name\n  fix: np\.savez"):
        calibration_feeds(net, tmp_path / "x.npy")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match=r"empty: no images in it, of \.bmp"):
        calibration_feeds(net, tmp_path / "empty")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array(["a", "b"]), "an array of <U1, wants numbers"),
        (np.ones((1, 3, 6, 6), np.complex64), "an array of complex64, wants numbers"),
        (
            np.full((1, 3, 6, 6), 1e200),
            r"1e\+200 at \[0, 0, 0, 0\], wants finite numbers of float32",
        ),
        (
            np.full((1, 3, 6, 6), -np.inf),
            r"-inf at \[0, 0, 0, 0\], wants finite numbers of float32",
        ),
    ],
)
def test_arrays_of_no_numbers(tmp_path: Path, array: np.ndarray, said: str) -> None:
    np.savez(tmp_path / "x.npz", data=array)
    with pytest.raises(FormatError, match=rf"x\.npz: 'data': {said}"):
        calibration_feeds(load(tmp_path), tmp_path / "x.npz")


@pytest.mark.parametrize("kind", ["<f8", "<i8", "|u1", "|b1", "<f2"])
def test_numbers_of_every_type(tmp_path: Path, kind: str) -> None:
    np.savez(tmp_path / "x.npz", data=np.ones((2, 3, 6, 6), kind))
    for feed in calibration_feeds(load(tmp_path), tmp_path / "x.npz"):
        assert feed["data"].dtype == np.float32
        assert (feed["data"] == 1).all()


def test_an_archive_of_nothing(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz")
    with pytest.raises(FormatError, match="no array 'data', which the network reads, among none"):
        calibration_feeds(load(tmp_path), tmp_path / "x.npz")

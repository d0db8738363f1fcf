"""caffe.io: photos read, resized as scikit-image 0.13.1 did, cropped; the Transformer's steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

RECORDED = np.load(Path(__file__).with_name("resize.npz"))
"""What `skimage.transform.resize(..., order=1, mode="constant")` of 0.13.1 made, as pycaffe calls
it, of seeded images (`in0`) in other sizes (`out0`), of other orders too (`out0_order3`), and what
`scipy.ndimage.zoom` of 1.2 made of two channels (`zoom_in`, `zoom_out3`)."""


@pytest.mark.parametrize("case", range(6))
def test_an_image_is_resized_bit_for_bit(caffe: Any, case: int) -> None:
    image, want = RECORDED[f"in{case}"], RECORDED[f"out{case}"]
    got = caffe.io.resize_image(image, want.shape[:2])
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("order", [2, 3, 4, 5])
@pytest.mark.parametrize("case", [0, 1, 2, 4])
def test_an_image_is_resized_by_higher_orders(caffe: Any, case: int, order: int) -> None:
    image, want = RECORDED[f"in{case}"], RECORDED[f"out{case}_order{order}"]
    got = caffe.io.resize_image(image, want.shape[:2], interp_order=order)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("order", range(6))
def test_two_channels_are_zoomed_by_every_order(caffe: Any, order: int) -> None:
    want = RECORDED[f"zoom_out{order}"]
    got = caffe.io.resize_image(RECORDED["zoom_in"], want.shape[:2], order)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


def test_an_unknown_order_is_an_error(caffe: Any) -> None:
    for image in (np.eye(3)[..., np.newaxis], np.ones((3, 3, 2))):
        with pytest.raises(ValueError, match="interp_order 6, wants 0 to 5"):
            caffe.io.resize_image(image, (2, 2), 6)


def test_other_numbers_of_channels_are_zoomed_from_corner_to_corner(caffe: Any) -> None:
    image = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    got = caffe.io.resize_image(image, (3, 5))
    assert got[0, :, 0].tolist() == [0, 1, 2, 3, 4]
    assert got[:, 0, 1].tolist() == [1, 4, 7]
    grey = np.full((4, 4, 3), 0.5, np.float32)
    assert (caffe.io.resize_image(grey, (2, 9)) == 0.5).all()


def test_photos_of_each_kind(caffe: Any, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.array([[[255, 0, 51, 102], [0, 255, 0, 255]]], np.uint8)
    image.fromarray(pixels).save(tmp_path / "rgba.png")
    image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    rgb = caffe.io.load_image(str(tmp_path / "rgba.png"))
    np.testing.assert_allclose(rgb, [[[1, 0, 0.2], [0, 1, 0]]], rtol=1e-6)
    assert rgb.dtype == np.float32
    with (tmp_path / "grey.png").open("rb") as file:
        assert caffe.io.load_image(file).tolist() == [[[1, 1, 1], [0, 0, 0]]]
    grey = caffe.io.load_image(str(tmp_path / "rgba.png"), color=False)
    np.testing.assert_allclose(grey[0, :, 0], [0.2125 + 0.2 * 0.0721, 0.7154], rtol=1e-5)


def test_ten_crops_and_their_mirrors(caffe: Any) -> None:
    image = np.arange(5 * 6, dtype=np.float32).reshape(5, 6, 1)
    crops = caffe.io.oversample([image, -image], (2, 4))
    assert crops.shape == (20, 2, 4, 1)
    corners = [0, 2, 18, 20, 7]  # upper left values: four corners, and the middle, rounded down
    assert crops[:5, 0, 0, 0].tolist() == corners
    np.testing.assert_array_equal(crops[5:10], crops[:5, :, ::-1])
    np.testing.assert_array_equal(crops[10:], -crops[:10])


def test_the_transformers_steps_in_order(caffe: Any) -> None:
    transformer = caffe.io.Transformer({"data": (1, 3, 2, 2)})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (2, 1, 0))
    transformer.set_raw_scale("data", 10)
    transformer.set_mean("data", np.array([1.0, 2.0, 3.0]))
    transformer.set_input_scale("data", 0.5)
    image = np.random.RandomState(0).rand(2, 2, 3).astype(np.float32)
    want = np.empty((3, 2, 2))
    for channel in range(3):
        want[channel] = (10 * image[:, :, 2 - channel] - (channel + 1)) * 0.5
    got = transformer.preprocess("data", image.copy())
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_allclose(transformer.deprocess("data", got), image, rtol=1e-5)
    assert transformer.preprocess("data", np.zeros((4, 4, 3))).shape == (3, 2, 2)
    for call in (
        lambda: transformer.set_transpose("lost", (2, 0, 1)),
        lambda: transformer.set_transpose("data", (1, 0)),
        lambda: transformer.set_channel_swap("data", (1, 0)),
        lambda: transformer.set_mean("data", np.zeros(2)),
    ):
        with pytest.raises(Exception, match=r"net inputs|same number|incompatible"):
            call()


def test_a_mean_image_is_resized(caffe: Any) -> None:
    transformer = caffe.io.Transformer({"data": (1, 3, 2, 2)})
    mean = np.arange(48, dtype=np.float64).reshape(3, 4, 4)
    transformer.set_mean("data", mean)
    held = transformer.mean["data"]
    assert held.shape == (3, 2, 2)
    np.testing.assert_allclose(held[0], [[2.5, 4.5], [10.5, 12.5]], rtol=1e-5)


def test_messages_and_arrays(caffe: Any) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    blob = caffe.io.array_to_blobproto(array, diff=-array)
    assert list(blob.shape.dim) == [2, 3]
    np.testing.assert_array_equal(caffe.io.blobproto_to_array(blob), array)
    np.testing.assert_array_equal(caffe.io.blobproto_to_array(blob, return_diff=True), -array)
    written = caffe.io.arraylist_to_blobprotovector_str([array, array[0]])
    shapes = [one.shape for one in caffe.io.blobprotovector_str_to_arraylist(written)]
    assert shapes == [(2, 3), (3,)]
    bytes_ = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    datum = caffe.io.array_to_datum(bytes_, 7)
    assert (datum.label, datum.channels, datum.data) == (7, 3, bytes(range(12)))
    np.testing.assert_array_equal(caffe.io.datum_to_array(datum), bytes_)
    floats = caffe.io.array_to_datum(bytes_ / 2)
    np.testing.assert_array_equal(caffe.io.datum_to_array(floats), bytes_ / 2)
    with pytest.raises(ValueError, match="3"):
        caffe.io.array_to_datum(array)

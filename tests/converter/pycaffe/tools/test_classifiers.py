"""Classifier and Detector, against the steps that they take by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

NET = """
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 1 } } }
"""
MEAN = np.array([0.1, 0.2, 0.3])


@pytest.fixture
def files(caffe: Any, tmp_path: Path) -> tuple[str, str]:
    definition, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    definition.write_text(NET)
    caffe.Net(str(definition), caffe.TEST).save(str(weights))
    return str(definition), str(weights)


def by_hand(caffe: Any, files: tuple[str, str], crop: np.ndarray) -> np.ndarray:
    net = caffe.Net(files[0], files[1], caffe.TEST)
    net.blobs["data"].data[0] = 2 * crop.transpose(2, 0, 1)[::-1] - MEAN[:, None, None]
    result: np.ndarray = net.forward()["ip"][0].copy()
    return result


def test_predictions_are_the_mean_over_crops(caffe: Any, files: tuple[str, str]) -> None:
    images = list(np.random.RandomState(0).rand(3, 6, 6, 3).astype(np.float32))
    classifier = caffe.Classifier(
        *files, image_dims=(6, 6), mean=MEAN, raw_scale=2, channel_swap=(2, 1, 0)
    )
    got = classifier.predict(images)
    assert got.shape == (3, 5)
    crops = caffe.io.oversample(images[1:2], (4, 4))
    want = np.mean([by_hand(caffe, files, crop) for crop in crops], 0)
    np.testing.assert_allclose(got[1], want, rtol=1e-4, atol=1e-5)
    middle = classifier.predict(images, oversample=False)
    want = by_hand(caffe, files, images[2][1:5, 1:5])
    np.testing.assert_allclose(middle[2], want, rtol=1e-4, atol=1e-5)


def test_windows_are_cropped_and_predicted(
    caffe: Any, files: tuple[str, str], tmp_path: Path
) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.RandomState(0).randint(0, 255, (9, 10, 3)).astype(np.uint8)
    path = str(tmp_path / "photo.png")
    image.fromarray(pixels).save(path)
    detector = caffe.Detector(*files, mean=MEAN, raw_scale=2, channel_swap=(2, 1, 0))
    windows = [np.array([1, 2, 5, 6]), np.array([0, 0, 8, 8])]
    found = detector.detect_windows([(path, windows)])
    assert [one["filename"] for one in found] == [path, path]
    crop = pixels[1:5, 2:6].astype(np.float32) / 255
    want = by_hand(caffe, files, crop)
    np.testing.assert_allclose(found[0]["prediction"], want, rtol=1e-4, atol=1e-4)


def test_context_around_a_window_outside_of_the_photo_is_the_mean(
    caffe: Any, files: tuple[str, str]
) -> None:
    detector = caffe.Detector(*files, mean=MEAN, raw_scale=2, channel_swap=(2, 1, 0), context_pad=1)
    image = np.ones((8, 8, 3), np.float32)
    crop = detector.crop(image, np.array([0, 0, 3, 3]))
    assert crop.shape == (4, 4, 3)
    np.testing.assert_allclose(crop[0, 0], MEAN[::-1] / 2, rtol=1e-6)
    np.testing.assert_allclose(crop[3, 3], [1, 1, 1])

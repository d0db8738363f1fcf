"""DataTransformer against the arithmetic done by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caffe_layers.data.data_transformer import DataTransformer
from prototxt import FormatError, ShapeError
from prototxt.schema import dialect

FLOAT, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
IMAGE = np.random.default_rng(1701).integers(0, 256, (2, 5, 7)).astype(np.uint8)


def transformed(transform: DataTransformer, image: np.ndarray = IMAGE, **how: object) -> np.ndarray:
    how = {"training": False, "random": np.random.default_rng(1), **how}
    return transform(image, how.pop("dtype", DOUBLE), **how)  # type: ignore[arg-type]


def write_mean(path: Path, mean: np.ndarray, *, legacy: bool = True) -> None:
    blob = dialect("bvlc").message("BlobProto")(data=mean.ravel().tolist())
    if legacy:
        blob.num = 1
        blob.channels, blob.height, blob.width = mean.shape
    else:
        blob.shape.dim.extend((1, *mean.shape))
    path.write_bytes(blob.SerializeToString())


def test_mean_values_come_off_before_the_scale() -> None:
    one = transformed(DataTransformer(scale=0.1, mean_value=(100.5,)))
    each = transformed(DataTransformer(scale=0.1, mean_value=(3.5, 4.25)))
    scale = float(np.float32(0.1))
    for c, y, x in np.ndindex(IMAGE.shape):
        value = float(IMAGE[c, y, x])
        assert one[c, y, x] == (value - 100.5) * scale
        assert each[c, y, x] == (value - (3.5, 4.25)[c]) * scale
    assert one.dtype == DOUBLE


def test_numbers_are_the_network_s() -> None:
    transform = DataTransformer(scale=0.1, mean_value=(104.1,))
    single = transformed(transform, dtype=FLOAT)
    assert single.dtype == FLOAT
    want = (IMAGE.astype(FLOAT) - np.float32(104.1)) * np.float32(0.1)
    assert (single == want).all()
    assert (single != transformed(transform)).any()
    values = IMAGE.astype(FLOAT) / 7 - 9
    assert (transformed(DataTransformer(), values) == values.astype(float)).all()


@pytest.mark.parametrize("legacy", [True, False])
def test_a_mean_file_lies_where_the_crop_and_the_mirror_are(tmp_path: Path, legacy: bool) -> None:
    mean = np.arange(IMAGE.size).reshape(IMAGE.shape).astype(FLOAT) / 3
    write_mean(tmp_path / "mean", mean, legacy=legacy)
    transform = DataTransformer(scale=2, mean_file=str(tmp_path / "mean"), crop_size=3, mirror=True)
    seen = set()
    for seed in range(200):
        top = transformed(transform, training=True, random=np.random.default_rng(seed))
        places = [
            (y, x, flip)
            for y in range(3)
            for x in range(5)
            for flip in (False, True)
            if (
                top[:, :, :: -1 if flip else 1]
                == (IMAGE.astype(float) - mean)[:, y : y + 3, x : x + 3] * 2
            ).all()
        ]
        seen.add(*places)
    assert len(seen) == 3 * 5 * 2, "every place, either way round"


def test_the_middle_is_cropped_in_test() -> None:
    for size, top, left in ((3, 1, 2), (4, 0, 1), (5, 0, 1), (2, 1, 2)):
        got = transformed(DataTransformer(crop_size=size), random=None)
        assert (got == IMAGE[:, top : top + size, left : left + size]).all()


def test_half_of_the_images_are_mirrored_in_both_phases() -> None:
    transform = DataTransformer(mirror=True)
    for training in (False, True):
        random = np.random.default_rng(1701)
        flipped = 0
        for _ in range(400):
            got = transformed(transform, training=training, random=random)
            flipped += (got == IMAGE[:, :, ::-1]).all()
            assert (got == IMAGE).all() or (got == IMAGE[:, :, ::-1]).all()
        assert 160 < flipped < 240


def test_what_needs_random_numbers() -> None:
    assert DataTransformer(mirror=True).is_random(False)
    assert DataTransformer(crop_size=2).is_random(True)
    assert not DataTransformer(crop_size=2).is_random(False)
    assert not DataTransformer(scale=2).is_random(True)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="the image is 5 x 7, crop_size wants 6 x 6 at least"):
        transformed(DataTransformer(crop_size=6))
    with pytest.raises(ShapeError, match="3 mean values, wants 1, or 2: one a channel"):
        transformed(DataTransformer(mean_value=(1, 2, 3)))
    with pytest.raises(ShapeError, match="both force_color and force_gray"):
        DataTransformer(force_color=True, force_gray=True)
    write_mean(tmp_path / "mean", np.zeros((2, 5, 6)))
    with pytest.raises(ShapeError, match=r"the image is \(2, 5, 7\), .*mean \(2, 5, 6\)"):
        transformed(DataTransformer(mean_file=str(tmp_path / "mean")))
    with pytest.raises(FormatError, match=r"mean_file '.*nowhere' cannot be read: No such file"):
        transformed(DataTransformer(mean_file=str(tmp_path / "nowhere")))
    (tmp_path / "text").write_text("a mean")
    with pytest.raises(FormatError, match="text: text, wants a blob"):
        transformed(DataTransformer(mean_file=str(tmp_path / "text")))

"""Images as OpenCV decodes and resizes them."""

from __future__ import annotations

import io
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError, FormatError, UnsupportedError
from prototxt.data.images import decode_image, read_image, resize

pillow = pytest.importorskip("PIL.Image", reason="images need Pillow")

RGB = np.random.default_rng(1701).integers(0, 256, (6, 7, 3)).astype(np.uint8)


def file_of(image: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    pillow.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def test_channels_are_in_opencv_s_order() -> None:
    assert (decode_image(file_of(RGB)) == RGB[:, :, ::-1]).all()
    alpha = np.concatenate([RGB, RGB[:, :, :1]], axis=2)
    data = file_of(alpha)
    assert (decode_image(data) == RGB[:, :, ::-1]).all()
    assert (decode_image(data, color=None) == alpha[:, :, [2, 1, 0, 3]]).all()


@pytest.mark.parametrize("mark", range(10))
def test_upright_as_opencv_turns_it(mark: int, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    said = pillow.Exif()
    said[0x0112] = mark
    path = tmp_path / "photo.png"
    path.write_bytes(file_of(RGB, exif=said))
    assert (read_image(path) == RGB[:, :, ::-1]).all()
    upright = read_image(path, upright=True)
    assert upright.shape == ((7, 6, 3) if mark in range(5, 9) else (6, 7, 3))
    assert (upright == cv2.imread(str(path))).all()


def test_grey_and_colour_as_asked_for() -> None:
    grey = RGB[:, :, 0]
    data = file_of(grey)
    assert (decode_image(data, color=None) == grey[:, :, None]).all()
    assert (decode_image(data, color=False) == grey[:, :, None]).all()
    assert (decode_image(data, color=True) == np.repeat(grey[:, :, None], 3, axis=2)).all()
    assert decode_image(file_of(RGB), color=None).shape == (6, 7, 3)
    light = RGB @ [0.299, 0.587, 0.114]
    assert np.abs(decode_image(file_of(RGB), color=False)[:, :, 0] - light).max() < 1


def test_a_jpeg_s_grey_is_the_brightness_in_the_file() -> None:
    image = np.random.default_rng(1701).choice([0, 255], (16, 16, 3)).astype(np.uint8)
    data = file_of(image, "JPEG", quality=95)
    with pillow.open(io.BytesIO(data)) as opened:
        opened.draft("YCbCr", None)
        brightness = np.asarray(opened)[:, :, 0]
        coloured = np.asarray(pillow.open(io.BytesIO(data)).convert("L"))
    assert (decode_image(data, color=False)[:, :, 0] == brightness).all()
    assert (coloured != brightness).any(), "colours that lie outside are cut off"


def test_palettes_and_bits_become_bytes() -> None:
    bits = RGB[:, :, 0] > 99
    assert (decode_image(file_of(bits), color=None) == bits[:, :, None] * 255).all()
    palette = pillow.fromarray(RGB).quantize(8)
    buffer = io.BytesIO()
    palette.save(buffer, "PNG")
    want = np.asarray(palette.convert("RGB"))[:, :, ::-1]
    assert (decode_image(buffer.getvalue(), color=None) == want).all()


def test_sixteen_bits_give_their_upper_half() -> None:
    wide = RGB[:, :, 0].astype(np.uint16) * 256 + 7
    data = file_of(wide)
    assert (decode_image(data, color=False)[:, :, 0] == RGB[:, :, 0]).all()
    assert (decode_image(data, color=True) == RGB[:, :, :1]).all()
    with pytest.raises(UnsupportedError, match="16 bits a pixel, wants 8"):
        decode_image(data, color=None)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    whole = file_of(np.tile(RGB, (40, 40, 1)), "JPEG")
    for name, content, says in (
        ("text", b"no image", "no image: of no known kind"),
        ("nothing", b"", "no image: of no known kind"),
        ("cut", whole[: len(whole) // 2], "no image: image file is truncated"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match=f"/{name}: {says}"):
            read_image(tmp_path / name)
    with pytest.raises(FormatError, match="/nowhere: the image cannot be read: No such file"):
        read_image(tmp_path / "nowhere")


def test_a_missing_pillow_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(CaffeError, match=r'needs Pillow\n  fix: pip install "caffeport\[images\]"'):
        decode_image(b"")


SMALL = [[232, 102, 24, 78, 206], [173, 101, 40, 86, 202], [105, 24, 65, 94, 3]]
SMALL += [[16, 155, 246, 109, 90]]
OPENCV = {  # what OpenCV 3.4 and 5.0 make of it
    (7, 9): [
        [232, 188, 116, 67, 24, 54, 92, 163, 206],
        [211, 174, 114, 70, 30, 58, 95, 163, 204],
        [177, 152, 109, 73, 39, 65, 98, 163, 202],
        [139, 113, 71, 58, 53, 73, 91, 98, 103],
        [99, 77, 40, 53, 78, 87, 85, 38, 9],
        [48, 68, 101, 141, 181, 138, 98, 74, 59],
        [16, 62, 139, 195, 246, 170, 107, 96, 90],
    ],
    (3, 2): [[132, 111], [82, 93], [107, 99]],
    (2, 11): [
        [203, 184, 138, 95, 63, 32, 55, 77, 126, 182, 204],
        [61, 66, 79, 95, 125, 156, 131, 106, 81, 56, 47],
    ],
    (2, 5): [[203, 102, 32, 82, 204], [61, 90, 156, 102, 47]],
    (4, 5): SMALL,
}


@pytest.mark.parametrize("size", OPENCV)
def test_resizing_is_opencv_s(size: tuple[int, int]) -> None:
    image = np.array(SMALL, np.uint8)[:, :, None]
    assert resize(image, *size)[:, :, 0].tolist() == OPENCV[size]
    coloured = resize(np.concatenate([image, 255 - image], axis=2), *size)
    assert coloured[:, :, 0].tolist() == OPENCV[size]


LARGE = {
    (97, 113): 2651081031,
    (97, 41): 1921800331,
    (30, 142): 3462706499,
    (29, 35): 1905735940,
    (60, 100): 2009209863,
    (1, 1): 4113387540,
}
"""The CRC of what OpenCV makes of a larger image."""


@pytest.mark.parametrize("size", LARGE)
def test_resizing_is_opencv_s_bit_for_bit(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1701).integers(0, 256, (60, 71, 3)).astype(np.uint8)
    assert zlib.crc32(image.tobytes()) == 1872962102, "numpy's numbers have changed"
    assert zlib.crc32(resize(image, *size).tobytes()) == LARGE[size]


def test_resizing_is_bilinear() -> None:
    generator = np.random.default_rng(1701)
    for _ in range(40):
        h, w, height, width = generator.integers(1, 30, 4)
        image = generator.integers(0, 256, (h, w, 1)).astype(np.uint8)
        want = np.empty((height, width))
        for y, x in np.ndindex(height, width):
            at, along = (y + 0.5) * h / height - 0.5, (x + 0.5) * w / width - 0.5
            top, left = int(np.floor(at)), int(np.floor(along))
            corners = image[np.clip([top, top + 1], 0, h - 1)][
                :, np.clip([left, left + 1], 0, w - 1)
            ]
            below, right = at - top, along - left
            want[y, x] = [1 - below, below] @ corners[:, :, 0] @ [1 - right, right]
        assert np.abs(resize(image, height, width)[:, :, 0] - want).max() < 1

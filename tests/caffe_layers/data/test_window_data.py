"""WindowData against Caffe's loops, restated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from prototxt import FormatError, ShapeError
from prototxt.data.images import resize
from prototxt.schema import dialect

pillow = pytest.importorskip("PIL.Image", reason="images need Pillow")

SIZES = ((30, 24), (17, 40))  # height, width
BOXES = ((3, 4, 15, 20), (0, 0, 9, 29), (20, 6, 23, 9), (1, 2, 11, 15), (30, 0, 39, 16))
"""Corners x1, y1, x2, y2; the last two are the second image's."""
OVERLAPS = (1.0, 0.5, 0.25, 0.75, 0.125)
CLASSES = (3, 7, 9, 2, 4)
CROP = 10

NET = (
    'layer { name: "L" type: "WindowData" top: "data" top: "label"'
    " transform_param { crop_size: 10 %s }"
    ' window_data_param { source: "list.txt" root_folder: "img/" batch_size: 8 %s } }\n'
)


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Work in a folder with two images and a list of their windows; give them as B, G, R."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(1701)
    Path("img").mkdir()
    made, lines = [], []
    for number, size in enumerate(SIZES):
        image = generator.integers(0, 256, (*size, 3)).astype(np.uint8)
        pillow.fromarray(image[:, :, ::-1]).save(f"img/{number}.png")
        made.append(image)
        own = [i for i in range(len(BOXES)) if (i > 2) == number]
        lines += [f"# {number}", f"{number}.png", "3", *map(str, size), str(len(own))]
        lines += [" ".join(map(str, (CLASSES[i], OVERLAPS[i], *BOXES[i]))) for i in own]
    Path("list.txt").write_text("\n".join(lines))
    return made


def load(transform: str = "", window: str = "", **options: Any) -> converter.CaffeNet:
    Path("net.prototxt").write_text(NET % (transform, window))
    return converter.load("net.prototxt", dtype=torch.float64, **options)


def away(value: float) -> int:
    return int(np.trunc(value + np.copysign(0.5, value)))


def cut(
    image: np.ndarray,
    box: tuple[int, ...],
    *,
    flip: bool = False,
    pad: int = 0,
    square: bool = False,
    mean: np.ndarray | None = None,
    scale: float = 1,
) -> np.ndarray:
    """Return the crop of one window, value for value."""
    x1, y1, x2, y2 = box
    rows, cols = image.shape[:2]
    width = height = CROP
    pad_w = pad_h = 0
    if pad or square:
        context = CROP / (CROP - 2 * pad)
        half_h, half_w = (y2 - y1 + 1) / 2, (x2 - x1 + 1) / 2
        middle_x, middle_y = x1 + half_w, y1 + half_h
        if square:
            half_h = half_w = max(half_h, half_w)
        x1, x2 = away(middle_x - half_w * context), away(middle_x + half_w * context)
        y1, y2 = away(middle_y - half_h * context), away(middle_y + half_h * context)
        whole_h, whole_w = y2 - y1 + 1, x2 - x1 + 1
        left, up = max(0, -x1), max(0, -y1)
        right, down = max(0, x2 - cols + 1), max(0, y2 - rows + 1)
        x1, x2, y1, y2 = x1 + left, x2 - right, y1 + up, y2 - down
        width, height = away((x2 - x1 + 1) * CROP / whole_w), away((y2 - y1 + 1) * CROP / whole_h)
        left, right = away(left * CROP / whole_w), away(right * CROP / whole_w)
        pad_h, pad_w = away(up * CROP / whole_h), right if flip else left
        height, width = min(height, CROP - pad_h), min(width, CROP - pad_w)
    warped = resize(image[y1 : y2 + 1, x1 : x2 + 1], height, width)
    if flip:
        warped = warped[:, ::-1]
    top = np.zeros((3, CROP, CROP))
    for h, w, c in np.ndindex(warped.shape):
        y, x = h + pad_h, w + pad_w
        off = 0.0
        if mean is not None and mean.ndim == 3:
            start = (mean.shape[2] - CROP) // 2
            off = mean[c, y + start, x + start]
        elif mean is not None:
            off = mean[c]
        top[c, y, x] = (warped[h, w, c] - off) * scale
    return top


def crops(images: list[np.ndarray], flips: tuple[bool, ...], **how: Any) -> dict[bytes, list[int]]:
    """Return the windows whose crop each is."""
    made: dict[bytes, list[int]] = {}
    for number, box in enumerate(BOXES):
        for flip in flips:
            top = cut(images[number > 2], box, flip=flip, **how)
            made.setdefault(top.tobytes(), []).append(number)
    return made


def seen(net: converter.CaffeNet, known: dict[bytes, list[int]], batches: int = 12) -> set[int]:
    """Check that each crop of some batches is a window's, with its class; give the windows."""
    net.seed_data(1701)
    windows = set()
    for _ in range(batches):
        blobs = net.blobs()
        for item, (top, label) in enumerate(zip(blobs["data"], blobs["label"], strict=True)):
            (number,) = known[top.numpy().tobytes()]
            foreground = item >= 6  # a quarter of the batch, at its end
            assert (OVERLAPS[number] >= 0.5) == foreground
            assert label == (CLASSES[number] if foreground else 0)
            windows.add(number)
    return windows


def test_windows_are_warped_to_the_crop(images: list[np.ndarray]) -> None:
    net = load()
    assert net.input_shapes == {"data": (8, 3, 10, 10), "label": (8,)}
    assert seen(net, crops(images, (False,))) == set(range(5))


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_half_of_them_are_mirrored_in_both_phases(images: list[np.ndarray], phase: str) -> None:
    net = load("mirror: true", phase=phase)
    assert seen(net, crops(images, (False, True))) == set(range(5))
    turned = crops(images, (True,))
    net.reset_state()
    tops = [top for _ in range(12) for top in net.blobs()["data"]]
    assert 0.3 < np.mean([top.numpy().tobytes() in turned for top in tops]) < 0.7


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("pad", "square"), [(2, False), (0, True), (2, True), (4, True)])
def test_context_and_squares_leave_zeros_outside(
    images: list[np.ndarray], pad: int, square: bool, flip: bool
) -> None:
    mean = np.float64([7, 8, 9.5])
    text = f'context_pad: {pad} crop_mode: "{"square" if square else "warp"}" scale: 0.5'
    values = "mean_value: 7 mean_value: 8 mean_value: 9.5 scale: 100"
    net = load(values + (" mirror: true" if flip else ""), text)
    known = crops(images, (False, True)[: 1 + flip], pad=pad, square=square, mean=mean, scale=0.5)
    assert any(np.frombuffer(top).reshape(3, 10, 10)[:, :, 0].any() for top in known)
    assert not all(np.frombuffer(top).reshape(3, 10, 10)[:, :, 0].any() for top in known)
    assert seen(net, known) == set(range(5))


def test_the_middle_of_a_mean_file_is_subtracted(images: list[np.ndarray]) -> None:
    mean = np.arange(3 * 13 * 15).reshape(3, 13, 15).astype(np.float32)
    blob = dialect("bvlc").message("BlobProto")(
        num=1, channels=3, height=13, width=15, data=mean.ravel().tolist()
    )
    Path("mean").write_bytes(blob.SerializeToString())
    net = load('mean_file: "mean"', "context_pad: 1")
    assert seen(net, crops(images, (False,), pad=1, mean=mean.astype(float))) == set(range(5))
    blob.ClearField("data")
    blob.height, blob.width = 9, 9
    blob.data.extend([0] * 243)
    Path("mean").write_bytes(blob.SerializeToString())
    with pytest.raises(ShapeError, match=r"mean is \(3, 9, 9\), wants \(3, 10, 10\)"):
        load('mean_file: "mean"').blobs()


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_draw_the_same(workers: int) -> None:
    net = load("mirror: true")
    runs = []
    for count in (0, workers):
        net.seed_data(7, workers=count)
        runs.append(torch.stack([net.blobs()["data"] for _ in range(4)]))
    assert torch.equal(*runs)


def test_thresholds_and_fraction_are_the_definition_s(images: list[np.ndarray]) -> None:
    net = load("", "fg_threshold: 0.75 bg_threshold: 0.25 fg_fraction: 0.6")
    net.seed_data(1701)
    background = cut(images[1], BOXES[4])  # 0.25 itself is none
    kinds = set()
    for _ in range(6):
        blobs = net.blobs()
        assert blobs["label"][:4].tolist() == [0] * 4  # of 8 windows int(4.8) are objects
        assert (blobs["data"][:4].numpy() == background).all()
        kinds |= set(blobs["label"][4:].tolist())
    assert kinds == {3, 2}


@pytest.mark.parametrize(
    ("old", "new", "window", "says"),
    [
        ("", "", "fg_threshold: 1.5", "no window is foreground, wants 2 a batch"),
        ("", "", "bg_threshold: 0", "no window is background, wants 6 a batch"),
        ("3 1.0", "0 1.0", "", "a foreground window of class 0"),
        ("\n3\n17", "\n1\n17", "", "images of 1 channels, wants 3"),
        ("1.png", "../1.png", "", "'../1.png' leads out of root_folder 'img'"),
    ],
)
def test_bad_lists_are_refused_at_load(old: str, new: str, window: str, says: str) -> None:
    path = Path("list.txt")
    path.write_text(path.read_text().replace(old, new, 1) if old else path.read_text())
    with pytest.raises(FormatError, match=says):
        load("", window)


@pytest.mark.parametrize("window", ["", "context_pad: 2"])
def test_windows_outside_of_their_image_are_named(window: str) -> None:
    path = Path("list.txt")
    path.write_text(path.read_text().replace("11 15", "111 15").replace("1 2 ", "101 2 "))
    net = load("", "fg_fraction: 1 fg_threshold: 0.7 " + window)
    net.seed_data(1701)
    with pytest.raises(FormatError, match=r"img/1.png: window \[101, 2, 111, 15\]: it shows noth"):
        net.blobs()


def test_the_crop_holds_its_context() -> None:
    with pytest.raises(ShapeError, match="context_pad 5 leaves none of crop_size 10"):
        load("", "context_pad: 5")

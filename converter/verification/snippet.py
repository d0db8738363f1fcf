"""A program of a few lines that reads a photo and runs an ONNX file on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from converter.onnx.images import Images
from converter.preprocessing import Preprocessing

Feeds = Mapping[str, tuple[str, tuple[int | str, ...]]]
"""The dtype and the shape of each input."""


def snippet(file: str, feeds: Feeds, outputs: Sequence[str], images: Images | None) -> str:
    """Return the program's text: OpenCV reads the photo, ONNX Runtime runs the file.

    What is not the photo is fed zeros, for the reader to replace. Without `images` all is.
    """
    photo, lines = "", ["import numpy as np", "import onnxruntime", ""]
    if images is not None:
        lines = ["import cv2", *lines]
        photo = _photo(feeds, images)
        lines += _read(images, feeds[photo][1])
    fed = [f'"{name}": {_array(photo, name, *feeds[name])}' for name in feeds]
    lines += [
        f'session = onnxruntime.InferenceSession("{file}")',
        f"outputs = session.run(None, {{{', '.join(fed)}}})",
        f"for name, value in zip({list(outputs)!r}, outputs):",
        "    print(name, value.shape, value.ravel()[:5])",
    ]
    return "\n".join(lines) + "\n"


def _photo(feeds: Feeds, images: Images) -> str:
    """Return the name of the input that is fed the photo."""
    if images.embedded:
        return next(name for name, (dtype, _) in feeds.items() if dtype == "uint8")
    return images.input


def _array(photo: str, name: str, dtype: str, shape: tuple[int | str, ...]) -> str:
    """Return the expression that is fed to an input; a batch that is fixed gets the photo often."""
    if name != photo:
        sizes = ", ".join(str(size if isinstance(size, int) else 1) for size in shape)
        return f"np.zeros(({sizes}{',' if len(shape) == 1 else ''}), np.{dtype})"
    batch = shape[0] if shape else 1
    one = "photo[None]" if dtype == "uint8" else f"photo[None].astype(np.{dtype})"
    return one if not isinstance(batch, int) or batch == 1 else f"np.repeat({one}, {batch}, 0)"


def _read(images: Images, shape: tuple[int | str, ...]) -> list[str]:
    """Return the lines that make `photo`: H x W x 3 bytes, or the input's planes."""
    if images.embedded and isinstance(shape[1], int):
        resized = f'cv2.resize(cv2.imread("photo.jpg"), ({shape[2]}, {shape[1]}))'
        return [f"photo = {resized}[:, :, ::-1]  # red, green, blue"]
    if images.embedded:
        return ['photo = cv2.imread("photo.jpg")[:, :, ::-1]  # red, green, blue']
    wanted = images.preprocessing
    gray = wanted.order == "GRAY"
    lines = [
        'photo = cv2.imread("photo.jpg", cv2.IMREAD_GRAYSCALE)[:, :, None].astype(np.float32)'
        if gray
        else 'photo = cv2.imread("photo.jpg").astype(np.float32)  # blue, green, red'
    ]
    if wanted.order == "RGB":
        lines.append("photo = np.ascontiguousarray(photo[:, :, ::-1])  # red, green, blue")
    lines += _resized(wanted, gray=gray)
    mean = repr([float(value) for value in wanted.mean])
    cut = _crop(wanted)
    if images.mean_file:
        lines += [f'photo -= np.load("{images.mean_file}").transpose(1, 2, 0)', *cut]
    else:
        lines += [*cut, f"photo -= np.array({mean}, np.float32)"]
    if wanted.scale != 1:
        lines.append(f"photo *= {wanted.scale:g}")
    return [*lines, "photo = photo.transpose(2, 0, 1)"]


def _resized(wanted: Preprocessing, *, gray: bool) -> list[str]:
    if wanted.resize is None:
        return []
    depth = "[:, :, None]" if gray else ""  # OpenCV drops an axis of one channel
    if isinstance(wanted.resize, tuple):
        height, width = wanted.resize
        return [f"photo = cv2.resize(photo, ({width}, {height})){depth}"]
    return [
        "height, width = photo.shape[:2]",
        f"size = (width * {wanted.resize} // min(height, width), "
        f"height * {wanted.resize} // min(height, width))",
        f"photo = cv2.resize(photo, size){depth}",
    ]


def _crop(wanted: Preprocessing) -> list[str]:
    if wanted.crop is None or wanted.exact or wanted.crop == wanted.resize:
        return []
    height, width = wanted.crop
    return [
        f"top, left = (photo.shape[0] - {height}) // 2, (photo.shape[1] - {width}) // 2",
        f"photo = photo[top : top + {height}, left : left + {width}]",
    ]

"""What a network says of an image, drawn on the image."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from converter.preprocessing import Preprocessing
from prototxt.errors import UsageError
from prototxt.optional import optional

from .predictions import Boxes, Classes, ClassMap, Result

HUE_STEP = 0.618034  # the golden ratio: steps of it keep the hues of neighbouring labels apart
TINT_OPACITY = 0.5
SMALLEST_TEXT = 12
Corners = tuple[float, float, float, float]


def covered(height: int, width: int, preprocessing: Preprocessing | None) -> Corners:
    """Return the part of an image that the network sees, in pixels: left, top, right, bottom."""
    if preprocessing is None or preprocessing.crop is None:
        return 0, 0, width, height
    tall, wide = preprocessing.resized(height, width)
    high, broad = preprocessing.crop
    top, left = (tall - high) // 2, (wide - broad) // 2
    x, y = width / wide, height / tall
    return left * x, top * y, (left + broad) * x, (top + high) * y


def draw_result(
    photo: Any, result: Result, labels: Sequence[str] = (), area: Corners | None = None
) -> Any:
    """Return a Pillow image of the photo, H x W x 3 bytes, with the result drawn on it.

    `labels` name the classes from 0 on, `area` is what of the photo the network sees.
    """
    area = area or (0, 0, photo.shape[1], photo.shape[0])
    canvas = _Canvas(photo, labels)
    if isinstance(result, Boxes):
        canvas.draw_boxes(result, area)
    elif isinstance(result, ClassMap):
        canvas.draw_map(result, area)
    else:
        canvas.draw_classes(result)
    return canvas.image


def describe(result: Result, labels: Sequence[str] = ()) -> list[str]:
    """Return the result in lines of text, the best first."""
    if isinstance(result, Boxes):
        return [
            f"{_name(box.label, labels)} {box.score:.3f} at "
            + " ".join(f"{corner:.3f}" for corner in box.corners)
            for box in reversed(result.boxes)
        ] or ["no box"]
    if isinstance(result, Classes):
        return [f"{_name(label, labels)} {score:.3f}" for label, score in result.scores]
    found, counts = np.unique(result.classes, return_counts=True)
    return [
        f"{_name(int(label), labels)} {count / result.classes.size:.1%} of the map"
        for label, count in sorted(zip(found, counts, strict=True), key=lambda pair: -pair[1])
    ]


def save(image: Any, file: BinaryIO, suffix: str) -> None:
    """Write a Pillow image in the format of a file name's suffix."""
    image_format = _pillow().registered_extensions().get(suffix.lower())
    if image_format is None:
        raise UsageError(f"{suffix!r} is no suffix of an image file", fix="write OUT.png")
    image.save(file, format=image_format)


@dataclass
class _Canvas:
    photo: Any
    labels: Sequence[str]

    def __post_init__(self) -> None:
        self.image = _pillow().fromarray(self.photo)
        self.pen = _module("ImageDraw").Draw(self.image)
        short = min(self.image.size)
        self.line = max(2, short // 200)
        self.font = _font(max(SMALLEST_TEXT, short // 28))

    def draw_boxes(self, boxes: Boxes, area: Corners) -> None:
        left, top, right, bottom = area
        for box in boxes.boxes:
            colour = _colour(box.label)
            x0, y0, x1, y1 = (
                start + share * (end - start)
                for share, start, end in zip(
                    box.corners, (left, top) * 2, (right, bottom) * 2, strict=True
                )
            )
            if x0 <= x1 and y0 <= y1:
                self.pen.rectangle((x0, y0, x1, y1), outline=colour, width=self.line)
            self.write(f"{_name(box.label, self.labels)} {box.score:.2f}", x0, y0, colour)

    def draw_map(self, result: ClassMap, area: Corners) -> None:
        left, top, right, bottom = (round(side) for side in area)
        colours = {int(label): _colour(int(label)) for label in np.unique(result.classes) if label}
        tints = np.zeros((*result.classes.shape, 3), np.uint8)
        for label, colour in colours.items():
            tints[result.classes == label] = colour
        size = (right - left, bottom - top)
        pillow = _pillow()
        nearest = pillow.Resampling.NEAREST
        mask = pillow.fromarray(
            ((result.classes != 0) * round(255 * TINT_OPACITY)).astype(np.uint8)
        )
        colour_map = pillow.fromarray(tints).resize(size, nearest)
        self.image.paste(colour_map, (left, top), mask.resize(size, nearest))
        self.write_list([(_name(label, self.labels), colours[label]) for label in colours])

    def draw_classes(self, result: Classes) -> None:
        self.write_list(
            [
                (f"{_name(label, self.labels)} {score:.2f}", _colour(label))
                for label, score in result.scores
            ]
        )

    def write_list(self, rows: Sequence[tuple[str, tuple[int, int, int]]]) -> None:
        y = float(self.line)
        for text, colour in rows:
            y = self.write(text, self.line, y, colour, below=True)

    def write(
        self, text: str, x: float, y: float, colour: tuple[int, int, int], *, below: bool = False
    ) -> float:
        """Write on a ground of its own, above y or below it, inside the image; return its end."""
        x0, y0, x1, y1 = self.pen.textbbox((0, 0), text, font=self.font)
        wide, high = x1 - x0 + 2 * self.line, y1 - y0 + 2 * self.line
        x = min(max(x, 0), max(self.image.width - wide, 0))
        y = y if below else y - high
        y = min(max(y, 0), max(self.image.height - high, 0))
        self.pen.rectangle((x, y, x + wide, y + high), fill=colour)
        bright = sum(c * w for c, w in zip(colour, (0.3, 0.6, 0.1), strict=True)) > 140
        at = (x + self.line - x0, y + self.line - y0)
        self.pen.text(at, text, fill=(0, 0, 0) if bright else (255, 255, 255), font=self.font)
        return float(y + high + self.line)


def _name(label: int, labels: Sequence[str]) -> str:
    return labels[label] if label < len(labels) and labels[label] else str(label)


def _colour(label: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(label * HUE_STEP % 1, 0.8, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def _font(size: int) -> Any:
    fonts = _module("ImageFont")
    try:
        return fonts.load_default(size)
    except (TypeError, OSError, ImportError):  # before Pillow 10.1, or without FreeType
        return fonts.load_default()


def _pillow() -> Any:
    return _module("Image")


def _module(name: str) -> Any:
    return optional(f"PIL.{name}", "images", "drawing on images needs")

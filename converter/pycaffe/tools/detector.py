"""caffe.Detector.

Caffe: python/caffe/detector.py
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .classifier import Preprocessed
from .images import load_image, resize_image


class Detector(Preprocessed):
    """A network that tells what windows of photos show.

    `context_pad` pixels of its input around a window are what lies around it in the photo.
    """

    def __init__(
        self,
        model_file: Any,
        pretrained_file: Any,
        mean: Any = None,
        input_scale: Any = None,
        raw_scale: Any = None,
        channel_swap: Any = None,
        context_pad: int | None = None,
    ) -> None:
        super().__init__(model_file, pretrained_file, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def detect_windows(
        self, images_windows: Iterable[tuple[str, Sequence[Any]]]
    ) -> list[dict[str, Any]]:
        """Return window, prediction and file of each window (ymin, xmin, ymax, xmax) of photos."""
        rows = [(name, window) for name, windows in images_windows for window in windows]
        images = {name: load_image(name) for name, _ in rows}
        crops = [self.crop(images[name], window) for name, window in rows]
        size = self.blobs[self.inputs[0]].data.shape[2:]
        found = self.predictions_of(crops, (crops[0].shape[2], *size))
        return [
            {"window": window, "prediction": prediction, "filename": name}
            for (name, window), prediction in zip(rows, found, strict=True)
        ]

    def detect_selective_search(self, image_fnames: Iterable[str]) -> list[dict[str, Any]]:
        """Return what `detect_windows` does for the windows that selective search proposes.

        Its package `selective_search_ijcv_with_python` must be there.
        """
        search = import_module("selective_search_ijcv_with_python")
        names = [str(Path(name).absolute()) for name in image_fnames]
        windows = search.get_windows(names, cmd="selective_search_rcnn")
        return self.detect_windows(zip(names, windows, strict=True))

    def crop(self, im: np.ndarray, window: np.ndarray) -> np.ndarray:
        """Return a window of a photo, with what lies around it where `context_pad` asks for it."""
        if not self.context_pad:
            y0, x0, y1, x1 = (int(side) for side in window)
            return im[y0:y1, x0:x1]
        size = self.blobs[self.inputs[0]].width
        scale = size / (size - 2.0 * self.context_pad)
        half = (np.asarray(window[2:], float) - window[:2] + 1) / 2.0
        centre = np.asarray(window[:2]) + half
        box = np.round(np.tile(centre, 2) + scale * np.concatenate([-half, half]))
        scales = size / (box[2:] - box[:2] + 1)
        pad = np.round(np.maximum(0, -box[:2]) * scales).astype(int)
        box = np.clip(box, 0.0, np.tile(im.shape[:2], 2))
        clipped = box[2:] - box[:2] + 1
        assert (clipped > 0).all()
        inner = np.minimum(np.round(clipped * scales), size - pad).astype(int)
        (y0, x0, y1, x1), (pad_y, pad_x) = box.astype(int), pad
        crop = np.ones(tuple(self.crop_dims), np.float32) * self.crop_mean
        crop[pad_y : pad_y + inner[0], pad_x : pad_x + inner[1]] = resize_image(
            im[y0:y1, x0:x1], inner
        )
        return crop

    def configure_crop(self, context_pad: int | None) -> None:
        """Set how much context windows get, and what stands where a photo has none: its mean."""
        name = self.inputs[0]
        transformer = self.transformer
        transpose: Any = transformer.transpose.get(name)
        back = np.argsort(transpose)
        self.crop_dims = np.array(self.blobs[name].data.shape[1:])[back]
        self.context_pad = context_pad
        if not context_pad:
            return
        mean = transformer.mean.get(name)
        if mean is None:
            self.crop_mean = np.zeros(self.crop_dims, np.float32)
            return
        shown = np.broadcast_to(mean, self.blobs[name].data.shape[1:])
        swap = transformer.channel_swap.get(name)
        if swap is not None:
            shown = shown[np.argsort(swap)]
        raw_scale = transformer.raw_scale.get(name)
        shown = shown.transpose(back)
        self.crop_mean = shown / raw_scale if raw_scale else shown

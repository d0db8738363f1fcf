"""The attention of every SK unit over labelled images, at growing scales of the object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from converter.evaluation.batches import batches
from converter.evaluation.samples import LabelledImages
from converter.network.net import CaffeNet
from converter.preprocessing import Preprocessing, Transform
from converter.progress import progress
from converter.sknet.model import PlainSKNet
from prototxt.errors import CaffeError, ShapeError

from .units import Unit, attention_of, units_of


@dataclass(frozen=True)
class Attention:
    """The mean attention of each branch: `mean[scale][unit]` is images x branches.

    `channels[scale][unit]`, branches x channels, is that of the first image alone. `classes` are
    the images' labels, `names` what they are called.
    """

    units: list[Unit]
    scales: list[float]
    names: list[str]
    classes: np.ndarray
    mean: list[dict[str, np.ndarray]]
    channels: list[dict[str, np.ndarray]]
    first_images: list[np.ndarray]

    def difference(self, scale: int, unit: Unit) -> np.ndarray:
        """Return for each image the largest kernel's mean attention minus the smallest's.

        With the paper's two branches: that of the 5x5 kernel minus that of the 3x3.
        """
        mean = self.mean[scale][unit.name]
        difference: np.ndarray = mean[:, unit.largest] - mean[:, unit.smallest]
        return difference


def measure_attention(
    net: CaffeNet | PlainSKNet,
    samples: LabelledImages,
    preprocessing: Preprocessing,
    *,
    scales: Sequence[float] = (1.0, 1.5, 2.0),
    batch: int = 16,
    workers: int = 0,
    quiet: bool = True,
) -> Attention:
    """Return the attention over images whose central object is enlarged `scales` times.

    At scale s the image is resized s times as large and the same crop is taken from its middle.
    `workers` processes read the images ahead.
    Raises CaffeError for a scale below 1, UnsupportedError for a network without SK units, and
    what `evaluate` raises for images that cannot be read.
    """
    units = units_of(net)
    if not scales or min(scales) < 1:
        raise CaffeError(f"scales {list(scales)}, wants numbers of 1 and more")
    parameter = next(net.parameters())
    means: list[dict[str, np.ndarray]] = []
    channels: list[dict[str, np.ndarray]] = []
    classes: list[int] = []
    every = range(len(samples))
    net.eval()
    with progress("attention", len(samples) * len(scales), quiet=quiet, unit="image") as bar:
        for scale in scales:
            transform = Transform(enlarged(preprocessing, scale))
            classes = []
            parts: list[dict[str, np.ndarray]] = []
            for images, labels, _ in batches(
                samples, every, transform, batch=batch, workers=workers
            ):
                data = images.to(parameter.device, parameter.dtype)
                found = {
                    name: value.double().cpu().numpy()
                    for name, value in attention_of(net, data).items()
                }
                if not parts:
                    channels.append({name: value[0] for name, value in found.items()})
                parts.append({name: value.mean(2) for name, value in found.items()})
                classes += labels.tolist()
                bar.update(len(labels))
            means.append(
                {unit.name: np.concatenate([part[unit.name] for part in parts]) for unit in units}
            )
    names = [samples.name(index) for index in every]
    first, _ = samples[0]
    return Attention(
        units, list(scales), names, np.array(classes, np.int64), means, channels, [first]
    )


def enlarged(preprocessing: Preprocessing, scale: float) -> Preprocessing:
    """Return the preprocessing that shows the middle of an image `scale` times as large."""
    resize = preprocessing.resize
    if resize is None or preprocessing.mean_image is not None:
        raise ShapeError(
            "to enlarge images the preprocessing must resize them, and subtract mean values",
            fix="give --resize, and --mean 104,117,123 in place of a mean file",
        )
    if isinstance(resize, tuple):
        return replace(preprocessing, resize=(round(resize[0] * scale), round(resize[1] * scale)))
    return replace(preprocessing, resize=round(resize * scale))

"""The attention of every SK unit over labelled images, at growing scales of the object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
from tqdm import tqdm

from converter.evaluation.batches import Batch, batches
from converter.evaluation.samples import LabelledImages
from converter.network.net import CaffeNet
from converter.preprocessing import Preprocessing, Transform
from converter.progress import progress
from converter.sknet.model import PlainSKNet
from prototxt.errors import ShapeError, UsageError

from .units import Unit, attention_of, units_of

Attentions = dict[str, np.ndarray]  # by unit


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
    mean: list[Attentions]
    channels: list[Attentions]
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
        raise UsageError(f"scales {list(scales)}, wants numbers of 1 and more")
    net.eval()
    means, channels, classes = [], [], np.empty(0, np.int64)
    with progress("attention", len(samples) * len(scales), quiet=quiet, unit="image") as bar:
        for scale in scales:
            transform = Transform(enlarged(preprocessing, scale))
            every = batches(samples, range(len(samples)), transform, batch=batch, workers=workers)
            mean, first, classes = _at_one_scale(net, every, bar)
            means.append(mean)
            channels.append(first)
    names = [samples.name(index) for index in range(len(samples))]
    return Attention(units, list(scales), names, classes, means, channels, [samples[0][0]])


def _at_one_scale(
    net: CaffeNet | PlainSKNet, every: Iterable[Batch], bar: tqdm[NoReturn]
) -> tuple[Attentions, Attentions, np.ndarray]:
    """Return each unit's mean over the channels, the first image's channels, and the classes."""
    parameter = next(net.parameters())
    first: Attentions = {}
    means: dict[str, list[np.ndarray]] = defaultdict(list)
    classes: list[int] = []
    for images, labels, _ in every:
        data = images.to(parameter.device, parameter.dtype)
        for name, value in attention_of(net, data).items():
            found = value.double().cpu().numpy()
            first.setdefault(name, found[0])
            means[name].append(found.mean(2))
        classes += labels.tolist()
        bar.update(len(labels))
    joined = {name: np.concatenate(parts) for name, parts in means.items()}
    return joined, first, np.array(classes, np.int64)


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

"""Train the demo's network anew: `python -m converter.demo.train [FOLDER]`. Wants scikit-learn."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.optim.lr_scheduler import MultiStepLR

from prototxt.atomic import writing
from prototxt.nets.digits import digits_sk

from ..load import load
from ..module import CaffeNet
from ..save import save_caffemodel
from .files import DIGITS, FOLDER, NET, WEIGHTS
from .run import tensor_of

SEED = 1701
HELD_OUT = 360
EPOCHS = 40
DROPS = (25, 35)  # epochs at which the learning rate falls to a tenth
BATCH = 64
RATE = 0.05
DECAY = 1e-3


def parameters(net: CaffeNet) -> list[dict[str, object]]:
    """Return torch's groups of parameters, with the definition's multipliers of rate and decay."""
    groups: list[dict[str, object]] = []
    for layer in net.layers.values():
        for index, blob in enumerate(layer.blobs):
            rate, decay = layer.lr_mult(index), layer.decay_mult(index)
            if rate:
                groups.append({"params": [blob], "lr": RATE * rate, "weight_decay": DECAY * decay})
    return groups


def train(net: CaffeNet, images: Tensor, labels: Tensor) -> None:
    """Fit the network by SGD; the last, smaller batch of an epoch is left out."""
    optimizer = torch.optim.SGD(parameters(net), momentum=0.9)
    schedule = MultiStepLR(optimizer, DROPS)
    generator = torch.Generator().manual_seed(SEED)
    for epoch in range(EPOCHS):
        total = 0.0
        order = torch.randperm(len(images), generator=generator)
        batches = order[: len(images) // BATCH * BATCH].view(-1, BATCH)
        for batch in batches:
            optimizer.zero_grad()
            loss = net.loss({"data": images[batch], "label": labels[batch]})
            torch.autograd.backward(loss)
            optimizer.step()
            total += loss.item()
        schedule.step()
        print(f"epoch {epoch + 1}: loss {total / len(batches):.4f}")


def main(folder: Path = FOLDER) -> None:
    """Write the definition, the trained weights and the held-out digits into a folder."""
    digits = load_digits()
    images, held_images, labels, held_labels = train_test_split(
        digits.images,
        digits.target,
        test_size=HELD_OUT,
        random_state=SEED,
        stratify=digits.target,
    )
    definition = folder / NET.name
    with writing(definition) as file:
        file.write(str(digits_sk(BATCH)).encode())
    net = load(definition, phase="TRAIN", seed=SEED)
    train(net, tensor_of(images), torch.from_numpy(labels))
    save_caffemodel(net, folder / WEIGHTS.name)
    with writing(folder / DIGITS.name) as file:
        np.savez_compressed(
            file, images=held_images.astype(np.uint8), labels=held_labels.astype(np.uint8)
        )
    net = load(definition, folder / WEIGHTS.name)
    with torch.no_grad():
        scores = net({"data": tensor_of(held_images)})["classifier"]
    right = (scores.argmax(1).numpy() == held_labels).mean()
    print(f"accuracy on {len(held_labels)} held-out digits: {right:.2%}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

"""Inception-ResNet-v2 (AAAI 2017), as its authors released it. In SKNet's style."""

from __future__ import annotations

from collections.abc import Sequence

from .definition import Definition
from .inception import IMAGES, Tower, begin, block, conv, finish, old_stem


def inception_resnet_v2(
    *,
    layers: Sequence[int] = (10, 20, 9),
    scale: int = 1,
    num_classes: int = 1000,
    data: Sequence[int] = IMAGES,
) -> Definition:
    """Return Inception-ResNet-v2 with so many residual blocks of a kind, its loss and accuracies.

    A last block, whose sum is neither scaled nor rectified, follows. `scale` divides the numbers
    of channels.
    """

    def thin(*steps: Tower) -> list[Tower]:
        return [
            [step if isinstance(step, str) else (step[0], step[1] // scale) for step in each]
            for each in steps
        ]

    net, top = begin("inception_resnet_v2", data, scale)
    top = old_stem(net, top, scale)
    first = thin([(1, 96)], [(1, 48), (5, 64)], [(1, 64), (3, 96), (3, 96)], ["AVE", (1, 64)])
    top = block(net, "stem", top, *first)

    small = thin([(1, 32)], [(1, 32), (3, 32)], [(1, 32), (3, 48), (3, 64)])
    for index in range(layers[0]):
        top = residual(net, f"a{index + 1}", top, small, 320 // scale, 0.17)
    down = thin([(3, 384)], [(1, 256), (3, 256), (3, 384)], ["MAX"])
    top = block(net, "reduction_a", top, *down, stride=2)

    middle = thin([(1, 192)], [(1, 128), ((1, 7), 160), ((7, 1), 192)])
    for index in range(layers[1]):
        top = residual(net, f"b{index + 1}", top, middle, 1088 // scale, 0.1)
    down = thin([(1, 256), (3, 384)], [(1, 256), (3, 288)], [(1, 256), (3, 288), (3, 320)], ["MAX"])
    top = block(net, "reduction_b", top, *down, stride=2)

    large = thin([(1, 192)], [(1, 192), ((1, 3), 224), ((3, 1), 256)])
    for index in range(layers[2]):
        top = residual(net, f"c{index + 1}", top, large, 2080 // scale, 0.2)
    top = residual(net, f"c{layers[2] + 1}", top, large, 2080 // scale, 1.0)
    return finish(net, conv(net, "conv6", top, 1536 // scale, 1), 0.2, num_classes)


def residual(
    net: Definition, name: str, bottom: str, towers: Sequence[Tower], channels: int, by: float
) -> str:
    """Add `relu(bottom + by * up(towers))`; a factor of 1 marks the last block, without ReLU."""
    top = block(net, f"{name}/towers", bottom, *towers)
    top = net.convolution(f"{name}/up", top, channels, 1, bias_term=True)
    if by == 1:
        return net.sum(name, [bottom, top])
    return net.relu(f"{name}/relu", net.sum(name, [bottom, top], coeff=[1, by]))

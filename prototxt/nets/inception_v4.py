"""Inception-v4 (AAAI 2017). In SKNet's style."""

from __future__ import annotations

from collections.abc import Sequence

from .definition import Definition
from .inception import IMAGES, Tower, begin, block, conv, finish, tower

ACROSS, DOWN = (1, 7), (7, 1)


def inception_v4(
    *,
    layers: Sequence[int] = (4, 7, 3),
    scale: int = 1,
    num_classes: int = 1000,
    data: Sequence[int] = IMAGES,
) -> Definition:
    """Return Inception-v4 with so many blocks of each kind, its loss and its accuracies.

    `scale` divides the numbers of channels.
    """

    def thin(*steps: Tower) -> list[Tower]:
        return [
            [step if isinstance(step, str) else (step[0], step[1] // scale) for step in each]
            for each in steps
        ]

    net, top = begin("inception_v4", data, scale)
    top = block(net, "stem1", top, *thin(["MAX"], [(3, 96)]), stride=2)
    short, long = thin([(1, 64)], [(1, 64), (ACROSS, 64), (DOWN, 64)])
    # The last convolutions have neither padding nor stride, which no tower has.
    ends = [
        conv(net, f"stem2/{index}_last", tower(net, f"stem2/{index}", top, steps), 96 // scale, 3)
        for index, steps in enumerate((short, long), 1)
    ]
    top = net.concat("stem2", ends)
    top = block(net, "stem3", top, *thin([(3, 192)], ["MAX"]), stride=2)

    small = thin([(1, 96)], [(1, 64), (3, 96)], [(1, 64), (3, 96), (3, 96)], ["AVE", (1, 96)])
    for index in range(layers[0]):
        top = block(net, f"a{index + 1}", top, *small)
    down = thin([(3, 384)], [(1, 192), (3, 224), (3, 256)], ["MAX"])
    top = block(net, "reduction_a", top, *down, stride=2)

    middle = thin(
        [(1, 384)],
        [(1, 192), (ACROSS, 224), (DOWN, 256)],
        [(1, 192), (DOWN, 192), (ACROSS, 224), (DOWN, 224), (ACROSS, 256)],
        ["AVE", (1, 128)],
    )
    for index in range(layers[1]):
        top = block(net, f"b{index + 1}", top, *middle)
    down = thin([(1, 192), (3, 192)], [(1, 256), (ACROSS, 256), (DOWN, 320), (3, 320)], ["MAX"])
    top = block(net, "reduction_b", top, *down, stride=2)

    for index in range(layers[2]):
        top = forked_block(net, f"c{index + 1}", top, scale)
    return finish(net, top, 0.2, num_classes)


def forked_block(net: Definition, name: str, bottom: str, scale: int) -> str:
    """Add the block for the smallest maps, whose towers end in a 1x3 beside a 3x1."""
    c = 256 // scale
    long: Tower = [(1, 384 // scale), ((3, 1), 448 // scale), ((1, 3), 512 // scale)]
    stems = [
        tower(net, f"{name}/2", bottom, [(1, 384 // scale)]),
        tower(net, f"{name}/3", bottom, long),
    ]
    forks = [
        conv(net, f"{name}/{index}_{end}", top, c, size, pad=(size[0] // 2, size[1] // 2))
        for index, top in enumerate(stems, 2)
        for size, end in (((1, 3), "across"), ((3, 1), "down"))
    ]
    first = tower(net, f"{name}/1", bottom, [(1, c)])
    last = tower(net, f"{name}/4", bottom, ["AVE", (1, c)])
    return net.concat(name, [first, *forks, last])

"""Inception-v3 (CVPR 2016), as TensorFlow's authors released it. In SKNet's style."""

from __future__ import annotations

from collections.abc import Sequence

from .definition import Definition, gaussian
from .inception import IMAGES, begin, block, conv, finish, old_stem, tower

AUXILIARY = 0.4  # weight of the second loss


def inception_v3(
    *,
    auxiliary: bool = True,
    scale: int = 1,
    num_classes: int = 1000,
    data: Sequence[int] = IMAGES,
) -> Definition:
    """Return Inception-v3, its loss and its accuracies.

    `auxiliary` adds the classifier in the middle that only training needs; its parameters are
    among those that the literature counts. `scale` divides the numbers of channels.
    """
    net, top = begin("inception_v3", data, scale)
    top = old_stem(net, top, scale)
    for name, channels in (("a1", 32), ("a2", 64), ("a3", 64)):
        top = wide_block(net, name, top, channels // scale, scale)
    c = [channels // scale for channels in range(0, 769, 8)]  # c[n] is 8 n channels
    top = block(net, "b", top, [(3, c[48])], [(1, c[8]), (3, c[12]), (3, c[12])], ["MAX"], stride=2)
    for name, inner in (("c1", c[16]), ("c2", c[20]), ("c3", c[20]), ("c4", c[24])):
        top = long_block(net, name, top, inner, c[24])
    if auxiliary:
        add_auxiliary(net, top, c[16], c[96], num_classes)
    top = block(
        net,
        "d",
        top,
        [(1, c[24]), (3, c[40])],
        [(1, c[24]), ((1, 7), c[24]), ((7, 1), c[24]), (3, c[24])],
        ["MAX"],
        stride=2,
    )
    for name in ("e1", "e2"):
        top = forked_block(net, name, top, scale)
    return finish(net, top, 0.5, num_classes)


def wide_block(net: Definition, name: str, bottom: str, pooled: int, scale: int) -> str:
    """Add the block for the largest maps."""
    a, b, c = 48 // scale, 64 // scale, 96 // scale
    return block(
        net,
        name,
        bottom,
        [(1, b)],
        [(1, a), (5, b)],
        [(1, b), (3, c), (3, c)],
        ["AVE", (1, pooled)],
    )


def long_block(net: Definition, name: str, bottom: str, inner: int, outer: int) -> str:
    """Add the block of 1x7 and 7x1 convolutions."""
    across, down = (1, 7), (7, 1)
    return block(
        net,
        name,
        bottom,
        [(1, outer)],
        [(1, inner), (across, inner), (down, outer)],
        [(1, inner), (down, inner), (across, inner), (down, inner), (across, outer)],
        ["AVE", (1, outer)],
    )


def forked_block(net: Definition, name: str, bottom: str, scale: int) -> str:
    """Add the block for the smallest maps, whose towers end in a 1x3 beside a 3x1."""
    c, ends = 384 // scale, (((1, 3), "across"), ((3, 1), "down"))
    stems = [
        tower(net, f"{name}/2", bottom, [(1, c)]),
        tower(net, f"{name}/3", bottom, [(1, 448 // scale), (3, c)]),
    ]
    forks = [
        conv(net, f"{name}/{index}_{end}", top, c, size, pad=(size[0] // 2, size[1] // 2))
        for index, top in enumerate(stems, 2)
        for size, end in ends
    ]
    first = tower(net, f"{name}/1", bottom, [(1, 320 // scale)])
    last = tower(net, f"{name}/4", bottom, ["AVE", (1, 192 // scale)])
    return net.concat(name, [first, *forks, last])


def add_auxiliary(net: Definition, bottom: str, inner: int, outer: int, num_classes: int) -> None:
    """Add the second classifier: 5x5 pooling, two convolutions down to one place, its loss."""
    top = net.pooling("auxiliary/pool", bottom, "AVE", kernel_size=5, stride=3)
    top = conv(net, "auxiliary/conv1", top, inner, 1)
    top = conv(net, "auxiliary/conv2", top, outer, 5)
    top = net.inner_product("auxiliary/classifier", top, num_classes, gaussian(0.001))
    net.softmax_with_loss("auxiliary/loss", top, "label", loss_weight=AUXILIARY)

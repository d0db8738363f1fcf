"""The statistics that Caffe's layers have where no weights are given."""

from __future__ import annotations

import converter


def with_caffes_statistics(net: converter.CaffeNet) -> converter.CaffeNet:
    """Give a network that was loaded without weights the zeros that Caffe's fillers leave.

    `load` draws means of 0 and variances of 1 there, so that a TEST network stays finite.
    """
    for key in net.loaded.drawn if net.loaded else ():
        net.layers[key].reset_parameters()
    return net

"""Layers with a number that changes from pass to pass of a training."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.layer import Layer


class CountsPasses(Layer):
    """Base of layers that count their forward passes, from `iteration` on.

    Only passes in TRAIN count. In TEST every pass is the first one after `iteration`: Caffe's test
    network has a layer of its own, whose count no snapshot keeps. Here the count is in the
    `state_dict`, so that a training goes on from one as if it had not stopped.
    """

    passes: Tensor

    def __init__(self, iteration: int = 0) -> None:
        super().__init__()
        self.iteration = iteration
        self.register_buffer("passes", torch.tensor(iteration, dtype=torch.int64))

    def counted(self, like: Tensor) -> Tensor:
        """Return the number of this pass, a scalar of the type of `like`, after counting it."""
        if not self.training:
            return like.new_tensor(self.iteration + 1)
        self.passes += 1
        return self.passes.to(like.dtype)

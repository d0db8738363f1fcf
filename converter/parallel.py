"""Several processes that work with one network together, each on data of its own.

Caffe: src/caffe/parallel.cpp
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor
from torch import distributed as dist

BUCKET_VALUES = 1 << 23
"""How many values go around in one message: enough to be quick, few enough to need no memory."""


@dataclass(frozen=True)
class Processes:
    """The group of processes that this one belongs to: its number and how many there are."""

    rank: int = 0
    count: int = 1

    @classmethod
    def joined(cls) -> Processes:
        """Return the group that this process has joined, or that of this process alone."""
        if not dist.is_available() or not dist.is_initialized():
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_primary(self) -> bool:
        """Whether this is the primary process, which tests, prints and writes."""
        return self.rank == 0

    def average(self, gradients: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over the processes: Caffe sums and divides alike."""
        if self.count == 1:
            return
        for bucket in _buckets(gradients):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            dist.all_reduce(flat)
            flat /= self.count
            at = 0
            for gradient in bucket:
                gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
                at += gradient.numel()

    def broadcast(self, blobs: Iterable[Tensor]) -> None:
        """Set every process's values to those of the primary process."""
        if self.count > 1:
            for blob in blobs:
                dist.broadcast(blob.detach(), 0)

    def sum(self, numbers: list[int], device: torch.device) -> list[int]:
        """Return the sums of whole numbers over the processes."""
        if self.count == 1:
            return numbers
        sums = torch.tensor(numbers, dtype=torch.int64, device=device)
        dist.all_reduce(sums)
        return [int(number) for number in sums.tolist()]

    def any(self, *flags: bool, device: torch.device) -> list[bool]:
        """Tell of each flag whether one of the processes has it set."""
        if self.count == 1:
            return list(flags)
        joined = torch.tensor(flags, dtype=torch.int32, device=device)
        dist.all_reduce(joined, dist.ReduceOp.MAX)
        return [bool(flag) for flag in joined.tolist()]


def join(device: str) -> str:
    """Join the processes that `torchrun` started, if it did; return this one's device.

    Where `device` is a GPU, each takes that of its number on its machine. The first may test for
    hours while the others wait for it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if device.startswith("cuda"):
            device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
            torch.cuda.set_device(device)
        backend = "nccl" if device.startswith("cuda") else "gloo"
        dist.init_process_group(backend, timeout=timedelta(days=7))
    return device


def leave() -> None:
    """Leave the group, if this process has joined one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def _buckets(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    buckets: list[list[Tensor]] = []
    size = 0
    for tensor in tensors:
        full = size + tensor.numel() > BUCKET_VALUES
        if not buckets or full or tensor.dtype != buckets[-1][-1].dtype:
            buckets.append([])
            size = 0
        buckets[-1].append(tensor)
        size += tensor.numel()
    return buckets

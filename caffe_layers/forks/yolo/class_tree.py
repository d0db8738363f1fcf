"""Trees of classes, and maps into them, of the ninth thousand of YOLO's classes (YOLO9000)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from caffe_layers.arithmetic.indices import check_indices
from prototxt.errors import FormatError, ShapeError, UsageError

NAME = 10
"""Where a class's parent begins in a line: behind the 9 letters of WordNet's names, and a blank."""


@dataclass(frozen=True)
class ClassTree:
    """C classes in G groups, of which a softmax each makes probabilities."""

    group: Tensor
    """The group of each class, C."""
    chain: Tensor
    """Of each class its own, its parent's, ... member of each group, C x G; -1 for none."""

    def softmax(self, scores: Tensor) -> Tensor:
        """Return the softmax of scores ... x C within their groups."""
        groups = self.chain.shape[1]
        index = self.group.to(scores.device).expand(scores.shape)
        most = scores.new_full((*scores.shape[:-1], groups), -torch.inf)
        most = most.scatter_reduce(-1, index, scores, "amax")
        grown = (scores - most.gather(-1, index)).exp()
        total = torch.zeros_like(most).scatter_add(-1, index, grown)
        return grown / total.gather(-1, index)

    def learned(self, labels: Tensor, cells: Tensor, real: Tensor, count: int) -> Tensor:
        """Return what is wanted of the classes in each of `count` cells, N x count x C.

        `labels` and `cells` are those of N x T objects, those that are not `real` left out. In a
        group of an object's class or of one above it, 1 is wanted of that one and 0 of the others;
        the last such object counts. Of other groups nothing is, which NaN says.
        """
        chain, group = self.chain.to(labels.device), self.group.to(labels.device)
        groups = chain.shape[1]
        member = chain[labels.where(real, 0)]
        number = torch.arange(labels.shape[1], device=labels.device)[:, None].expand_as(member)
        number = torch.where(real[..., None] & (member >= 0), number, -1)
        at = cells.where(real, 0)[..., None] * groups + torch.arange(groups, device=labels.device)
        last = torch.full((len(labels), count * groups), -1, device=labels.device)
        last = last.scatter_reduce(1, at.flatten(1), number.flatten(1), "amax")
        last = last.reshape(len(labels), count, groups)
        wanted = member.gather(1, last.clamp(min=0))[..., group]
        hit = (wanted == torch.arange(len(group), device=labels.device)).to(torch.float64)
        return torch.where(last[..., group] >= 0, hit, torch.nan)


def read_tree(path: str) -> ClassTree:
    """Read a tree: a class a line, with its parent's number, -1 for none, from letter 11 on.

    Lines of one parent that follow each other are a group. Raises UsageError where the file is not
    there, FormatError for a line without a number, or with that of a later class or none.
    """
    parents: list[int] = []
    for number, line in enumerate(_lines(path)):
        words = line[NAME:].split()
        try:
            parent = int(words[0])
        except (IndexError, ValueError):
            where = f"{path}:{number + 1}: {line!r}"
            raise FormatError(f"{where} has no parent's number from letter {NAME + 1} on") from None
        if not -1 <= parent < number:
            raise FormatError(f"{path}:{number + 1}: the parent {parent} wants an earlier class's")
        parents.append(parent)
    group: list[int] = []
    for number, parent in enumerate(parents):
        same = number > 0 and parent == parents[number - 1]
        group.append((group[-1] + (not same)) if group else 0)
    chain = torch.full((len(parents), (group[-1] if group else -1) + 1), -1)
    for number, parent in enumerate(parents):
        if parent >= 0:
            chain[number] = chain[parent]
        chain[number, group[number]] = number
    return ClassTree(torch.tensor(group), chain)


def read_map(path: str) -> Tensor:
    """Read a map, a class's number a line: that of the label that is the line's, from 0 on.

    Raises UsageError where the file is not there, and FormatError for a line without a number.
    """
    try:
        return torch.tensor([int(line.split()[0]) for line in _lines(path)])
    except (IndexError, ValueError) as error:
        raise FormatError(f"{path}: a line is no class's number: {error}") from None


def mapped(labels: Tensor, held: Tensor, real: Tensor) -> Tensor:
    """Return labels N x T by a map; those that are not `real` are 0."""
    known = labels.where(real, 0)
    check_indices(known, len(held), "labels of the class_map")
    return held.to(labels.device)[known]


def check_classes(tree: ClassTree, classes: int, path: str) -> None:
    """Raise ShapeError unless the tree has as many classes as the layer."""
    if len(tree.group) != classes:
        raise ShapeError(f"{path} has {len(tree.group)} classes, num_class is {classes}")


def _lines(path: str) -> list[str]:
    if not Path(path).is_file():
        raise UsageError(
            f"{path!r} is not there", fix="put it at that path under the working folder"
        )
    return Path(path).read_text("utf-8", errors="replace").splitlines()

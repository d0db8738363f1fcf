"""The permutohedral lattice point by point, with a dictionary for its hash table."""

from __future__ import annotations

from math import sqrt

import numpy as np

F = np.float32


class Lattice:
    """The vertices around points of d features, N x d of float32, found one after the other."""

    def __init__(self, features: np.ndarray) -> None:
        count, self.d = features.shape
        self.number: dict[tuple[int, ...], int] = {}
        self.points: list[list[tuple[int, np.float32]]] = []
        missing = -count % 4  # Caffe takes four points at once
        for point in np.concatenate([features, np.zeros((missing, self.d), F)]):
            self.points.append(self.around(point))
        del self.points[count:]
        self.beside = []
        for j in range(self.d + 1):
            pairs = []
            for key in self.number:
                low = tuple(v + self.d if i == j else v - 1 for i, v in enumerate(key))
                high = tuple(v - self.d if i == j else v + 1 for i, v in enumerate(key))
                pairs.append((self.number.get(low), self.number.get(high)))
            self.beside.append(pairs)

    def around(self, point: np.ndarray) -> list[tuple[int, np.float32]]:
        """Return a point's vertices and shares."""
        d = self.d
        deviation = F(sqrt(2 / 3) * (d + 1))
        lifted, total = [F(0)] * (d + 1), F(0)
        for j in range(d, 0, -1):
            part = F(point[j - 1] * F(1 / sqrt((j + 1) * j) * float(deviation)))
            lifted[j] = F(total - F(F(j) * part))
            total = F(total + part)
        lifted[0] = total
        down = F(F(1) / F(d + 1))
        rounded = [np.rint(F(down * v)) for v in lifted]
        near = [F(v * F(d + 1)) for v in rounded]
        rank = [0] * (d + 1)
        for i in range(d):
            for j in range(i + 1, d + 1):
                larger = F(lifted[i] - near[i]) < F(lifted[j] - near[j])
                rank[i] += larger
                rank[j] += not larger
        off = int(sum(rounded))
        for i in range(d + 1):
            rank[i] += off
            if rank[i] < 0:
                rank[i], near[i] = rank[i] + d + 1, F(near[i] + d + 1)
            elif rank[i] > d:
                rank[i], near[i] = rank[i] - d - 1, F(near[i] - d - 1)
        share = [F(0)] * (d + 2)
        for i in range(d + 1):
            v = F(F(lifted[i] - near[i]) * down)
            share[d - rank[i]] = F(share[d - rank[i]] + v)
            share[d - rank[i] + 1] = F(share[d - rank[i] + 1] - v)
        share[0] = F(share[0] + F(F(1) + share[d + 1]))
        found = []
        for r in range(d + 1):
            key = tuple(int(near[i]) + (r if rank[i] <= d - r else r - (d + 1)) for i in range(d))
            found.append((self.number.setdefault(key, len(self.number)), share[r]))
        return found

    def filtered(self, values: np.ndarray) -> np.ndarray:
        """Return values, C x N, blurred: C x N."""
        held = np.zeros((len(self.number), len(values)))
        for n, point in enumerate(self.points):
            for at, share in point:
                held[at] += float(share) * values[:, n]
        for pairs in self.beside:
            new = held.copy()
            for at, pair in enumerate(pairs):
                for other in pair:
                    if other is not None:
                        new[at] += 0.5 * held[other]
            held = new
        top = np.zeros(values.shape)
        for n, point in enumerate(self.points):
            for at, share in point:
                top[:, n] += float(share) * held[at] * float(F(1 / (1 + 2.0**-self.d)))
        return top

    def normalized(self, values: np.ndarray) -> np.ndarray:
        """Return what is blurred over blurred ones."""
        return self.filtered(values) / self.filtered(np.ones((1, values.shape[1])))


def features(
    height: int, width: int, place: float, image: np.ndarray | None = None, colour: float = 1
) -> np.ndarray:
    """Return column, row and, with an image of 3 x H x W, its values, over their deviations."""
    rows = []
    for h, w in np.ndindex(height, width):
        row = [F(F(w) / F(place)), F(F(h) / F(place))]
        if image is not None:
            row += [F(value / float(F(colour))) for value in image[:, h, w]]
        rows.append(row)
    return np.array(rows, F)

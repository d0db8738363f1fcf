"""The permutohedral lattice against a hash table, and against the Gaussian that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from caffe_layers.forks.crf.permutohedral import lattice_of
from prototxt.errors import ShapeError
from tests.caffe_layers.forks.crf import lattice
from tests.support.recorded import assert_close

RNG = np.random.default_rng(1701)


@pytest.mark.parametrize("count", [1, 4, 41])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_beside_a_hash_table(size: int, count: int) -> None:
    """Points far off too: what makes a block of four whole lies at 0."""
    features = (RNG.normal(size=(count, size)) * 2 + 3).astype(np.float32)
    values = RNG.normal(size=(3, count))
    slow, fast = lattice.Lattice(features), lattice_of(torch.from_numpy(features))
    assert fast.before.shape[1] - 1 == len(slow.number)
    assert_close(fast.filtered(torch.from_numpy(values)), slow.filtered(values), "filtered")
    assert_close(fast.normalized(torch.from_numpy(values)), slow.normalized(values), "normalized")


def test_places_on_borders_of_simplices() -> None:
    features = lattice.features(9, 7, 3)
    features[5:9] = 0
    values = RNG.normal(size=(2, 63))
    want = lattice.Lattice(features).filtered(values)
    got = lattice_of(torch.from_numpy(features)).filtered(torch.from_numpy(values))
    assert_close(got, want, "filtered")


@pytest.mark.parametrize(("size", "within"), [(2, 0.015), (5, 0.02)])
def test_is_nearly_a_gaussian(size: int, within: float) -> None:
    features = RNG.uniform(0, 3, size=(400, size)).astype(np.float32)
    values = features[:, :1].T.astype(float)
    away = ((features[:, None] - features[None]).astype(float) ** 2).sum(2)
    weight = np.exp(-away / 2)
    want = values @ weight / weight.sum(0)
    got = lattice_of(torch.from_numpy(features)).normalized(torch.from_numpy(values)).numpy()
    assert np.abs(got - want).mean() < within * np.ptp(values)


@pytest.mark.parametrize("value", [1e4, np.nan, np.inf])
def test_too_large(value: float) -> None:
    features = torch.zeros(4, 5)
    features[1, 2] = value
    with pytest.raises(ShapeError, match=r"wants less than 32761.*\n.*fix: "):
        lattice_of(features)


def test_too_wide() -> None:
    features = torch.tensor(RNG.choice([-2e3, 2e3], size=(40, 5)), dtype=torch.float32)
    with pytest.raises(ShapeError, match="more than are told apart"):
        lattice_of(features)

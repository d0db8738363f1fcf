"""The container of a network's layers, which keeps Caffe's names."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Iterator

from torch import nn

from caffe_layers import Layer


class Layers(nn.Module):
    """The layer modules by Caffe's names: a bare mapping, since a layer may be called `loss`."""

    def __init__(self, items: Iterable[tuple[str, Layer]] = ()) -> None:
        super().__init__()
        for name, layer in items:
            self.add(name, layer)

    def add(self, name: str, layer: Layer) -> None:
        """Put a layer under its name, quoted as in state_dict: dots as `%2E`."""
        self._modules[quote(name)] = layer

    def __getitem__(self, name: str) -> Layer:
        layer = self._modules[quote(name)]
        assert isinstance(layer, Layer)
        return layer

    def __delitem__(self, name: str) -> None:
        del self._modules[quote(name)]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and quote(name) in self._modules

    def __iter__(self) -> Iterator[str]:
        return map(unquote, self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def keys(self) -> list[str]:
        """Return the layers' names in the network's order."""
        return list(self)

    def items(self) -> list[tuple[str, Layer]]:
        """Return names and layers in the network's order."""
        return [(name, self[name]) for name in self]

    def values(self) -> list[Layer]:
        """Return the layers in the network's order."""
        return [self[name] for name in self]


ATTRIBUTES = frozenset(dir(Layers()))
"""A layer of such a name would hide what torch looks up on the container (`type`, `training`).

Keys of saved weights depend on it: a new method would change those of a layer of its name.
"""


def quote(name: str) -> str:
    """Return a layer's name as a module's name, which holds no dot and is not empty."""
    key = name.replace("%", "%25").replace(".", "%2E")
    return f"%{ord(key[0]):02X}{key[1:]}" if key in ATTRIBUTES else key or "%"


def unquote(key: str) -> str:
    """Return the layer's name of a module's name."""
    return "" if key == "%" else urllib.parse.unquote(key)

"""The layer types that are here, as a table; `python -m converter.layer_table` writes it anew.

`caffeport layers` prints the file as it was written, which takes no torch.
"""

from __future__ import annotations

from pathlib import Path

from caffe_layers.base.layer import DEFAULT, Registry

from .text import format_markdown


def format_layers(registry: Registry = DEFAULT) -> str:
    """Return the types by family; a fork's carry its name. Python layers are `module.layer`."""
    families: dict[str, list[str]] = {}
    for name, readings in sorted(registry.layers.items(), key=lambda item: item[0].lower()):
        for fork, cls in sorted(readings.items()):
            family = cls.__module__.split(".")[-2] if "." in cls.__module__ else cls.__module__
            families.setdefault(family, []).append(name if fork == "bvlc" else f"{name} ({fork})")
    rows = [(family, ", ".join(types)) for family, types in sorted(families.items())]
    rows.append(("Python, by name", ", ".join(sorted(map(".".join, registry.python)))))
    return format_markdown(("family", "layers"), rows)


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(f"{format_layers()}\n", encoding="utf-8")

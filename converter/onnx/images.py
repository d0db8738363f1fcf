"""What a model's metadata say of images: words for people, numbers for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from converter.preprocessing import Preprocessing
from converter.preprocessing.spec import mean_file

KEY = "caffeport.images"


@dataclass(frozen=True)
class Images:
    """The input that images become, and what is done to them, by the model itself if `embedded`.

    A mean that is an image lies in the file `mean_file` beside the model, unless it is built in.
    """

    input: str
    preprocessing: Preprocessing
    embedded: bool = False
    mean_file: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers, and the words, as JSON has them."""
        wanted = self.preprocessing
        return {
            "input": self.input,
            "embedded": self.embedded,
            "channels": wanted.order,
            "mean": None if wanted.mean_image is not None else list(wanted.mean),
            "mean_file": self.mean_file,
            "scale": wanted.scale,
            "resize": wanted.resize,
            "crop": wanted.crop,
            "exact": wanted.exact,
            "words": str(wanted),
        }

    def metadata(self) -> dict[str, str]:
        """Return the entry of a model's metadata."""
        return {KEY: json.dumps(self.as_dict())}

    @classmethod
    def read(cls, metadata: Mapping[str, str], folder: Path, *, mean: bool = True) -> Images | None:
        """Return what the metadata of a model in a folder say, None if they say nothing.

        UsageError where the mean's file is not there any more, unless its `mean` is not wanted.
        """
        if KEY not in metadata:
            return None
        said = json.loads(metadata[KEY])
        wanted = Preprocessing(
            order=said["channels"],
            mean=tuple(said["mean"] or (0.0,)),
            scale=said["scale"],
            resize=_size(said["resize"]),
            crop=_size(said["crop"]),
            exact=said.get("exact", False),
            origin="as the model's metadata say",
        )
        if mean and said["mean_file"]:
            wanted = replace(wanted, **mean_file(folder / said["mean_file"]))
        return cls(said["input"], wanted, said["embedded"], said["mean_file"])


def _size(said: Any) -> Any:
    return tuple(said) if isinstance(said, list) else said

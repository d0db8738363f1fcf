"""What a user says of images where the definition says too little."""

from __future__ import annotations

from typing import TypedDict

from .spec import Mean, Sides


class ImageSettings(TypedDict, total=False):
    """Keyword arguments of `preprocessing_of`, for those that hand them on."""

    family: str | None
    channels: str | None
    mean: Mean | None
    scale: float | None
    resize: Sides | None
    crop: Sides | None
    raw: bool

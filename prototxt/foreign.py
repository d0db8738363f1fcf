"""Files that are something else than what they are given for, told by their first bytes."""

from __future__ import annotations

import re

from .errors import FormatError

_DOWNLOAD = "a server answers so for a file that is not there: download it anew"
_WEIGHTS = "it holds weights alone: give it after the network's .prototxt"
_TORCH = "load it in torch; the weights here are Caffe's"

_KINDS: tuple[tuple[re.Pattern[bytes], str, str], ...] = (
    (re.compile(rb"\s*<(!doctype|html|head|\?xml)", re.IGNORECASE), "an HTML page", _DOWNLOAD),
    (re.compile(rb"\xff\xfe|\xfe\xff"), "text in UTF-16", "save it as UTF-8"),
    (re.compile(rb".{8}\{\s*\"", re.DOTALL), "a safetensors file", _WEIGHTS),
    (re.compile(rb"PK\x03\x04"), "a zip archive, as PyTorch's .pth and NumPy's .npz are", _TORCH),
    (re.compile(rb"\x80[\x02-\x05]"), "a Python pickle, as PyTorch's older .pth is", _TORCH),
    (re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8"), "an image", "is it another argument's?"),
    (re.compile(rb"\x1f\x8b"), "a gzip file", "unpack it with gunzip"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c|Rar!"), "an archive", "unpack it"),
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer", "fetch it with `git lfs pull`"),
)
"""What a file's first bytes are, what it is then, and what helps."""


def refuse_foreign(data: memoryview, wanted: str) -> None:
    """Raise FormatError, which names what a file is, if it is no file of Caffe's."""
    begin = bytes(data[:64])
    for pattern, kind, fix in _KINDS:
        if pattern.match(begin):
            raise FormatError(f"{kind}, wants {wanted}", fix=fix)

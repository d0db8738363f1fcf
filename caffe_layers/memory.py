"""What memory does not hold, as an error of the file's sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from prototxt.errors import UnsupportedError

_REFUSED = re.compile(r"can't allocate memory|out of memory|Storage size calculation overflowed")
FIX = (
    "are its sizes those that the network is for? `caffeport show` and `check` need no memory "
    "for weights"
)


@contextmanager
def held(what: str) -> Iterator[None]:
    """Raise UnsupportedError, which says that memory does not hold `what`, where that is so."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        raise UnsupportedError(f"memory does not hold {what}", fix=FIX) from None


def is_lack_of_memory(error: BaseException) -> bool:
    """Tell whether an error of torch or NumPy says that memory was not to be had."""
    return isinstance(error, MemoryError) or bool(_REFUSED.search(str(error)))

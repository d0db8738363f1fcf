"""A method with code of its own, for compilers that keep what they made by a function's code."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from types import FunctionType, MethodType
from typing import Any


def with_own_code(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a bound method that does the same by a copy of its code; anything else as it is.

    torch keeps what it compiled beside the code object, for a bound number of cases
    (its `recompile_limit`), after which a function runs uncompiled. Networks that
    share `forward` would share that number.
    """
    function = getattr(method, "__func__", None)
    if not isinstance(method, MethodType) or not isinstance(function, FunctionType):
        return method
    own = FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    own.__kwdefaults__ = function.__kwdefaults__
    update_wrapper(own, function)
    del own.__wrapped__  # type: ignore[attr-defined]  # it wraps nothing: it stands alone
    return MethodType(own, method.__self__)

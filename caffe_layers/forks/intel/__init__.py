"""What Intel's compiler makes of layers."""

from .fused_concat import FusedConcat

__all__ = [
    "FusedConcat",
]

"""The seed of what is drawn where nobody names one."""

from __future__ import annotations

SEED = 1701

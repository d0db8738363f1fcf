"""The demo: a small SK network trained on scikit-learn's digits, and what shows that it works."""

from .run import run_demo

__all__ = ["run_demo"]

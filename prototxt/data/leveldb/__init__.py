"""LevelDB databases, read without a change to their folders."""

from .database import Database as Database

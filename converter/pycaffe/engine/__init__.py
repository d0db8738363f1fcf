"""Layers and blobs as they run: memory that scripts hold, and passes over it."""

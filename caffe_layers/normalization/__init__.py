"""Layers that scale by statistics of their bottom."""

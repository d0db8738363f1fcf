"""Layers that run along time."""

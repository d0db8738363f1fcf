"""Rewritings of a definition: a Net in, a Net out."""

"""Arithmetic between blobs, and what cuts, joins and reshapes them."""

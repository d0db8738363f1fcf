"""Element by element, one bottom to one top."""

"""Calls of a network that is called again and again: what each call would do alike is done once."""

"""Layers that no Caffe has: what rewritten networks compute with."""

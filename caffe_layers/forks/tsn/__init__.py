"""Layers of yjxiong's Caffe (temporal segment networks): recognising actions in video."""

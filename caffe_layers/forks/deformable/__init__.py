"""Layers of unsky's Caffe: deformable convolution."""

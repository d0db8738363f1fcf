"""Caffe's binary files: the wire format, blobs, caffemodels."""

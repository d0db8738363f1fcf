"""Caffe's HDF5 files: weights and data sets."""

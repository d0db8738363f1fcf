"""Caffe's text format: scanned, parsed, templates filled."""

"""Layers of happynear's caffe-windows: embeddings of faces."""

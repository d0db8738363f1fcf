"""Layers that forks of Caffe brought, a folder a family."""

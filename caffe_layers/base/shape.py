"""The shape of a blob, as Caffe's files have it."""

from prototxt.binary.blob import Shape as Shape

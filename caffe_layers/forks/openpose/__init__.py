"""Layers of caffe_rtpose (OpenPose): from heat maps to the joints of people."""

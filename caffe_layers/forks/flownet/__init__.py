"""Layers of FlowNet2 (lmb-freiburg/flownet2): optical flow between two images."""

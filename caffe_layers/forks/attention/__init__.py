"""Layers of pixel-wise contextual attention: nian-liu/PiCANet."""

from .att_pooling import AttPooling
from .pw_attend import PwAttend
from .renet_lstm import ReNetLSTM

__all__ = ["AttPooling", "PwAttend", "ReNetLSTM"]

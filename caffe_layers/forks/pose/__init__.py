"""Layers of 3Dpose_ssl (chanyn/3Dpose_ssl) that only training and testing need."""

from .image_data_lstm import ImageDataLstm
from .training import MPJPEEvaluation, SavePath, SkelVectorLoss

__all__ = ["ImageDataLstm", "MPJPEEvaluation", "SavePath", "SkelVectorLoss"]

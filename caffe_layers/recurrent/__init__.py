"""Layers that run along time."""

from .lstm import LSTM
from .lstm_unit import LSTMUnit
from .rnn import RNN

__all__ = [
    "LSTM",
    "RNN",
    "LSTMUnit",
]

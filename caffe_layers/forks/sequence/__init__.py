"""Layers of networks that read text: recurrent ones, and what turns and reverses sequences.

CRNN and CTPN in their many forks: senlinuc/caffe_ocr, junhyukoh/caffe-lstm, makefile/frcnn,
xmfbit/warpctc-caffe. And of sequences of poses (chanyn/3Dpose_ssl) and of words
(peteanderson80/caffe), and of maps (agethen/ConvLSTM-for-Caffe).
"""

from .beam_search_node import BeamSearchNode
from .continuation_indicator import ContinuationIndicator
from .conv_lstm import ConvLSTM
from .convert import Convert
from .ctc_greedy_decoder import CTCGreedyDecoder
from .dense_block import DenseBlock
from .inverted_order import InvertedOrder
from .lstm import Lstm
from .lstm_node import LSTMNode
from .reverse import Reverse
from .reverse_time import ReverseTime
from .transpose import Transpose

__all__ = [
    "BeamSearchNode",
    "CTCGreedyDecoder",
    "ContinuationIndicator",
    "ConvLSTM",
    "Convert",
    "DenseBlock",
    "InvertedOrder",
    "LSTMNode",
    "Lstm",
    "Reverse",
    "ReverseTime",
    "Transpose",
]

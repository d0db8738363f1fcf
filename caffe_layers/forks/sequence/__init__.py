"""Layers of networks that read text: recurrent ones, and what turns and reverses sequences.

CRNN and CTPN in their many forks: senlinuc/caffe_ocr, junhyukoh/caffe-lstm, makefile/frcnn,
xmfbit/warpctc-caffe.
"""

from .continuation_indicator import ContinuationIndicator
from .ctc_greedy_decoder import CTCGreedyDecoder
from .dense_block import DenseBlock
from .lstm import Lstm
from .reverse import Reverse
from .reverse_time import ReverseTime
from .transpose import Transpose

__all__ = [
    "CTCGreedyDecoder",
    "ContinuationIndicator",
    "DenseBlock",
    "Lstm",
    "Reverse",
    "ReverseTime",
    "Transpose",
]

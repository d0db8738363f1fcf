"""Training as Caffe trains: its optimizers, learning-rate policies and solver."""

from .optimizer import CaffeOptimizer, clip_scale
from .policies import Policy, PolicyLR
from .rules import SGD, AdaDelta, AdaGrad, Adam, Nesterov, RMSProp
from .solver import Solver
from .testing import Outputs, mean_outputs

__all__ = [
    "SGD",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "CaffeOptimizer",
    "Nesterov",
    "Outputs",
    "Policy",
    "PolicyLR",
    "RMSProp",
    "Solver",
    "clip_scale",
    "mean_outputs",
]

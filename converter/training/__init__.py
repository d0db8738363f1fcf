"""Training as Caffe trains: its optimizers, learning-rate policies and solver."""

from .clipping import clip_scale as clip_scale
from .optimizer import CaffeOptimizer as CaffeOptimizer
from .policies import Policy as Policy
from .policies import PolicyLR as PolicyLR
from .rules import SGD as SGD
from .rules import AdaDelta as AdaDelta
from .rules import AdaGrad as AdaGrad
from .rules import Adam as Adam
from .rules import Nesterov as Nesterov
from .rules import RMSProp as RMSProp
from .solver import Solver as Solver
from .testing import Outputs as Outputs
from .testing import mean_outputs as mean_outputs

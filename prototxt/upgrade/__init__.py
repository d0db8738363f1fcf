"""Today's form of definitions and solvers of every age."""

from .fork_solver import to_bvlc as to_bvlc
from .inputs import declare_shapeless as declare_shapeless
from .inputs import input_layer as input_layer
from .net import upgrade as upgrade
from .solver import name_snapshots as name_snapshots
from .solver import upgrade_solver as upgrade_solver

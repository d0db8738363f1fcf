"""Today's form of definitions and solvers of every age."""

from prototxt.upgrade.inputs import declare_shapeless as declare_shapeless
from prototxt.upgrade.net import upgrade as upgrade
from prototxt.upgrade.solver import name_snapshots as name_snapshots
from prototxt.upgrade.solver import upgrade_solver as upgrade_solver

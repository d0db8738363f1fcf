"""Today's form of definitions and solvers of every age."""

from prototxt.upgrade.net import upgrade as upgrade
from prototxt.upgrade.solver import upgrade_solver as upgrade_solver

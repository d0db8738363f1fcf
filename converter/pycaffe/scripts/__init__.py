"""People's scripts, modules and notebooks, run with `import caffe` answered from here."""

from .run import run_module as run_module
from .run import run_notebook as run_notebook
from .run import run_script as run_script

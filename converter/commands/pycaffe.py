"""`caffeport pycaffe`."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace

HELP = "run a script, a notebook or a module that says `import caffe`, without Caffe"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.usage = (
        "caffeport pycaffe [--dialect FORK] [--python2] (SCRIPT.py | NOTEBOOK.ipynb | -m MODULE) "
        "[ARGUMENT ...]"
    )
    parser.add_argument("--dialect", help="the fork whose reading to take where several fit")
    parser.add_argument(
        "--python2",
        action="store_true",
        help="translate the script, and modules that it imports from its own folders",
    )
    parser.add_argument("-m", dest="module", action="store_true", help="run a module by its name")
    parser.add_argument("target", metavar="SCRIPT", help="a .py, a .ipynb, or a module's name")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="the script's own arguments")


def run(args: Namespace) -> int:
    """Run it; the status is its own, and 1 where it ends by an exception."""
    from converter.pycaffe import install
    from converter.pycaffe.era import give_back, translated
    from converter.pycaffe.scripts import run_module, run_notebook, run_script
    from converter.pycaffe.scripts.run import PYTHON

    give_back()
    language = translated() if args.python2 else PYTHON
    install(args.dialect)  # last: it is asked first
    if args.module:
        return run_module(args.target, args.args)
    run_it = run_notebook if args.target.endswith(".ipynb") else run_script
    return run_it(args.target, args.args, language)

"""Every command of the fake, imported before hypothesis draws anything.

The fake imports them when they are first called, which may be in a thread. Hypothesis changes the recursion limit for each example, and CPython
3.11 cannot compile a module in one thread while another one does that (``SystemError: AST constructor recursion depth mismatch``).
"""

from __future__ import annotations

import importlib
import pkgutil

from fakeslurm import commands

__all__ = ["warm_up"]


def warm_up() -> None:
    for module in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"{commands.__name__}.{module.name}")

"""Docstrings that are printed, also where Python was started with -OO, which drops them."""

import ast
import inspect
from collections.abc import Callable
from textwrap import dedent
from typing import Any


def docstring(of: Callable[..., Any]) -> str:
    """What is written below the name of a function or class; '' for nothing, or where its source is not at hand."""
    if of.__doc__ is not None:
        return inspect.cleandoc(of.__doc__)
    try:
        (node,) = ast.parse(dedent(inspect.getsource(of))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return ""
    return (isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node)) or ""

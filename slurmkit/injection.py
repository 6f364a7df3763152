"""Which parameters of a function receive the `JobContext`: decided on the client, from the signature alone."""

from __future__ import annotations

import ast
import builtins
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union

__all__ = ["call_with_context", "injected_parameters", "unfilled_parameters"]

R = TypeVar("R")

_BY_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_PARSED_AGAIN = 10
"""How often an annotation is parsed again, at most."""
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def injected_parameters(func: Callable[..., Any]) -> tuple[str, ...]:
    """The parameters that receive the JobContext, in the order of the signature.

    Those annotated `JobContext` (also ``JobContext | None``, ``Optional``, ``Annotated``, and any of these as a string), and one called
    ``job`` that has no annotation. Raises TypeError when one of them is positional-only: it could not be passed.
    """
    return _injected(func, _parameters(func))


def _injected(func: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> tuple[str, ...]:
    names = []
    for parameter in parameters:
        if parameter.kind in _VARIADIC or not _receives(parameter, func):
            continue
        if parameter.kind not in _BY_KEYWORD:
            name = getattr(func, "__qualname__", repr(func))
            raise TypeError(
                f"{name}: the parameter {parameter.name!r} receives the JobContext by keyword, but it is positional-only; "
                "move it behind the '/'"
            )
        names.append(parameter.name)
    return tuple(names)


def unfilled_parameters(
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    signature: inspect.Signature | None = None,
) -> tuple[str, ...]:
    """Those of `injected_parameters` that a call ``func(*args, **kwargs)`` leaves open: the caller's own values win.

    `signature`: that of `func`, where it is known already.
    """
    parameters = _parameters(func) if signature is None else tuple(signature.parameters.values())
    names = _injected(func, parameters)
    if not names:
        return ()
    positional = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    before = sum(1 for p in parameters if p.kind is inspect.Parameter.POSITIONAL_ONLY)
    passed = {*positional[: max(0, len(args) - before)], *kwargs}
    return tuple(name for name in names if name not in passed)


def call_with_context(func: Callable[..., R], args: Sequence[Any], kwargs: Mapping[str, Any]) -> R:
    """Call `func` here, with `current_job_context()` for the parameters that want it and that the caller left out."""
    names = unfilled_parameters(func, args, kwargs)
    if not names:
        return func(*args, **kwargs)
    from slurmkit.runtime import current_job_context

    context = current_job_context()
    return func(*args, **kwargs, **dict.fromkeys(names, context))


def _parameters(func: Callable[..., Any]) -> Sequence[inspect.Parameter]:
    try:
        return tuple(inspect.signature(func).parameters.values())
    except ValueError:  # a builtin without a signature: nothing in it can be annotated or called job
        return ()


def _receives(parameter: inspect.Parameter, func: Callable[..., Any]) -> bool:
    if parameter.annotation is inspect.Parameter.empty:
        return parameter.name == "job"
    return _means_context(parameter.annotation, getattr(inspect.unwrap(func), "__globals__", {}))


def _means_context(annotation: Any, namespace: Mapping[str, Any]) -> bool:
    if isinstance(annotation, str):
        return _text_means_context(annotation, namespace)
    if isinstance(annotation, typing.ForwardRef):
        return _text_means_context(annotation.__forward_arg__, namespace)
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _means_context(annotation.__origin__, namespace)
    if origin is Union or origin is types.UnionType:
        return any(_means_context(argument, namespace) for argument in typing.get_args(annotation))
    if not isinstance(annotation, type) or annotation.__name__ != "JobContext":
        return False
    from slurmkit.runtime import JobContext

    return annotation is JobContext


def _text_means_context(text: str, namespace: Mapping[str, Any]) -> bool:
    """An annotation in a string. Names that exist only for the type checker cannot be evaluated: there the name itself has to do."""
    if text.isidentifier():  # as most are: that takes no parser
        return _name_means_context(text, namespace)
    try:
        expression = _parse(text.strip())
    except SyntaxError:
        return False
    return _node_means_context(expression, namespace)


def _parse(text: str) -> ast.expr:
    for _ in range(_PARSED_AGAIN):
        # What CPython 3.11 counts while it parses is the same for all threads: this fails when another one parses as well.
        try:
            return ast.parse(text, mode="eval").body
        except SystemError:
            continue
    return ast.parse(text, mode="eval").body


def _name_means_context(name: str, namespace: Mapping[str, Any]) -> bool:
    scope = namespace if name in namespace else vars(builtins)
    return _means_context(scope[name], namespace) if name in scope else name == "JobContext"


def _node_means_context(node: ast.expr, namespace: Mapping[str, Any]) -> bool:
    match node:
        case ast.Name(name):
            return _name_means_context(name, namespace)
        case ast.Attribute(attr=name):
            try:
                value = eval(compile(ast.Expression(node), "<annotation>", "eval"), dict(namespace))
            except (NameError, AttributeError):
                return name == "JobContext"
            return _means_context(value, namespace)
        case ast.BinOp(op=ast.BitOr()):
            return _node_means_context(node.left, namespace) or _node_means_context(node.right, namespace)
        case ast.Constant(value=str(text)):
            return _text_means_context(text, namespace)
        case ast.Subscript():
            head = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", None)
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            if head == "Annotated":
                inner = inner[:1]
            return head in ("Optional", "Union", "Annotated") and any(_node_means_context(n, namespace) for n in inner)
    return False

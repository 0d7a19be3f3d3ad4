"""Works out one expression in a process of its own: `python -I -S arithmetic.py`, JSON on stdin.

`{"expression": "sum(a) / b", "values": {"a": ["1", "2"], "b": ["4"]}}` gives `{"value": "0.75"}` or
`{"error": "why"}`. Standard library only, and nothing of ours. The process cannot open a file or a
socket, start another, or take more than a second and 128 MB; and what it works out is a tree of
numbers, names and a few functions, never Python.
"""

from __future__ import annotations

import ast
import json
import operator
import os
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal, DecimalException, localcontext

NOBODY = 65534
MOST_SECONDS = 1
MOST_BYTES = 128 * 2**20
LONGEST_EXPRESSION = 1000
"""Characters."""
DIGITS = 30
PLACES = Decimal("0.000001")
"""A result has at most six places, none that says nothing."""

Value = Decimal | list[Decimal]

OPERATORS: Mapping[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
FUNCTIONS: Mapping[str, Callable[[list[Decimal]], Decimal]] = {
    "sum": lambda values: sum(values, Decimal(0)),
    "min": min,
    "max": max,
    "mean": lambda values: sum(values, Decimal(0)) / len(values),
    "count": lambda values: Decimal(len(values)),
    "abs": lambda values: abs(*values),
    "round": lambda values: values[0].quantize(Decimal(1), ROUND_HALF_UP),
}


def work_out(expression: str, values: Mapping[str, Sequence[str]]) -> str:
    """Return the value of an expression, in figures.

    >>> work_out("sum(a) / 4 - b", {"a": ["1", "2.5"], "b": ["1"]})
    '-0.125'

    Raises `ValueError` for what is none, `ArithmeticError` for what has no value.
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise ValueError("the expression is too long")
    known = {name: [Decimal(each) for each in given] for name, given in values.items()}
    with localcontext(prec=DIGITS):
        value = _one(_value(ast.parse(expression.strip(), mode="eval").body, known))
        return f"{_short(value):f}"


def _value(node: ast.expr, known: Mapping[str, list[Decimal]]) -> Value:
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return Decimal(repr(node.value))
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_one(_value(operand, known))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_one(_value(left, known)), _one(_value(right, known)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            return FUNCTIONS[name]([each for arg in args for each in _all(_value(arg, known))])
    raise ValueError(f"{ast.unparse(node)} is not arithmetic")


def _one(value: Value) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if len(value) != 1:
        raise ValueError("there are several values where one is needed")
    return value[0]


def _all(value: Value) -> list[Decimal]:
    return [value] if isinstance(value, Decimal) else value


def _short(value: Decimal) -> Decimal:
    rounded = value.quantize(PLACES, ROUND_HALF_UP)
    return rounded.normalize() if rounded else Decimal(0)


def _confine() -> None:
    """Give up what arithmetic does not need; a limit on processes does not bind root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    for limit, most in (
        (resource.RLIMIT_CPU, MOST_SECONDS),
        (resource.RLIMIT_AS, MOST_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))


def main() -> None:
    """Answer the one request on stdin."""
    _confine()
    try:
        asked = json.load(sys.stdin)
        told = {"value": work_out(asked["expression"], asked["values"])}
    except (ValueError, SyntaxError, RecursionError, TypeError, KeyError) as error:
        told = {"error": str(error)[:200] or "this is not arithmetic"}
    except (ArithmeticError, DecimalException, MemoryError):
        told = {"error": "it has no value"}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()

"""Lines of numbers and formulas that a pocket calculator finds again.

A line is worked out in decimal arithmetic from numbers as they are printed: those in it, and the
values of lines above it. Numbers are printed with twelve significant digits and no exponent.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext

DIGITS = 12
"""The significant digits of a printed number, as many as a good pocket calculator shows."""

MOST_TERMS = 20
"""The terms of a sum in one line, as many as somebody with a calculator follows."""

_PRINTED, _WORKED = Context(prec=DIGITS), Context(prec=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A figure of a statement.

    Attributes:
        term: what it is.
        expression: how it comes about, in numbers, + - * / and brackets; empty where it is given.
        value: the number as printed.
        unit: its unit; empty for a ratio.
    """

    term: str
    expression: str
    value: str
    unit: str

    @property
    def text(self) -> str:
        """The line as it is printed."""
        formula = f"{self.expression} = " if self.expression else ""
        return f"{self.term} = {formula}{self.value}{self.unit and ' ' + self.unit}"


class Sheet:
    """Lines, and their values by short names, which the formulas of later lines use."""

    def __init__(self, values: Mapping[str, Decimal] | None = None) -> None:
        self.lines: list[Line] = []
        self.values: dict[str, Decimal] = dict(values or {})

    def let(self, key: str, number: float | str) -> None:
        """Names a number that formulas use; words are taken with all their digits."""
        words = isinstance(number, str)
        self.values[key] = Decimal(number) if words else _rounded(Decimal(number))

    def given(self, key: str, term: str, number: float | str, unit: str = "") -> None:
        """Adds a line with a number that is not worked out; words are printed as they are."""
        self.let(key, number)
        value = f"{self.values[key]:f}"
        self.lines.append(Line(term=term, expression="", value=value, unit=unit))

    def worked(
        self, key: str, term: str, formula: str, unit: str = "", digits: int | None = None
    ) -> None:
        """Adds a line with the value of a formula of named numbers, to `digits` after the point."""
        with localcontext(_WORKED):
            value = _value(ast.parse(formula, mode="eval").body, self.values)
        value = _rounded(value) if digits is None else round(value, digits)
        self.values[key] = value
        expression = re.sub(r"[A-Za-z_]\w*", lambda name: self._number(name[0]), formula)
        self.lines.append(Line(term=term, expression=expression, value=f"{value:f}", unit=unit))

    def sum_of(self, key: str, term: str, formulas: Sequence[str], unit: str = "") -> str:
        """The formula that adds up others; of many of them, after lines with the sums of parts."""
        size = 1
        while len(formulas) > MOST_TERMS:
            parts, size = [], size * MOST_TERMS
            for first in range(0, len(formulas), MOST_TERMS):
                part = formulas[first : first + MOST_TERMS]
                begin = first // MOST_TERMS * size + 1
                parts.append(f"{key}_{size}_{begin}")
                said = f"{term}, part of {size} from {begin}"
                self.worked(parts[-1], said, " + ".join(part), unit)
            formulas = parts
        return " + ".join(formulas) or "0"

    def _number(self, key: str) -> str:
        number = self.values[key]
        return f"({number:f})" if number < 0 else f"{number:f}"


def _rounded(number: Decimal) -> Decimal:
    """The number to twelve digits, without zeros at its end and without a sign on zero."""
    return _PRINTED.plus(number).normalize() + 0


def worked_out(expression: str) -> Decimal:
    """The value of an expression of numbers, + - * / and brackets.

    Raises:
        ValueError: it holds anything else.
    """
    with localcontext(_WORKED):
        return _value(ast.parse(expression, mode="eval").body, {})


def _value(node: ast.expr, values: Mapping[str, Decimal]) -> Decimal:
    match node:
        case ast.Name(id=key):
            return values[key]
        case ast.Constant(value=int() | float()):
            return Decimal(ast.unparse(node))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _value(left, values) + _value(right, values)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _value(left, values) - _value(right, values)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _value(left, values) * _value(right, values)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _value(left, values) / _value(right, values)
    raise ValueError(f"{ast.unparse(node)} is no number, sum, difference, product or quotient")

"""Conditions of a query or program against what the data holds: why a result is empty.

Promises: finds comparisons of a column with a constant (SQL through sqlglot, Python strings that hold SQL, pandas filters) and
says which constant no row meets, with the nearest real value. Says nothing rather than guess: conditions whose column cannot be
traced to a table of a data file, or that stand under NOT, are left out.
Does not cover: constants computed at run time, and conditions that fail only together (it says that they do).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from env.nearest import nearest
from env.tables import Column, Table, Value

HOLE = "__hole__"
"""Stands for the parts of an f-string that are known only at run time."""
_MOST = 12
_LOOKED_AT = 100
"""Comparisons of one query, and constants of one list: more would take seconds and say nothing more."""
_SIGNS: dict[type[exp.Expr], str] = {exp.EQ: "=", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<=", exp.Like: "LIKE"}
_MIRROR = {"=": "=", ">": "<", ">=": "<=", "<": ">", "<=": ">=", "LIKE": ""}


@dataclass(frozen=True)
class Condition:
    """`column <sign> one of the values`, in any of the tables that could be meant."""

    places: tuple[tuple[Table, Column], ...]
    sign: str
    values: tuple[Value, ...]
    fold: bool = False

    def unmet(self) -> bool:
        """No row of any place satisfies it; False also where finding out takes too long."""
        return all(table.matches(column, self.sign, value, fold=self.fold) is False
                   for table, column in self.places for value in self.values)

    def sentence(self) -> str:
        """What the column holds instead."""
        table, column = self.places[0]
        name, value = f"{table.name}.{column.name}", self.values[0]
        held = table.values(column, "", 5_000)
        if not held.counts:
            return f"{name} is empty."
        if self.sign not in ("=", "LIKE") or (held.numeric and not isinstance(value, str)):
            what = f"{value!r} does not occur in {name}" if self.sign == "=" else f"no {name} is {self.sign} {value!r}"
            return f"{what}: it goes from {held.low!r} to {held.high!r}."
        word = str(value).strip("%")
        near = nearest(word, (str(known) for known, _ in held.counts), 2)
        rest = f"nearest: {_join(near)}" if near else f"it holds e.g. {_join([str(known) for known, _ in held.counts[:3]])}"
        what = f"{value!r} does not occur in {name}" if self.sign == "=" else f"no {name} is like {value!r}"
        return f"{what}; {rest}."


def why_empty(conditions: list[Condition]) -> str:
    """One or two sentences, or an empty string when there is nothing to say."""
    unmet = [condition.sentence() for condition in conditions[:_MOST] if condition.unmet()]
    if unmet:
        return " ".join(sentence[0].upper() + sentence[1:] for sentence in dict.fromkeys(unmet[:2]))
    if len(conditions) > 1:
        return "Each condition is met by some row, but no row meets all of them together."
    return ""


def conditions_of(source: str, language: str, tables: list[Table]) -> list[Condition]:
    """The conditions of a program."""
    if language == "sql":
        return sql_conditions(source, tables)
    if language != "python":
        return []
    found = [condition for query in embedded_sql(source) for condition in sql_conditions(query, tables)]
    return found + pandas_conditions(source, tables)


def parse_sql(sql: str) -> list[exp.Expr]:
    """Statements of a query; none when sqlglot cannot read it."""
    try:
        return [statement for statement in sqlglot.parse(sql, read="sqlite") if statement is not None]
    except (SqlglotError, RecursionError):
        return []


def sources_of(select: exp.Expr) -> dict[str, str]:
    """Alias (or name) -> table name, of the tables directly in one SELECT; lower case keys."""
    return {table.alias_or_name.lower(): table.name for table in select.find_all(exp.Table)
            if table.find_ancestor(exp.Select) is select}


def sql_conditions(sql: str, tables: list[Table]) -> list[Condition]:
    """Comparisons of columns with constants in a query."""
    found = []
    for statement in parse_sql(sql):
        for node in islice(statement.find_all(*_SIGNS, exp.In), _LOOKED_AT):
            condition = _sql_condition(node, tables)
            if condition is not None and condition not in found:
                found.append(condition)
    return found


def _sql_condition(node: exp.Expr, tables: list[Table]) -> Condition | None:
    if node.find_ancestor(exp.Not):
        return None
    if isinstance(node, exp.In):
        sign, left, rights = "=", node.this, list(node.expressions)
    else:
        sign, left, rights = _SIGNS[type(node)], node.this, [node.expression]
        if isinstance(left, exp.Literal):
            sign, left, rights = _MIRROR[sign], rights[0], [left]
    fold = isinstance(left, exp.Lower | exp.Upper)
    column = left.this if fold else left
    values = tuple(_constant(right, tables) for right in rights) if len(rights) <= _LOOKED_AT else ()
    if not sign or not isinstance(column, exp.Column) or not values or any(value is None for value in values):
        return None
    place = _resolve(column, tables)
    return Condition((place,), sign, tuple(value for value in values if value is not None), fold) if place else None


def _constant(node: exp.Expr, tables: list[Table]) -> Value | None:
    negative = isinstance(node, exp.Neg)
    literal = node.this if negative else node
    if isinstance(literal, exp.Column) and not literal.table and literal.this.args.get("quoted"):
        known = any(table.column(literal.name) for table in tables)
        return None if known or HOLE in literal.name else str(literal.name)  # SQLite reads such a name as text
    if not isinstance(literal, exp.Literal) or HOLE in str(literal.this):
        return None
    if literal.is_string:
        return str(literal.this)
    try:
        number = float(literal.this)
    except ValueError:
        return None
    number = -number if negative else number
    return int(number) if number.is_integer() and "." not in str(literal.this) else number


def _resolve(column: exp.Column, tables: list[Table]) -> tuple[Table, Column] | None:
    """The table that a column of a query belongs to: the innermost SELECT that knows it."""
    by_name = {table.name.lower(): table for table in reversed(tables)}
    select = column.find_ancestor(exp.Select)
    while select is not None:
        for alias, name in sources_of(select).items():
            table = by_name.get(name.lower())
            if table is None or (column.table and column.table.lower() != alias):
                continue
            known = table.column(column.name)
            if known is not None:
                return table, known
        select = select.find_ancestor(exp.Select)
    return None


def embedded_sql(source: str) -> list[str]:
    """Strings in a Python program that look like queries; run-time parts of f-strings become a placeholder."""
    nodes = python_nodes(source)
    inside = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    texts = []
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            texts.append("".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            texts.append(node.value)
    return [text for text in texts if re.match(r"\s*(select|with)\b", text, re.IGNORECASE)]


def pandas_conditions(source: str, tables: list[Table]) -> list[Condition]:
    """Filters such as `frame["drug"] == "x"`, `.isin([...])` and `.str.contains("x")`."""
    found = []
    for node in python_nodes(source):
        for name, sign, values, fold in _pandas_filter(node):
            places = tuple((table, column) for table in tables if (column := table.column(name)))
            if places and values:
                found.append(Condition(places, sign, values, fold))
    return found


def _pandas_filter(node: ast.AST) -> Iterator[tuple[str, str, tuple[Value, ...], bool]]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        signs = {ast.Eq: "=", ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<="}
        name, fold = _column_name(node.left)
        sign, values = signs.get(type(node.ops[0]), ""), _constants([node.comparators[0]])
        if name and sign and values:
            yield name, sign, values, fold
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        name, fold = _column_name(node.func.value)
        argument = node.args[0]
        if name and node.func.attr == "isin" and isinstance(argument, ast.List | ast.Tuple | ast.Set):
            yield name, "=", _constants(argument.elts), fold
        elif name and node.func.attr == "contains":
            text = _constants([argument])
            if text and isinstance(text[0], str) and text[0] == re.escape(text[0]).replace("\\ ", " ").replace("\\-", "-"):
                yield name, "LIKE", (f"%{text[0]}%",), False


def _column_name(node: ast.expr) -> tuple[str, bool]:
    """`frame["x"]` -> x; through `.str`, `.str.lower()` and the like (then compared in lower case)."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return node.slice.value, False
    if isinstance(node, ast.Attribute) and node.attr == "str":
        return _column_name(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name, fold = _column_name(node.func.value)
        return (name, fold or node.func.attr != "strip") if node.func.attr in ("lower", "upper", "strip") else ("", False)
    return "", False


def _constants(nodes: list[ast.expr]) -> tuple[Value, ...]:
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    plain = [value for value in values if isinstance(value, str | int | float) and not isinstance(value, bool)]
    return tuple(plain) if len(plain) == len(nodes) <= _LOOKED_AT else ()


@lru_cache(maxsize=4)
def python_nodes(source: str) -> tuple[ast.AST, ...]:
    """Every node of a program, outermost first; none when it is not Python. One explanation asks several times."""
    try:
        return tuple(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()


def _join(values: list[str]) -> str:
    return ", ".join(repr(value if len(value) <= 60 else value[:57] + "...") for value in values)

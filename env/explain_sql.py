"""What an SQLite error message means for this query and this data, in one or two sentences.

Promises: grounded in the schema (nearest table or column, the table that really has a column); finds SQLite's message wherever
it stands, in a query's error or in a Python traceback around it.
Does not cover: other database engines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from sqlglot import exp

from env.literals import parse_sql
from env.nearest import nearest, suggestion
from env.tables import Table

_FUNCTIONS = {
    "year": "strftime('%Y', x)", "month": "strftime('%m', x)", "day": "strftime('%d', x)", "now": "datetime('now')",
    "getdate": "datetime('now')", "curdate": "date('now')", "extract": "strftime('%Y', x)", "to_char": "strftime(format, x)",
    "datediff": "julianday(a) - julianday(b)", "date_diff": "julianday(a) - julianday(b)", "age": "julianday(a) - julianday(b)",
    "timestampdiff": "julianday(a) - julianday(b)", "date_trunc": "strftime('%Y-%m', x)", "to_date": "date(x)",
    "date_add": "datetime(x, '+1 day')", "date_sub": "datetime(x, '-1 day')", "left": "substr(x, 1, n)",
    "right": "substr(x, -n)", "len": "length(x)", "isnull": "ifnull(x, y)", "nvl": "ifnull(x, y)", "greatest": "max(a, b)",
    "least": "min(a, b)", "std": "sqrt(avg(x*x) - avg(x)*avg(x))", "stddev": "sqrt(avg(x*x) - avg(x)*avg(x))",
    "median": "ORDER BY with LIMIT 1 OFFSET n/2", "string_agg": "group_concat(x)", "regexp": "LIKE",
}


def sql_cause(text: str, sql: Callable[[], str], tables: list[Table]) -> tuple[str, str, str]:
    """SQLite's message in `text`, the token at fault, and its explanation; three empty strings when there is none.

    `sql`: gives the query; asked only where there is a message.
    """
    for pattern, explain in _CAUSES:
        found = re.search(pattern, text)
        if found:
            token = next((group for group in found.groups() if group), "")
            message = found.group(0).split(" - should")[0].strip()
            return message, token, explain(token, sql(), tables)
    return "", "", ""


def tables_used(sql: str, tables: list[Table]) -> dict[str, Table]:
    """Alias or name (lower case) -> table, over the whole query, also one that does not parse."""
    by_name = {table.name.lower(): table for table in reversed(tables)}
    pairs = [(node.alias_or_name, node.name) for statement in parse_sql(sql) for node in statement.find_all(exp.Table)]
    if not pairs:
        named = re.findall(r"\b(?:from|join)\s+[\"`\[]?(\w+)[\"`\]]?(?:\s+(?:as\s+)?(\w+))?", sql, re.IGNORECASE)
        pairs = [(name, name) for name, _ in named] + [(alias, name) for name, alias in named if alias]
    return {alias.lower(): by_name[name.lower()] for alias, name in pairs if name.lower() in by_name}


def unconnected(sql: str) -> list[str]:
    """Tables joined without a condition in some SELECT of the query (the usual cause of an endless query)."""
    for statement in parse_sql(sql):
        for select in statement.find_all(exp.Select):
            for join in select.args.get("joins") or []:
                where = select.args.get("where")
                columns = {column.table.lower() for column in where.find_all(exp.Column)} if where else set()
                name = join.this.alias_or_name if isinstance(join.this, exp.Table) else ""
                if name and not join.args.get("on") and not join.args.get("using") and name.lower() not in columns:
                    return [table.name for table in select.find_all(exp.Table) if table.find_ancestor(exp.Select) is select]
    return []


def _no_column(token: str, sql: str, tables: list[Table]) -> str:
    qualifier, _, name = token.rpartition(".")
    used = tables_used(sql, tables)
    if qualifier and qualifier.lower() not in used:
        if qualifier.lower() in (table.name.lower() for table in tables):
            return f"Table {qualifier} is not in FROM: join it."
        return f"'{qualifier}' is not a table or alias in FROM." + suggestion(qualifier, used)
    among = [used[qualifier.lower()]] if qualifier else list(dict.fromkeys(used.values()))
    holders = [table.name for table in tables if table.column(name)]
    if holders and among:
        return f"{name} is a column of {', '.join(holders[:3])}, not of {', '.join(table.name for table in among)}."
    found = _nearest_columns(name, among or tables)
    if found:
        return f"Nearest: {', '.join(found)}."
    found = _nearest_columns(name, tables)
    if found:
        return f"Nearest: {', '.join(found)}."
    if re.search(rf"[\"`]{re.escape(name)}[\"`]", sql):
        return "Write text in single quotes."
    if len(among) == 1:
        return f"{among[0].name} has: {', '.join(column.name for column in among[0].columns[:12])}."
    return ""


def _nearest_columns(name: str, tables: list[Table]) -> list[str]:
    """`table.column` of the columns that resemble `name`."""
    return [found for close in nearest(name, (column.name for table in tables for column in table.columns))
            for found in (f"{table.name}.{close}" for table in tables if table.column(close))][:3]


def _no_table(token: str, sql: str, tables: list[Table]) -> str:
    hint = suggestion(token.split(".")[-1], (table.name for table in tables))
    return hint.strip() or ("Tables: " + ", ".join(table.name for table in tables[:12]) + "." if tables else
                            "The data holds no tables.")


def _ambiguous(token: str, sql: str, tables: list[Table]) -> str:
    holders = [f"{alias}.{token}" for alias, table in tables_used(sql, tables).items() if table.column(token)]
    return f"Say which: {' or '.join(holders[:3])}." if holders else "Put the table's name before it."


def _no_function(token: str, sql: str, tables: list[Table]) -> str:
    instead = _FUNCTIONS.get(token.lower())
    return f"SQLite has no {token}; use {instead}." if instead else f"SQLite has no {token}."


def _syntax(token: str, sql: str, tables: list[Table]) -> str:
    words = ("select", "from", "where", "group", "order", "having", "limit", "join", "inner", "left", "distinct", "between",
             "and", "like", "union", "case", "when", "then", "else", "end", "as", "on", "by", "desc", "asc", "count")
    for word in re.findall(r"[A-Za-z]{3,}", re.sub(r"'[^']*'|\"[^\"]*\"", "", sql)):
        close = nearest(word, words, 1)
        if close and abs(len(close[0]) - len(word)) <= 1 and close[0] != word.lower() and not _is_name(word, tables):
            return f"'{word}' looks like a misspelt {close[0].upper()}."
    if sql.count("(") != sql.count(")"):
        return f"Parentheses do not match: {sql.count('(')} opened, {sql.count(')')} closed."
    if sql.count("'") % 2:
        return "A single quote is not closed; write '' for a quote inside text."
    return f"Check what stands right before {token!r}: a missing comma, operator or keyword." if token else ""


def _is_name(word: str, tables: list[Table]) -> bool:
    return any(word.lower() == table.name.lower() or table.column(word) for table in tables)


def _say(sentence: str) -> Callable[[str, str, list[Table]], str]:
    return lambda token, sql, tables: sentence


def _causes() -> Iterator[tuple[str, Callable[[str, str, list[Table]], str]]]:
    yield r"no such column: (?:\"([^\"]+)\"|([^\s,;]+))[^\n]*", _no_column
    yield r"no such table: (\S+)", _no_table
    yield r"ambiguous column name: (\S+)", _ambiguous
    yield r"no such function: (\w+)", _no_function
    yield r"near \"([^\"]*)\": syntax error", _syntax
    yield r"(?:incomplete input|unrecognized token: \"[^\n]*)", _syntax
    yield r"misuse of (?:window function|aggregate)[^\n]*", _say(
        "Aggregates such as count() belong in SELECT or HAVING, not in WHERE.")
    yield r"wrong number of arguments to function (\w+)[^\n]*", _say("Check the function's arguments.")
    yield r"sub-select returns \d+ columns[^\n]*", _say("A subquery used as a value must select one column.")
    yield r"SELECTs to the left and right of \w+[^\n]*", _say("Both SELECTs must have equally many columns.")
    yield r"attempt to write a readonly database", _say("The data is read-only: write to /workspace instead.")
    yield r"not authorized[^\n]*", _say("Only reading is allowed: use SELECT.")
    yield r"You can only execute one statement at a time[^\n]*", _say("Send one statement.")
    yield r"Incorrect number of bindings supplied[^\n]*", _say("Give one value for each ? in the query, as a tuple: (x,).")


_CAUSES = tuple(_causes())

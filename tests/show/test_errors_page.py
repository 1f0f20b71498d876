"""The page of errors quotes lines that the code still raises."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def template(node, texts):
    """Return a message with ``…`` for each value that is filled in, but the texts that have a name."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part, texts) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left, texts) + template(node.right, texts)
    value = getattr(node, "value", node)
    return texts.get(value.id, "…") if isinstance(value, ast.Name) else "…"


def raised():
    """Return the templates of all errors that a user can meet: texts that have a name in a function are read there, or left open."""
    for path in (ROOT / "humalign").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            within = list(ast.walk(function))
            named = [node for node in within if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
            texts = {node.targets[0].id: template(node.value, {}) for node in named}
            for node in within:
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "HumalignError" and node.args:
                    yield from (template(node.args[0], {}), template(node.args[0], texts))


RAISED = set(raised())
TEXT = (ROOT / "book" / "errors.md").read_text("utf-8")
ROWS = [row for row in TEXT.splitlines() if row.startswith("| `")]
# A line that holds a backtick stands between two of them.
QUOTED = [re.match(r"\| (?:`` (?P<marked>.+?) ``|`(?P<plain>.+?)`) \| ", row) for row in ROWS]
QUOTED = [found["marked"] or found["plain"] for found in QUOTED]


@pytest.mark.parametrize("line", QUOTED)
def test_a_quoted_line_is_raised(line):
    assert line in RAISED


def test_each_line_has_its_meaning_and_stands_once():
    assert len(QUOTED) == len(set(QUOTED)) >= 30
    assert all(len(row.split(" | ")) == 2 for row in ROWS)

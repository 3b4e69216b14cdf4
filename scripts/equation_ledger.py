"""Write docs/EQUATIONS.md: every equation of the course, and where it is stated, computed, proven and taught.

    python scripts/equation_ledger.py          write the table
    python scripts/equation_ledger.py --check  exit with 1 when the table is out of date

An equation has an id such as EQ-MAML-1. It is *defined* where a docstring of the package says ``EQ-MAML-1: formula``,
or gives it a line of its own, ``EQ-MAML-1   formula``.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "EQUATIONS.md"
ID = re.compile(r"EQ-[A-Z0-9]+-\d+")
DEFINED = re.compile(r"(EQ-[A-Z0-9]+-\d+)(?::\s+|\s{2,})(\S.*?)(?=\.?\s*$|\s{3,}|;|\.\s)", re.MULTILINE)
HEAD = """# Equations

Every equation of the course has an id. It stands in the notebook, in the docstring of the code that is it, and in the
test that proves it. This table is made by `python scripts/equation_ledger.py`; a test fails when it is incomplete.

| id | formula | code | test | notebook |
|---|---|---|---|---|
"""


@dataclass
class Equation:
    """One row of the table."""

    formula: str = ""
    code: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    notebooks: list[str] = field(default_factory=list)

    def missing(self) -> list[str]:
        """What a complete row has and this one has not; notebooks are asked for elsewhere."""
        return [name for name in ("formula", "code", "tests") if not getattr(self, name)]


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """(qualified name, docstring) of a module, its classes and functions; "" for the module itself."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield prefix, text
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                yield from walk(child, f"{prefix}.{child.name}".lstrip("."))

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), "")


def functions(path: Path) -> Iterator[tuple[str, str]]:
    """(name, source) of a module's test functions: their docstrings and comments may name equations."""
    source = path.read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name, "\n".join(source.splitlines()[node.lineno - 1 : node.end_lineno])


def ledger() -> dict[str, Equation]:
    """All equations by id."""
    found: dict[str, Equation] = {}
    for path in sorted((ROOT / "metadialog_lite").rglob("*.py")):
        for name, text in docstrings(path):
            place = path.relative_to(ROOT / "metadialog_lite").as_posix() + (f" `{name}`" if name else "")
            defined = dict(DEFINED.findall(text))
            for id_ in sorted(set(ID.findall(text))):
                row = found.setdefault(id_, Equation())
                row.formula = row.formula or defined.get(id_, "")
                row.code.append(place)
    for row in found.values():  # a module's introduction counts only where no function or class names the equation
        row.code = [place for place in row.code if "`" in place] or row.code
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, text in functions(path):
            for id_ in sorted(set(ID.findall(text)) & found.keys()):
                found[id_].tests.append(f"{path.name} `{name}`")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "".join("".join(cell["source"]) for cell in cells)
        for id_ in sorted(set(ID.findall(text)) & found.keys()):
            found[id_].notebooks.append(path.stem)
    return found


def render() -> str:
    """The table as Markdown."""
    lines = []
    for id_, row in sorted(ledger().items()):
        cells = (f"`{row.formula}`", *("<br>".join(part) for part in (row.code, row.tests, row.notebooks)))
        lines.append("| " + " | ".join((id_, *(cell.replace("|", "\\|") or "–" for cell in cells))) + " |")
    return HEAD + "\n".join(lines) + "\n"


def main() -> int:
    """Write or check the table."""
    text = render()
    if "--check" in sys.argv:
        return int(not TABLE.exists() or TABLE.read_text(encoding="utf-8") != text)
    TABLE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

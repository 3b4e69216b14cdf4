"""Write constraints.txt: one exact, tested set of versions for every Python we support.

First let pip say, for the oldest Python and for the one the tests run on, what it would install::

    python3.10 -m pip install --dry-run --ignore-installed --report py310.json ".[dev,corpora,classroom,sweep]"
    python3.11 -m pip install --dry-run --ignore-installed --report py311.json ".[dev,corpora,classroom,sweep]"
    python scripts/freeze_constraints.py py310.json py311.json

Where the two differ (a project has dropped Python 3.10), both versions are written, each with its marker.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import typer

HEADER = """\
# Exact versions the tests ran with: pip install -c constraints.txt -e ".[corpora]"
# Made by scripts/freeze_constraints.py from two pip reports; pyproject.toml holds the ranges.
"""
#: torch itself says which of these its build needs, and they differ from one kind of machine to the next
LEFT_TO_TORCH = re.compile(r"(nvidia-|cuda-|triton)")


def read_report(path: Path) -> dict[str, str]:
    """Name -> version of what a ``pip install --report`` would install, without us and without build tags (+cpu)."""
    items = [item["metadata"] for item in json.loads(path.read_text(encoding="utf-8"))["install"]]
    versions = {re.sub(r"[-_.]+", "-", item["name"]).lower(): item["version"].split("+")[0] for item in items}
    return {k: v for k, v in versions.items() if k != "metadialog-lite" and not LEFT_TO_TORCH.match(k)}


def merge(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """The lines of constraints.txt; ``old`` is Python 3.10, ``new`` everything later."""
    lines = []
    for name in sorted({*old, *new}):
        if name in old and name in new and old[name] != new[name]:
            lines.append(f'{name}=={old[name]}; python_version < "3.11"')
            lines.append(f'{name}=={new[name]}; python_version >= "3.11"')
        else:
            lines.append(f"{name}=={new.get(name) or old[name]}")
    return lines


def main(py310: Path, py311: Path, out: Path = Path("constraints.txt")) -> None:
    """Merge the two reports into OUT."""
    lines = merge(read_report(py310), read_report(py311))
    out.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    typer.echo(f"{out}: {len(lines)} lines")


if __name__ == "__main__":
    typer.run(main)

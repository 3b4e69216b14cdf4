"""The settings of a sweep: ``inner_lr=0.01,0.03 learner=maml,reptile seed=0..4``, or the same in a YAML file."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from metadialog_lite.runs.notebook import NotebookError, Runnable
from metadialog_lite.runs.values import as_range

#: The most runs of one sweep; more is a slip of the keyboard.
MOST_RUNS = 100_000
_ITEM = r'"(?:\\.|[^"\\])*"|\'[^\']*\'|[^\s,"\']+'
_PAIR = re.compile(rf"(\w+)=((?:{_ITEM})(?:,(?:{_ITEM}))*)(?=\s|$)")


def grid_of_text(text: str, notebook: Runnable) -> dict[str, list[Any]]:
    """``"learner=maml,reptile seed=0..4 name='a b'"`` -> name -> values. Quotes protect blanks and commas.

    Double quotes know JSON's escapes such as ``\\n``; between single quotes every sign is itself.

    Raises:
        NotebookError: for what cannot be read, unknown names and wrong types.
    """
    grid: dict[str, list[Any]] = {}
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        found = _PAIR.match(text, at)
        if not found:
            raise NotebookError(f"--grid: cannot read '{text[at:].split()[0]}'; expected NAME=VALUE,VALUE …, such as "
                                "inner_lr=0.01,0.03 seed=0..4 (a text with blanks or commas in quotes)")
        name, items = found[1], re.findall(_ITEM, found[2])
        _once(name, grid)
        grid[name] = [value for item in items for value in _values_of_text(name, item, notebook)]
        at = found.end()
    return grid


def _values_of_text(name: str, item: str, notebook: Runnable) -> list[Any]:
    known = notebook.declared.get(name)
    try:
        if item[0] == '"':
            item = json.loads(item, strict=False)
        elif item[0] == "'":
            item = item[1:-1]
        elif known is not None and known.kind == "int" and (numbers := as_range(item)) is not None:
            return [notebook.take({name: number})[name] for number in numbers]
    except ValueError as error:
        raise NotebookError(f"--grid: {name}: {error}") from error
    return [notebook.read({name: item})[name]]


def grid_of_file(path: Path, notebook: Runnable) -> dict[str, list[Any]]:
    """A YAML file ``name: value`` or ``name: [value, value]``; whole numbers may be ranges such as ``0..4``.

    Raises:
        NotebookError: naming the file and each culprit.
    """
    grid: dict[str, list[Any]] = {}
    faults = []
    for name, value in yaml_mapping(path).items():
        known = notebook.declared.get(name)
        several = isinstance(value, list) and (known is None or known.kind != "list" or
                                               any(isinstance(each, list) for each in value))
        try:
            spelled = as_range(value) if isinstance(value, str) and known and known.kind == "int" else None
            values = spelled if spelled is not None else value if several else [value]
            if not values:
                raise NotebookError(f"{name}: an empty list; give at least one value")
            grid[name] = [notebook.take({name: each})[name] for each in values]
        except NotebookError as error:
            faults.append(str(error))
        except ValueError as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise NotebookError("\n".join(f"{path}: {fault}" for fault in dict.fromkeys(faults)))
    return grid


def yaml_mapping(path: Path) -> dict[str, Any]:
    """A YAML file with names and values. Raises NotebookError naming the file and the line."""
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotebookError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise NotebookError(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict) or not all(isinstance(name, str) for name in loaded):
        raise NotebookError(f"{path}: expected lines such as 'seed: 0..4' or 'learner: [maml, reptile]'")
    return loaded


def settings(notebook: Runnable, *grids: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Every combination of all values, each one checked; the last name changes fastest. Equal ones come once.

    Raises:
        NotebookError: a name in two grids, too many runs, or the notebook's own check fails; the first five culprits.
    """
    grid: dict[str, list[Any]] = {}
    for each in grids:
        for name, values in each.items():
            _once(name, grid)
            grid[name] = list(values)
    number = math.prod(len(values) for values in grid.values())
    if number > MOST_RUNS:
        raise NotebookError(f"this grid has {number:,} runs; at most {MOST_RUNS:,} are possible")
    every = [dict(zip(grid, chosen, strict=True)) for chosen in itertools.product(*grid.values())]
    every = list({json.dumps(one, sort_keys=True): one for one in every}.values())
    faults: dict[str, None] = {}
    for one in every:
        try:
            notebook.check(one)
        except NotebookError as error:
            faults |= dict.fromkeys(str(error).splitlines())
            if len(faults) >= 5:
                break
    if faults:
        raise NotebookError("\n".join(faults))
    return every


def _once(name: str, grid: Mapping[str, list[Any]]) -> None:
    if name in grid:
        raise NotebookError(f"{name}: given twice, as {', '.join(map(str, grid[name]))} and again")

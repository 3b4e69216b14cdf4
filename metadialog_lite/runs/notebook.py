"""A notebook as something that can be run: its parameters, and values checked against them before it starts.

papermill itself only warns about an unknown name and lets a wrong type fail in some later cell.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from pydantic import ValidationError

from metadialog_lite.lab.launch_copy import CopyError, find_notebook
from metadialog_lite.lab.parameters import ParameterError, Parameters, parameters
from metadialog_lite.paths import notebooks_dir
from metadialog_lite.runs.values import checked, from_text

#: The parameter by which a notebook is told where to write its result; a sweep sets it for each run.
RESULT = "result_path"
#: What decides whether a world or corpus is there and large enough.
SOURCE = ("world", "corpus", "shots", "query_turns")


class NotebookError(ValueError):
    """The notebook can't be found, read or told anything; the message says what would be right."""


@dataclass(frozen=True)
class Declared:
    """One parameter of the notebook's ``parameters`` cell."""

    name: str
    kind: str  # int, float, str, bool, list, dict, or what else the cell says
    default: Any
    help: str


@dataclass(frozen=True)
class Runnable:
    """A notebook file with its declared parameters."""

    path: Path
    node: NotebookNode

    @cached_property
    def declared(self) -> dict[str, Declared]:
        """Name -> declared parameter, in the order of the cell."""
        import papermill

        found = papermill.inspect_notebook(self.node)
        return {name: _declared(entry) for name, entry in found.items()}

    @property
    def defaults(self) -> dict[str, Any]:
        """Name -> default value."""
        return {name: each.default for name, each in self.declared.items()}

    @cached_property
    def source(self) -> str:
        """The notebook without outputs, as the text that is shipped to a worker; part of a run's id."""
        bare = nbformat.from_dict(json.loads(json.dumps(self.node)))
        for cell in bare.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        return str(nbformat.writes(bare))

    @cached_property
    def imports(self) -> list[str]:
        """Modules that the cells import, in their order: what a warm process should have imported already."""
        return list(dict.fromkeys(name for body in self._trees() for name in _imported(body)))

    def read(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Values from texts (``-p name value``). Raises NotebookError with a line for each culprit."""
        return self._each(texts, from_text)

    def take(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values from a YAML file or from Python, as the declared types. Raises NotebookError."""
        return self._each(values, checked)

    def _each(self, values: Mapping[str, Any], convert: Any) -> dict[str, Any]:
        faults, result = [], {}
        for name, value in values.items():
            known = self.declared.get(name)
            if known is None:
                faults.append(f"{name}: there is no such parameter in {self.path.name}{self._nearest(name)}")
                continue
            try:
                result[name] = convert(value, known.kind)
            except ValueError as error:
                faults.append(f"{name}: {error}")
        if faults:
            raise NotebookError("\n".join(faults))
        return result

    def check(self, values: Mapping[str, Any]) -> None:
        """Ranges, too: by the kind of parameters that the notebook itself calls, if it does (see ``parameters``).

        Raises:
            NotebookError: with a line for each culprit.
        """
        kind = self.kind
        if kind is None:
            return
        told = {name: value for name, value in {**self.defaults, **values}.items() if name != RESULT}
        source = repr([told.get(name) for name in SOURCE])
        try:
            if source in self._found:  # a world is read once and not for each of ten thousand settings
                with contextlib.suppress(ValidationError):
                    kind.model_validate(told)
                    return
            parameters(None, kind, **told)
        except ParameterError as error:
            raise NotebookError(str(error)) from error
        self._found.add(source)

    @cached_property
    def _found(self) -> set[str]:
        return set()

    @cached_property
    def kind(self) -> type[Parameters] | None:
        """The class in the notebook's own ``parameters(globals(), KIND)``; only this package is asked for it."""
        homes: dict[str, str] = {}
        for tree in self._trees():
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "metadialog_lite":
                    homes |= {alias.asname or alias.name: str(node.module) for alias in node.names}
                called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id
                if called != "parameters" or "parameters" not in homes or not isinstance(node, ast.Call):
                    continue
                if len(node.args) < 2:
                    return Parameters
                if isinstance(node.args[1], ast.Name) and node.args[1].id in homes:
                    name = node.args[1].id
                    found = getattr(import_module(homes[name]), name)
                    return found if isinstance(found, type) and issubclass(found, Parameters) else None
        return None

    def _trees(self) -> Iterator[ast.Module]:
        for cell in self.node.cells:
            if cell.cell_type == "code":
                try:
                    yield ast.parse(cell.source)
                except SyntaxError:  # %magic and the like
                    continue

    def _nearest(self, name: str) -> str:
        names = [known for known in self.declared if known != RESULT]
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        return f"; did you mean {' or '.join(near)}?" if near else f"; known are {', '.join(names) or 'none'}"


def load_notebook(name: str) -> Runnable:
    """A notebook by its path, or a shipped one by its name (``05``, ``experiment``).

    Raises:
        NotebookError: when there is none, it cannot be read, or it has no parameters cell.
    """
    path = Path(name)
    if not path.is_file():
        try:
            path = notebooks_dir() / find_notebook(notebooks_dir(), name)
        except CopyError as error:
            raise NotebookError(f"{name}: no such file, and {error}") from error
    try:
        node = nbformat.read(path, as_version=4)
        nbformat.validate(node)
    except OSError as error:
        raise NotebookError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # nbformat raises many kinds of its own for a broken file
        raise NotebookError(f"{path}: is no notebook ({str(error).splitlines()[0]})") from error
    if not any("parameters" in cell.metadata.get("tags", []) for cell in node.cells):
        raise NotebookError(f"{path}: has no cell with the tag 'parameters'; tag the cell that sets them "
                            "(in JupyterLab: property inspector, cell tags)")
    return Runnable(path, node)


def _declared(entry: Mapping[str, Any]) -> Declared:
    text, kind = str(entry["default"]), str(entry["inferred_type_name"])
    try:
        default = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        default = text
    if kind == "None":
        kind = type(default).__name__
    if kind == "float" and type(default) is int:
        default = float(default)
    return Declared(str(entry["name"]), kind, default, str(entry["help"]))


def _imported(body: ast.Module) -> Iterator[str]:
    for node in ast.walk(body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module

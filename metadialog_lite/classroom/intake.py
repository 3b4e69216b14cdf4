"""What students hand in: finding it, reading it carefully, and fitting their cells into the released notebook.

Two layouts are understood: ``STUDENT/ASSIGNMENT/NOTEBOOK.ipynb`` (nbgrader's) and ``STUDENT/NOTEBOOK.ipynb``. The
notebook must have the assignment's name. Links are never followed, and other files are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import nbformat
from nbformat import NotebookNode

from metadialog_lite.classroom.assignments import ClassroomError

LARGEST = 100_000_000  # bytes of one notebook, outputs included
_NAME = re.compile(r"[\w.@ -]*\w[\w.@ -]*")


@dataclass
class Submission:
    """One student's work on one assignment: the file, or why there is none that could be graded."""

    student: str
    assignment: str
    path: Path | None = None
    problem: str = ""
    notes: list[str] = field(default_factory=list)


def plain(student: str) -> bool:
    """Whether a folder's name can be a student's name in the gradebook."""
    return bool(_NAME.fullmatch(student))


def folder_name(student: str) -> str:
    """A name for a folder of our own, whatever the submitted folder is called."""
    return student if plain(student) else quote(student, safe="")


def find(folder: Path, names: Sequence[str]) -> list[Submission]:
    """Every student of the folder with every assignment that this student has handed something in for.

    Raises:
        ClassroomError: no such folder, or nobody is in it.
    """
    if not folder.is_dir():
        raise ClassroomError(f"{folder}: no such folder; expected one folder a student, with notebooks in it")
    students = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
    if not students:
        raise ClassroomError(f"{folder}: nobody there; expected STUDENT/NOTEBOOK.ipynb or "
                             "STUDENT/ASSIGNMENT/NOTEBOOK.ipynb")
    return [submission for student in students for submission in _of(student, names)]


def _of(student: Path, names: Sequence[str]) -> Iterator[Submission]:
    if student.is_symlink() or not plain(student.name):
        why = "it is a link" if student.is_symlink() else "use letters, digits, blanks and . _ - @ only"
        yield Submission(student.name, names[0], problem=f"the folder can't be a student's: {why}")
        return
    found: dict[str, Path] = {}
    other: list[str] = []
    for path in sorted(student.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        if path.stem in names and path.parent in (student, student / path.stem):
            found.setdefault(path.stem, path)
        else:
            other.append(path.relative_to(student).as_posix())
    for name in names:
        if name in found:
            yield Submission(student.name, name, found[name])
        elif (student / name).is_dir() or (not found and name == names[0]):
            seen = f"; found {', '.join(other[:3])}: was it renamed?" if other else ""
            wanted = f"{name}.ipynb" if (student / name).is_dir() or len(names) == 1 else " or ".join(
                f"{each}.ipynb" for each in names)
            yield Submission(student.name, name, problem=f"no notebook {wanted}{seen}")


def read(path: Path) -> NotebookNode:
    """A submitted notebook.

    Raises:
        ClassroomError: it is a link, too large, or not a notebook.
    """
    try:
        if path.is_symlink() or any(parent.is_symlink() for parent in list(path.parents)[:2]):
            raise ClassroomError("it is a link, not a file")
        if (size := path.stat().st_size) > LARGEST:
            raise ClassroomError(f"{size / 1e6:.0f} MB; at most {LARGEST / 1e6:.0f} MB are read")
        text = path.read_text(encoding="utf-8")
        if not text.strip():
            raise ClassroomError("the file is empty")
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
        return notebook
    except ClassroomError as error:
        raise ClassroomError(f"{path.name}: {error}") from error
    except Exception as error:  # JSON, encoding, schema, recursion: whatever makes it no notebook
        line = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise ClassroomError(f"{path.name} is not a notebook: {line}") from error


def fit(submitted: NotebookNode, released: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """The released notebook with the student's own cells in it, and notes about what was missing.

    Tests and other locked cells come from the release, solutions from the student by their nbgrader name. Cells without
    such a name (added ones, or one whose mark was lost) stay where they were: after the marked cell before them.
    """
    mine: dict[str, NotebookNode] = {}
    loose: dict[str, list[NotebookNode]] = {"": []}
    at = ""
    for cell in submitted.cells:
        cell = deepcopy(cell)
        marks = cell.metadata.pop("nbgrader", None)
        name = str(marks.get("grade_id", "")) if isinstance(marks, dict) else ""
        if name and name not in mine and any(_name(other) == name for other in released.cells):
            mine[name], at = cell, name
            loose[name] = []
        else:
            loose[at].append(cell)
    result, notes = deepcopy(released), []
    cells = list(loose[""])
    for cell in result.cells:
        if not (name := _name(cell)):
            continue
        if name not in mine:
            notes.append(f"cell {name} was missing" + ("" if _solution(cell) else " and was put back"))
            if _solution(cell):
                cell.source = f"# The cell {name} was missing from the submission."
        elif _solution(cell):
            cell.source = mine[name].source
        elif cell.source.strip() != mine[name].source.strip():
            notes.append(f"cell {name} was changed and was put back")
        cells += [cell, *loose.get(name, [])]
    result.cells = cells
    return _distinct(result), notes


def _name(cell: NotebookNode) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def _solution(cell: NotebookNode) -> bool:
    return bool(cell.metadata.nbgrader.get("solution"))


def _distinct(notebook: NotebookNode) -> NotebookNode:
    """No outputs, and cell ids that differ: students copy cells."""
    seen: set[str] = set()
    for number, cell in enumerate(notebook.cells):
        if cell.get("id") in seen or not cell.get("id"):
            cell.id = f"cell-{number}"
        seen.add(cell.id)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook

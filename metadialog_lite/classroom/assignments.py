"""From one source to what students get and what instructors keep.

A source is a notebook in ``notebooks/exercises/`` with nbgrader's marks: solution regions (``### BEGIN SOLUTION``) and
hidden tests (``### BEGIN HIDDEN TESTS``). It runs as it stands, so its own tests prove that the solution passes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from metadialog_lite.paths import notebooks_dir

#: What stands in a student's copy where the solution stood.
STUB = ("# YOUR CODE HERE\n"
        'raise NotImplementedError("Not written yet: put your own code here, run this cell, then the cell below it.")')
INSTALL = 'pip install "metadialog-lite[classroom]"'
RELEASE, SOLUTIONS = "release", "solutions"
_MARKS = re.compile(r"^\s*### (BEGIN|END) SOLUTION\s*$", re.MULTILINE)


class ClassroomError(Exception):
    """Bad input of an instructor; the message names it and says what would be right."""


def need_nbgrader() -> None:
    """Raises ClassroomError where nbgrader is not installed."""
    try:
        import nbgrader  # noqa: F401
    except ImportError as error:
        raise ClassroomError(f"nbgrader is not installed ({error}): {INSTALL}") from error


def exercises_dir() -> Path:
    """The folder of the shipped sources."""
    return notebooks_dir() / "exercises"


def sources(folder: Path | None = None) -> dict[str, Path]:
    """Assignment's name → its source notebook, sorted.

    Raises:
        ClassroomError: the folder has no notebooks.
    """
    where = folder or exercises_dir()
    found = {path.stem: path for path in sorted(where.glob("*.ipynb"))}
    if not found:
        raise ClassroomError(f"{where}: no assignment there; expected source notebooks such as "
                             "a1_inner_and_outer.ipynb")
    return found


def config() -> Any:
    """nbgrader's settings of this course."""
    from traitlets.config import Config

    c = Config()
    c.ClearSolutions.code_stub = {"python": STUB}
    c.ClearSolutions.text_stub = "*Write your answer here.*"
    return c


def release(source: Path) -> NotebookNode:
    """What students get: stubs for solutions, no hidden tests, no outputs. The source is left as it is.

    Raises:
        ClassroomError: a mark is wrong (a solution without its end, two cells of one name …).
    """
    need_nbgrader()
    from nbgrader import preprocessors as steps

    # The same steps, in the same order, as nbgrader's generate_assignment takes without a gradebook.
    return _preprocessed(source, (
        steps.LockCells, steps.ClearSolutions, steps.ClearOutput, steps.CheckCellMetadata, steps.ComputeChecksums,
        steps.ClearHiddenTests, steps.ClearMarkScheme, steps.ComputeChecksums, steps.CheckCellMetadata))


def solution(source: Path) -> NotebookNode:
    """The source without hidden tests and without nbgrader's marks: to read and to show after the deadline."""
    need_nbgrader()
    from nbgrader import preprocessors as steps

    notebook = _preprocessed(source, (steps.ClearHiddenTests, steps.ClearMarkScheme, steps.ClearOutput))
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)
        cell.source = re.sub(r"\n{3,}", "\n\n", _MARKS.sub("", cell.source)).strip()
        cell.source = re.sub(r"\n\n(?=    \S)", "\n", cell.source)
    return notebook


def _preprocessed(source: Path, steps: tuple[Any, ...]) -> NotebookNode:
    notebook = nbformat.read(source, as_version=4)
    resources: dict[str, Any] = {"nbgrader": {"notebook": source.stem, "assignment": source.stem}}
    try:
        for step in steps:
            notebook, resources = step(config=config()).preprocess(notebook, resources)
    except Exception as error:  # nbgrader raises RuntimeError, ValidationError, KeyError …
        raise ClassroomError(f"{source}: {error}; see nbgrader's manual for its marks and cell names") from error
    return notebook


def text_of(notebook: NotebookNode) -> str:
    """A notebook as the text of its file."""
    return nbformat.writes(notebook) + "\n"


def write_both(folder: Path | None = None, out: Path | None = None) -> list[Path]:
    """Write ``release/NAME.ipynb`` and ``solutions/NAME.ipynb`` for every source; returns what was written."""
    written = []
    for name, source in sources(folder).items():
        for kind, made in ((RELEASE, release(source)), (SOLUTIONS, solution(source))):
            target = (out or source.parent) / kind / f"{name}.ipynb"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text_of(made), encoding="utf-8")
            written.append(target)
    return written

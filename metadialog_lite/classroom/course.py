"""The nbgrader course folder: source/, release/, solutions/, submitted/, autograded/, feedback/ and gradebook.db.

The folder is nbgrader's own layout, so an instructor may go on with nbgrader's commands and its formgrader.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metadialog_lite.classroom import assignments
from metadialog_lite.classroom.assignments import ClassroomError

CONFIG_FILE = "nbgrader_config.py"
_CONFIG_TEXT = '''# The settings of this course for nbgrader's own commands, run in this folder.
c = get_config()
c.CourseDirectory.course_id = "metadialog-lite"
c.ClearSolutions.code_stub = {stub!r}
c.OverwriteCells.add_missing_cells = True
'''


class Course:
    """A course folder. Nothing outside it is written."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()

    @property
    def database(self) -> str:
        """The gradebook's address for nbgrader."""
        return f"sqlite:///{self.folder / 'gradebook.db'}"

    def path(self, step: str, student: str, assignment: str) -> Path:
        """``COURSE/submitted/STUDENT/ASSIGNMENT`` and the like."""
        return self.folder / step / student / assignment

    def notebook(self, step: str, student: str, assignment: str) -> Path:
        """The notebook in that folder: it has the assignment's name."""
        return self.path(step, student, assignment) / f"{assignment}.ipynb"

    def names(self) -> list[str]:
        """The assignments of this course.

        Raises:
            ClassroomError: the folder is not a course that ``course release`` has made.
        """
        found = sorted(path.parent.name for path in (self.folder / "source").glob("*/*.ipynb"))
        if not found or not (self.folder / "gradebook.db").exists():
            raise ClassroomError(f"{self.folder} is not a course folder: make one with metadialog-lite course release")
        return found

    def converter(self, kind: str, **settings: Any) -> Any:
        """One of nbgrader's converters (GenerateAssignment, Autograde, GenerateFeedback) for this folder."""
        from nbgrader import converters
        from nbgrader.coursedir import CourseDirectory

        c = assignments.config()
        c.CourseDirectory.root = str(self.folder)
        c.CourseDirectory.db_url = self.database
        for name, value in settings.items():
            c.CourseDirectory[name] = value
        c.HTMLExporter.sanitize_html = True  # feedback shows what a student's code printed: no scripts in it
        c.HTMLExporter.mathjax_url = c.HTMLExporter.require_js_url = c.HTMLExporter.jquery_url = ""
        return getattr(converters, kind)(coursedir=CourseDirectory(config=c), config=c, force=True)


def build(folder: Path, source_folder: Path | None = None) -> Course:
    """Make (or bring up to date) a course folder with every assignment; submissions and grades in it stay.

    Raises:
        ClassroomError: nbgrader is missing, a source is wrong, or the folder holds something else.
    """
    assignments.need_nbgrader()
    course, found = Course(folder), assignments.sources(source_folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / CONFIG_FILE).exists():
        raise ClassroomError(f"{folder} is not empty and not a course: give an empty or a new folder")
    if any(course.folder.is_relative_to(path.parent.resolve()) for path in found.values()):
        raise ClassroomError(f"{folder} lies inside the folder of the sources: give another one")
    for name, source in found.items():
        target = course.folder / "source" / name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    (course.folder / CONFIG_FILE).write_text(_CONFIG_TEXT.format(stub={"python": assignments.STUB}), encoding="utf-8")
    with quiet_nbgrader(course.folder) as said:
        for name in found:
            try:
                course.converter("GenerateAssignment", assignment_id=name).start()
            except Exception as error:  # NbGraderException and whatever its steps raise
                raise ClassroomError(f"assignment {name}: {error}\n" + "\n".join(said[-3:])) from error
    for name, source in found.items():
        target = course.folder / assignments.SOLUTIONS / name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(assignments.text_of(assignments.solution(source)), encoding="utf-8")
    return course


@contextmanager
def quiet_nbgrader(folder: Path) -> Iterator[list[str]]:
    """nbgrader's messages go into a list, not to the terminal; Jupyter's own files into ``folder/.jupyter``."""
    said: list[str] = []

    class Listen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    log, home = logging.getLogger("traitlets"), folder / ".jupyter"
    listen, level, spread = Listen(logging.WARNING), log.level, log.propagate
    names = ("PATH", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    before = {name: os.environ.get(name) for name in names}
    log.addHandler(listen)
    log.setLevel(logging.WARNING)
    log.propagate = False
    os.environ.update(dict.fromkeys(names[1:], str(home)))
    # nbgrader calls alembic by its name, which is found only where the virtual environment is activated.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before["PATH"] or os.defpath])
    try:
        with warnings.catch_warnings():  # nbgrader's database layer warns about itself
            warnings.simplefilter("ignore")
            yield said
    finally:
        log.removeHandler(listen)
        log.setLevel(level)
        log.propagate = spread
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

"""Grade a folder of submissions with nbgrader; each runs by itself, under limits, and is watched."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

import metadialog_lite
from metadialog_lite.classroom import intake
from metadialog_lite.classroom.assignments import ClassroomError, need_nbgrader
from metadialog_lite.classroom.course import Course, quiet_nbgrader
from metadialog_lite.classroom.execute import error
from metadialog_lite.classroom.intake import Submission
from metadialog_lite.classroom.limits import STOPPED, Limits, Ran, run_limited
from metadialog_lite.classroom.watch import Watch

GRADED, VOIDED, NOT_GRADED = "graded", "voided", "not graded"
REPORTS = "reports"


@dataclass
class Report:
    """What an instructor reads about one submission."""

    student: str
    assignment: str
    status: str
    reason: str
    score: float = 0.0
    max_score: float = 0.0
    seconds: float = 0.0

    def line(self) -> str:
        """One line for the terminal."""
        return (f"{self.student}, {self.assignment}: {self.score:g} of {self.max_score:g} ({self.status}, "
                f"{self.seconds:.0f} s) {self.reason}")


def grade(course: Course, folder: Path, limits: Limits | None = None) -> Iterator[Report]:
    """Grade every submission of the folder, one after the other; a report after each. The batch always finishes.

    Args:
        course: the course folder that ``course release`` has made.
        folder: STUDENT/NOTEBOOK.ipynb or STUDENT/ASSIGNMENT/NOTEBOOK.ipynb; it is only read.
        limits: what one submission may use.

    Raises:
        ClassroomError: nbgrader is missing, no course, no submissions, or a system without such limits (Windows).
    """
    if sys.platform == "win32":
        raise ClassroomError("grading needs Linux or macOS: Windows has no such limits on CPU and file size. Use WSL "
                             "or a container")
    need_nbgrader()
    found, folder = intake.find(folder, course.names()), folder.resolve()
    if folder.is_relative_to(course.folder) or course.folder.is_relative_to(folder):
        raise ClassroomError(f"{folder}: keep the submissions outside the course folder {course.folder}")
    watched = [course.folder, folder, Path(metadialog_lite.__file__).parent]
    for submission in found:
        one = _One(course, submission, limits or Limits(), watched)
        with quiet_nbgrader(course.folder) as said:
            report = one.grade(said)
        target = course.folder / REPORTS / intake.folder_name(report.student) / f"{report.assignment}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(asdict(report), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        yield report


class _One:
    """The grading of one submission."""

    def __init__(self, course: Course, submission: Submission, limits: Limits, watched: list[Path]):
        self.course, self.submission, self.limits, self.watched = course, submission, limits, watched
        self.status, self.reason, self.seconds = GRADED, "", 0.0

    def grade(self, said: list[str]) -> Report:
        name, student = self.submission.assignment, self.submission.student
        try:
            if self.submission.problem or self.submission.path is None:
                raise ClassroomError(self.submission.problem)
            released = nbformat.read(self.course.notebook("release", ".", name), as_version=4)
            fitted, notes = intake.fit(intake.read(self.submission.path), released)
            self._hand_over(fitted)
            self._autograde(said)
        except ClassroomError as problem:
            notes, self.status, self.reason = [], NOT_GRADED, str(problem)
        score, most, failed = self._scores()
        reasons = [self.reason, *notes, *failed] if self.status != VOIDED else [self.reason]
        text = "; ".join(filter(None, reasons)) or "all tests passed"
        return Report(student, name, self.status, text, score, most, round(self.seconds, 1))

    def _hand_over(self, fitted: NotebookNode) -> None:
        folder = self.course.path("submitted", self.submission.student, self.submission.assignment)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        nbformat.write(fitted, folder / f"{self.submission.assignment}.ipynb")

    def _autograde(self, said: list[str]) -> None:
        from nbgrader import preprocessors as steps

        grader = self.course.converter("Autograde", student_id=self.submission.student,
                                       assignment_id=self.submission.assignment)
        grader.permissions = 644
        grader.autograde_preprocessors = [self.execute, steps.LimitOutput, steps.SaveAutoGrades,
                                          steps.CheckCellMetadata]
        try:
            grader.start()
        except Exception as problem:  # NbGraderException, and whatever a strange notebook does to its steps
            why = said[-1].strip().splitlines()[-1] if said and said[-1].strip() else str(problem)
            raise ClassroomError(f"nbgrader could not grade it: {why[:300]}") from problem

    def execute(self, notebook: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Stands in the place of nbgrader's own Execute: run under limits, watched."""
        watch = Watch(self.watched)
        try:
            ran = run_limited(notebook, self.limits)
        finally:
            changed = watch.put_back()
        self.seconds = ran.seconds
        if changed:
            self.status = VOIDED
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            self.reason = (f"the submission touched what it must not: {', '.join(changed[:3])}{more}; everything was "
                           "put back and this run counts nothing")
        elif ran.reason:
            self.reason = f"{STOPPED}: {ran.reason}"
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type == "code":
                self._take_over(cell, ran, index)
        return notebook, resources

    def _take_over(self, cell: NotebookNode, ran: Ran, index: int) -> None:
        """A cell without a result must fail: for nbgrader a test without an error has passed."""
        done = ran.cells.get(index)
        cell.outputs = [] if done is None else [nbformat.from_dict(output) for output in done["outputs"]]
        cell.execution_count = None if done is None else done["count"]
        for output in cell.outputs:
            if output.output_type == "stream":  # nbgrader lets a test fail for a mere warning on stderr
                output.name = "stdout"
        if self.status == VOIDED:
            cell.outputs = [error("Voided", self.reason)]
        elif done is None and cell.source.strip():
            cell.outputs = [error(STOPPED, f"this cell was not reached: {ran.reason or 'it did not finish'}")]

    def _scores(self) -> tuple[float, float, list[str]]:
        """Score, the most there is, and a line for each test that failed."""
        from nbgrader.api import Gradebook, MissingEntry

        name, student = self.submission.assignment, self.submission.student
        with Gradebook(self.course.database) as book:
            most = float(book.find_assignment(name).max_score)
            if self.status == NOT_GRADED:
                if intake.plain(student):
                    self._nothing(book)
                return 0.0, most, []
            try:
                score = float(book.find_submission(name, student).score)
            except MissingEntry:
                return 0.0, most, []
        graded = nbformat.read(self.course.notebook("autograded", student, name), as_version=4)
        return score, most, [line for cell in graded.cells if (line := _failure(cell))]

    def _nothing(self, book: Any) -> None:
        """Zero points in the gradebook, too, so that nbgrader's own tables agree; an earlier grade is replaced."""
        book.update_or_create_student(self.submission.student)
        submission = book.update_or_create_submission(self.submission.assignment, self.submission.student)
        for notebook in submission.notebooks:
            for grade in notebook.grades:
                grade.auto_score, grade.needs_manual_grade = 0.0, False
        book.db.commit()
        shutil.rmtree(self.course.path("autograded", self.submission.student, self.submission.assignment),
                      ignore_errors=True)


def _failure(cell: NotebookNode) -> str:
    """``a1_outer_test: this is the gradient at θ, not at θ′`` for a test or a solution that failed, else ""."""
    marks = cell.metadata.get("nbgrader", {})
    if not (marks.get("grade") or marks.get("solution")) or cell.cell_type != "code":
        return ""
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if not errors:
        return ""
    name, text = errors[-1].ename, (errors[-1].evalue.strip().splitlines() or ["without a message"])[0]
    said = text if name in ("AssertionError", STOPPED) else f"{name}: {text}"
    return f"{marks['grade_id']}: {said[:240]}"

"""Feedback for students (HTML, nbgrader's) and the grade table for the instructor (CSV)."""

from __future__ import annotations

import csv
import html
import json
from pathlib import Path

from metadialog_lite.classroom.assignments import ClassroomError, need_nbgrader
from metadialog_lite.classroom.course import Course, quiet_nbgrader
from metadialog_lite.classroom.grading import NOT_GRADED, REPORTS, Report
from metadialog_lite.classroom.intake import folder_name

COLUMNS = ("student", "assignment", "score", "max_score", "percent", "status", "reason")
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<body style="font:16px sans-serif;max-width:60em;margin:2em auto">
<h1>{title}</h1><p>{score}</p><p>{reason}</p></body></html>
"""


def reports(course: Course) -> list[Report]:
    """What ``course grade`` has written, by student and assignment.

    Raises:
        ClassroomError: nothing was graded yet.
    """
    files = sorted((course.folder / REPORTS).glob("*/*.json"))
    if not files:
        raise ClassroomError(f"{course.folder}: nothing is graded yet; run metadialog-lite course grade first")
    return [Report(**json.loads(path.read_text(encoding="utf-8"))) for path in files]


def feedback(course: Course) -> tuple[Path, int]:
    """Write a page of feedback for every submission and ``grades.csv``; returns the table and the number of pages.

    Raises:
        ClassroomError: nothing was graded, or nbgrader could not write a page.
    """
    need_nbgrader()
    done = reports(course)
    for report in done:
        page = course.path("feedback", folder_name(report.student), report.assignment) / f"{report.assignment}.html"
        if report.status == NOT_GRADED:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(_PAGE.format(
                title=html.escape(f"{report.assignment}, {report.student}"),
                score=f"{report.score:g} of {report.max_score:g} points", reason=html.escape(report.reason)),
                encoding="utf-8")
            continue
        with quiet_nbgrader(course.folder) as said:
            try:
                course.converter("GenerateFeedback", student_id=report.student,
                                 assignment_id=report.assignment).start()
            except Exception as error:  # NbGraderException and whatever its templates raise
                raise ClassroomError(f"{report.student}, {report.assignment}: no feedback: {error}\n"
                                     + "\n".join(said[-3:])) from error
    return write_table(course, done), len(done)


def write_table(course: Course, done: list[Report]) -> Path:
    """``COURSE/grades.csv``: one row for each student and assignment, 0 with a reason where nothing could be graded."""
    target = course.folder / "grades.csv"
    with target.open("w", newline="", encoding="utf-8-sig") as file:  # the mark at the start tells spreadsheets: UTF-8
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for r in done:
            percent = 100 * r.score / r.max_score if r.max_score else 0.0
            writer.writerow([_text(r.student), r.assignment, f"{r.score:g}", f"{r.max_score:g}", f"{percent:.0f}",
                             r.status, _text(r.reason)])
    return target


def _text(value: str) -> str:
    """A spreadsheet would run a cell that begins like a formula; students choose these texts."""
    line = " ".join(value.split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line

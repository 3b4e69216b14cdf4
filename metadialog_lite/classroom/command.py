"""``metadialog-lite course release | grade | feedback | sources``: for an instructor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from metadialog_lite.classroom.assignments import INSTALL, ClassroomError

course_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None,
                         help="Assignments: build the student release, grade submissions, write feedback and grades.")
say = Console(stderr=True)

CourseFolder = Annotated[Path, typer.Argument(metavar="COURSE", help="the course folder; nothing else is written")]
Sources = Annotated[Path | None, typer.Option(help="folder of source notebooks; by default the shipped ones")]


def _fail(problem: Exception) -> typer.Exit:
    say.print(f"[bold red]bad input:[/] {escape(str(problem))}", highlight=False, soft_wrap=True)
    return typer.Exit(2)


@course_app.command()
def release(folder: CourseFolder, sources: Sources = None) -> None:
    """Build the course folder: release/ for students, solutions/, and nbgrader's source/ and gradebook.db."""
    from metadialog_lite.classroom.course import build

    try:
        course = build(folder, sources)
        names = course.names()
    except (ClassroomError, OSError) as problem:
        raise _fail(problem) from problem
    for name in names:
        typer.echo(f"{course.notebook('release', '.', name).resolve()}")
    typer.echo(f"{len(names)} assignments; give release/ to students, keep everything else to yourself")


@course_app.command()
def grade(
    folder: CourseFolder,
    submissions: Annotated[Path, typer.Argument(help="STUDENT/NOTEBOOK.ipynb or STUDENT/ASSIGNMENT/NOTEBOOK.ipynb")],
    cell_seconds: Annotated[float, typer.Option(help="wall clock of one cell")] = 60.0,
    seconds: Annotated[float, typer.Option(help="wall clock of one notebook")] = 300.0,
    cpu_seconds: Annotated[int, typer.Option(help="CPU seconds of one process")] = 120,
    output_mb: Annotated[float, typer.Option(help="MB that one notebook may print")] = 1.0,
    file_mb: Annotated[int, typer.Option(help="MB of the largest file it may write")] = 20,
    memory_mb: Annotated[int, typer.Option(help="MB of data of one process (Linux)")] = 8192,
) -> None:
    """Grade a folder of submissions, each in a process and a temporary folder of its own, under limits."""
    from metadialog_lite.classroom.course import Course
    from metadialog_lite.classroom.grading import Limits
    from metadialog_lite.classroom.grading import grade as grade_all

    try:
        limits = Limits(cell_seconds, seconds, cpu_seconds, output_mb, file_mb, memory_mb)
        for report in grade_all(Course(folder), submissions, limits):
            typer.echo(report.line())
    except (ClassroomError, ValueError, OSError) as problem:
        raise _fail(problem) from problem


@course_app.command()
def feedback(folder: CourseFolder) -> None:
    """Write feedback/STUDENT/ASSIGNMENT/*.html and grades.csv from what ``grade`` found."""
    from metadialog_lite.classroom.course import Course
    from metadialog_lite.classroom.grades import feedback as write

    try:
        course = Course(folder)
        course.names()
        table, pages = write(course)
    except (ClassroomError, OSError) as problem:
        raise _fail(problem) from problem
    typer.echo(f"{pages} pages in {course.folder / 'feedback'}; grades in {table}")


@course_app.command()
def site(
    out: Annotated[Path, typer.Argument(help="the folder to write; it may hold an older site")] = Path("site"),
) -> None:
    """Write the executed course as web pages that need no kernel and no network; open OUT/index.html."""
    try:
        from metadialog_lite.site.build import SiteError, build
        from metadialog_lite.site.formulas import FormulaError
    except ImportError as problem:
        raise _fail(ClassroomError(f"a package is missing ({problem}): {INSTALL}")) from problem
    try:
        pages = build(out)
    except (SiteError, FormulaError, OSError) as problem:
        raise _fail(problem) from problem
    typer.echo(f"{len(pages)} pages; open {pages[0].resolve()}")


@course_app.command()
def sources(
    folder: Annotated[Path | None, typer.Option("--from", help="folder of source notebooks")] = None,
    out: Annotated[Path | None, typer.Option(help="where both folders go; by default beside the sources")] = None,
) -> None:
    """Write release/ and solutions/ beside the sources, for whoever changes an assignment."""
    from metadialog_lite.classroom.assignments import write_both

    try:
        for path in write_both(folder, out):
            typer.echo(str(path))
    except (ClassroomError, OSError) as problem:
        raise _fail(problem) from problem

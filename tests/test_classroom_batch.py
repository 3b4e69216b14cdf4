"""A whole class graded in one batch: the right, the wrong, the empty, the endless and the hostile."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
import pytest
from classroom_class import write_class
from nbformat.v4 import new_code_cell, new_notebook

from metadialog_lite.classroom.limits import Limits, run_limited

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs limits that Windows does not have")


@dataclass
class Graded:
    """What the three commands left behind."""

    course: Path
    submissions: Path
    rows: dict[str, dict[str, str]]
    before: dict[str, bytes]
    after: dict[str, bytes]
    outside: set[str]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    """The three commands of the README, run by a copy of the package: one student overwrites the checker."""
    base = tmp_path_factory.mktemp("class")
    copy, home, course, folder = base / "copy", base / "home", base / "course", base / "handed in"
    shutil.copytree(ROOT / "metadialog_lite", copy / "metadialog_lite", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("data", "notebooks"):
        (copy / name).symlink_to(ROOT / name)
    home.mkdir()
    # No network, no activated environment, an empty home.
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1",
            "LANG": "C.UTF-8", "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}

    def run(*arguments: object) -> str:
        command = [sys.executable, "-m", "metadialog_lite.cli", "course", *map(str, arguments)]
        done = subprocess.run(command, cwd=home, env=bare, capture_output=True, text=True, timeout=850)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("release", course)
    write_class(course, folder)
    before = contents(folder) | contents(copy / "metadialog_lite")
    said = run("grade", course, folder, "--cell-seconds", 15, "--seconds", 120)
    assert len(said.splitlines()) == 15, said
    run("feedback", course)
    with (course / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    outside = {path.name for path in home.iterdir()} | {path.name for path in base.iterdir()}
    return Graded(course, folder, rows, before, contents(folder) | contents(copy / "metadialog_lite"), outside)


@pytest.mark.parametrize(("student", "score", "status", "reason"), [
    ("right", 10, "graded", "all tests passed"),
    ("wrong", 0, "graded", "a1_outer_test: this is ∇L_Q at θ′: first-order MAML"),
    ("half", 3, "graded", "a1_pull_test: this is v itself"),
    ("stubs", 0, "graded", "a1_inner_test: this is still the stub"),
    ("syntax", 7, "graded", "a1_inner: SyntaxError"),
    ("loop", 6, "graded", "a1_outer: TimeLimit: this cell ran longer than 15 seconds"),
    ("flood", 6, "graded", "a1_outer: OutputLimit: the notebook printed more than 1 MB"),
    ("without", 7, "graded", "cell a1_outer_test was missing and was put back; cell a1_pull was missing"),
    ("lost mark", 10, "graded", "cell a1_pull was missing"),
    ("checker", 0, "voided", "changed metadialog_lite/lab/judging.py"),
    ("vandal", 0, "voided", "added course/source/new.txt, changed course/gradebook.db"),
    ("empty", 0, "not graded", "the file is empty"),
    ("broken", 0, "not graded", "is not a notebook"),
    ("renamed", 0, "not graded", "found a1_inner_and_outer/my homework (final).ipynb: was it renamed?"),
    ("'=1+1", 0, "not graded", "the folder can't be a student's"),
])
def test_everybody_gets_a_score_and_a_reason(graded, student, score, status, reason):
    row = graded.rows[student]
    assert (float(row["score"]), row["max_score"], row["status"]) == (score, "10", status), row
    assert reason in row["reason"], row


def test_the_table_has_everybody_once_and_no_formula_in_it(graded):
    assert len(graded.rows) == 15
    assert not [cell for row in graded.rows.values() for cell in row.values() if cell.startswith(("=", "+", "@"))]


def test_what_was_changed_is_put_back_and_nothing_else_is_written(graded):
    assert graded.after == graded.before
    assert not (graded.course / "source" / "new.txt").exists()
    assert graded.outside == {"copy", "home", "course", "handed in"}  # the home folder stayed empty


def test_everybody_gets_feedback_without_scripts_and_without_other_hosts(graded):
    pages = {path.parent.parent.name: path.read_text(encoding="utf-8")
             for path in (graded.course / "feedback").rglob("*.html")}
    assert len(pages) == 15
    assert "first-order MAML" in pages["wrong"]
    assert "everything was put back" in pages["vandal"]
    assert "ran longer than 15 seconds" in pages["loop"]
    assert "printed more than 1 MB" in pages["flood"]
    assert "the file is empty" in pages["empty"]
    assert max(len(page) for page in pages.values()) < 3_000_000


def test_the_gradebook_agrees_with_the_table(graded, monkeypatch):
    from nbgrader.api import Gradebook

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    with Gradebook(f"sqlite:///{graded.course / 'gradebook.db'}") as book:
        scores = {student.id: student.score for student in book.students}
    assert scores == {name: float(row["score"]) for name, row in graded.rows.items() if name != "'=1+1"}


# ---------------------------------------------------------------- one notebook under limits


def run(*cells: str, **limits: float) -> tuple[list[str], str]:
    """What each finished cell said, in short, and why the run ended early."""
    done = run_limited(new_notebook(cells=[new_code_cell(cell) for cell in cells]), Limits(**limits))
    short = []
    for _, cell in sorted(done.cells.items()):
        outputs = [nbformat.from_dict(output) for output in cell["outputs"]]
        short.append(" ".join(f"{o.ename}: {o.evalue}" if o.output_type == "error" else
                              o.get("text") or o.data["text/plain"] for o in outputs).strip())
    return short, done.reason


def test_the_environment_is_clean_and_the_folder_temporary(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "only for teachers")
    said, reason = run("import os\n'SECRET_TOKEN' in os.environ", "os.getcwd() != os.path.expanduser('~')",
                       "os.listdir()", "open('big', 'wb').write(b'x' * 3_000_000)", "input()", file_mb=2)
    assert said[:3] == ["False", "True", "[]"]
    assert "File too large" in said[3]
    assert said[4].startswith("StdinNotImplementedError")
    assert reason == ""


def test_cpu_seconds_end_the_kernel_and_what_came_before_counts():
    stubborn = "while True:\n    try:\n        sum(range(1000))\n    except KeyboardInterrupt:\n        pass"
    said, reason = run("'before'", stubborn, "'after'", cpu_seconds=4, seconds=100, cell_seconds=90)
    assert said == ["'before'"]
    assert reason == "the kernel died: it used more CPU seconds than allowed"


def test_the_wall_clock_ends_what_cannot_be_interrupted():
    stubborn = "import time\nwhile True:\n    try:\n        time.sleep(9)\n    except KeyboardInterrupt:\n        pass"
    said, reason = run(stubborn, seconds=8)
    assert (said, reason) == ([], "the notebook ran longer than 8 seconds")


def test_what_moved_to_another_session_is_ended_as_well(tmp_path):
    escape = (f"import subprocess\np = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
              f"open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid))\n'away'")
    said, reason = run(escape)
    assert (said, reason) == (["'away'"], "")
    pid = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_kernel_that_ends_itself_is_reported():
    said, reason = run("1", "import os\nos._exit(3)", "2")
    assert (said, reason) == (["1"], "the kernel died: exit status 3")

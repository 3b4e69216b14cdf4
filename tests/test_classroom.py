"""Assignments: release, solutions and course are made from one source, and nothing that is secret leaks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from metadialog_lite.classroom import assignments, intake
from metadialog_lite.classroom.assignments import ClassroomError
from metadialog_lite.classroom.course import build
from metadialog_lite.classroom.watch import Watch
from metadialog_lite.cli import app

ROOT = Path(__file__).resolve().parent.parent
SOURCES = assignments.sources()


def code(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("name", SOURCES)
def test_release_and_solutions_have_not_drifted_from_their_source(name):
    """When this fails: metadialog-lite course sources."""
    source = SOURCES[name]
    for kind, made in (("release", assignments.release(source)), ("solutions", assignments.solution(source))):
        committed = source.parent / kind / source.name
        assert committed.read_text(encoding="utf-8") == assignments.text_of(made), f"{kind}/{source.name}: out of date"


def test_nothing_is_left_over_from_a_source_that_is_gone():
    for kind in ("release", "solutions"):
        assert {path.stem for path in (assignments.exercises_dir() / kind).iterdir()} == set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_a_release_has_stubs_and_hides_solutions_and_hidden_tests(name):
    source = nbformat.read(SOURCES[name], as_version=4)
    released, solved = assignments.release(SOURCES[name]), assignments.solution(SOURCES[name])
    tasks = [cell for cell in source.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    assert len(tasks) == 3
    assert sum(cell.metadata.get("nbgrader", {}).get("points", 0) for cell in source.cells) == 10
    assert code(released).count("raise NotImplementedError") == len(tasks)
    for secret in ("BEGIN SOLUTION", "HIDDEN TESTS", "tampered"):
        assert secret in code(source)
        assert secret not in nbformat.writes(released)
    assert "HIDDEN" not in nbformat.writes(solved)
    assert "NotImplementedError" not in code(solved)
    for cell in tasks:
        body = cell.source.split("### BEGIN SOLUTION\n")[1].split("    ### END SOLUTION")[0]
        assert body in code(solved)
        assert not any(line.strip() and line in code(released) for line in body.splitlines())


@pytest.mark.parametrize("name", SOURCES)
def test_stubs_fail_with_a_helpful_message_and_solutions_pass(name):
    """Run as plain Python: the release stops at its first test, the solutions run through."""
    space: dict[str, object] = {"display": print}
    exec(code(assignments.solution(SOURCES[name])), space)
    released = assignments.release(SOURCES[name])
    stubs = [cell.source for cell in released.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    for stub in stubs:
        space = {}
        exec(stub, space)
        (function,) = (value for key, value in space.items() if key != "__builtins__")
        with pytest.raises(NotImplementedError, match="put your own code here"):
            function(*[None] * function.__code__.co_argcount)
    with pytest.raises(AssertionError, match="this is still the stub"):
        exec(code(released), {})


def test_students_get_releases_and_no_sources(tmp_path):
    from metadialog_lite.lab.launch_copy import refresh, shipped_names

    refresh(ROOT / "notebooks", tmp_path / "work")
    found = {path.relative_to(tmp_path / "work").as_posix() for path in (tmp_path / "work").rglob("*.ipynb")}
    assert {f"exercises/release/{name}.ipynb" for name in SOURCES} <= found
    assert not [name for name in found if name.startswith("exercises/") and "/release/" not in name]
    assert "05_meta_optimization.ipynb" in shipped_names(ROOT / "notebooks")


def test_a_wrong_source_is_named(tmp_path):
    notebook = nbformat.read(next(iter(SOURCES.values())), as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("### END SOLUTION", "")
    nbformat.write(notebook, tmp_path / "a9_open.ipynb")
    with pytest.raises(ClassroomError, match=r"a9_open\.ipynb: .*end solution"):
        assignments.release(tmp_path / "a9_open.ipynb")
    with pytest.raises(ClassroomError, match="no assignment there"):
        assignments.sources(tmp_path / "nowhere")


def test_a_course_is_refused_where_it_would_do_harm(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ClassroomError, match="not empty and not a course"):
        build(tmp_path)
    with pytest.raises(ClassroomError, match="inside the folder of the sources"):
        build(assignments.exercises_dir() / "course")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_missing_nbgrader_is_named_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbgrader", None)
    done = CliRunner().invoke(app, ["course", "release", str(tmp_path / "course")])
    assert done.exit_code == 2
    assert 'pip install "metadialog-lite[classroom]"' in done.stderr


@pytest.mark.parametrize(("arguments", "message"), [
    (["grade", "nowhere", "nobody"], "is not a course folder: make one with metadialog-lite course release"),
    (["feedback", "nowhere"], "is not a course folder"),
    (["grade", "nowhere", "nobody", "--seconds", "0"], "seconds: got 0.0; it must be above 0"),
])
def test_bad_input_ends_with_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["course", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_a_watch_sees_and_undoes_every_kind_of_change(tmp_path):
    folder = tmp_path / "watched"
    (folder / "sub" / "__pycache__").mkdir(parents=True)
    for name in ("changed", "deleted", "sub/moved", "mode", "sub/__pycache__/old.pyc"):
        (folder / name).write_text(name)
    (folder / "link").symlink_to("changed")
    watch = Watch([folder])
    assert watch.put_back() == []
    (folder / "changed").write_text("by somebody")
    (folder / "deleted").unlink()
    (folder / "mode").chmod(0o600)
    (folder / "sub" / "moved").rename(folder / "elsewhere")
    (folder / "sub" / "__pycache__" / "new.pyc").write_text("by an import")
    (folder / "sub" / "__pycache__" / "old.pyc").write_text("poisoned")
    (folder / "link").unlink()
    (folder / "link").symlink_to(tmp_path)
    (folder / "new folder").symlink_to(tmp_path)
    said = watch.put_back()
    assert [line.split()[0] for line in said] == ["added", "added", "changed", "changed", "changed", "changed",
                                                  "deleted", "deleted"]
    assert any("old.pyc" in line for line in said)
    assert Watch([folder]).digests == watch.digests
    assert (folder / "changed").read_text() == "changed"


def test_submissions_are_found_in_both_layouts_and_problems_named(tmp_path):
    for path in ("ann/a1.ipynb", "bob/a1/a1.ipynb", "bob/a2/a2.ipynb", "eve/a1/final.ipynb", "sam/notes.txt"):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "ann")
    found = {(s.student, s.assignment): s.path or s.problem for s in intake.find(tmp_path, ["a1", "a2"])}
    assert found["ann", "a1"] == tmp_path / "ann" / "a1.ipynb"
    assert found["bob", "a2"] == tmp_path / "bob" / "a2" / "a2.ipynb"
    assert found["eve", "a1"] == "no notebook a1.ipynb; found a1/final.ipynb: was it renamed?"
    assert found["sam", "a1"] == "no notebook a1.ipynb or a2.ipynb"
    assert "it is a link" in found["link", "a1"]
    assert len(found) == 6


@pytest.mark.parametrize(("content", "message"), [
    (b"", "the file is empty"),
    (b'{"cells": [', "not a notebook"),
    (b"[" * 100_000, "not a notebook"),
    (b'{"cells": 3, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "not a notebook"),
    ("ä".encode("latin-1"), "not a notebook"),
])
def test_what_is_no_notebook_is_said_so(content, message, tmp_path):
    (tmp_path / "a1.ipynb").write_bytes(content)
    with pytest.raises(ClassroomError, match=message):
        intake.read(tmp_path / "a1.ipynb")


def test_a_link_is_not_read(tmp_path):
    (tmp_path / "secret.ipynb").write_text("{}")
    (tmp_path / "a1.ipynb").symlink_to(tmp_path / "secret.ipynb")
    with pytest.raises(ClassroomError, match="it is a link"):
        intake.read(tmp_path / "a1.ipynb")


def test_fit_takes_tests_from_the_release_and_answers_from_the_student():
    released = assignments.release(SOURCES["a1_inner_and_outer"])
    work = nbformat.from_dict(dict(nbformat.reads(nbformat.writes(released), as_version=4)))
    for cell in work.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name == "a1_inner_test":
            cell.source = "pass"  # a student who relaxes a test
        if name == "a1_outer":
            cell.source = "outer_gradient = 1"
    work.cells = [c for c in work.cells if c.metadata.get("nbgrader", {}).get("grade_id") != "a1_pull"]
    work.cells.append(nbformat.v4.new_code_cell("my_own = 1"))
    fitted, notes = intake.fit(work, released)
    assert notes == ["cell a1_inner_test was changed and was put back", "cell a1_pull was missing"]
    assert 'check("a1.1", inner_steps)\nassert verdict.passed' in code(fitted)
    assert "outer_gradient = 1" in code(fitted)
    assert fitted.cells[-1].source == "my_own = 1"
    assert len({cell.id for cell in fitted.cells}) == len(fitted.cells)
    nbformat.validate(fitted)


def test_make_and_the_readme_name_the_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## Teach with it")[1].split("\n## ")[0]
    for command in ("course release", "course grade", "course feedback"):
        assert f"metadialog-lite {command}" in text
    assert "container" in text
    assert subprocess.run(["make", "-n", "site"], cwd=ROOT, capture_output=True).returncode == 0

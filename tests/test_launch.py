"""make lab: the personal copy loses nothing, and the server is for this machine and its token only."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from metadialog_lite.lab import launch, launch_copy
from metadialog_lite.lab.launch_copy import CopyError, find_notebook, refresh, start_over
from metadialog_lite.paths import notebooks_dir

NAME = "05_meta_optimization.ipynb"


@pytest.fixture
def shipped(tmp_path):
    folder = tmp_path / "shipped"
    (folder / "exercises" / "release").mkdir(parents=True)
    (folder / ".ipynb_checkpoints").mkdir()
    for name in ("00_start_here.ipynb", NAME, "exercises/release/05_one.ipynb",
                 ".ipynb_checkpoints/00_start_here.ipynb"):
        (folder / name).write_text(f"first {name}")
    (folder / "exercises" / "05_one.ipynb").write_text("the source, with its solutions")  # not for students
    return folder


@pytest.fixture
def work(tmp_path):
    return tmp_path / "work"


def kinds(changes):
    return {change.name: change.kind for change in changes}


def test_first_time_everything_is_copied_and_second_time_nothing(shipped, work):
    assert set(kinds(refresh(shipped, work)).values()) == {"new"}
    placed = sorted(p.relative_to(work).as_posix() for p in work.rglob("*") if p.is_file())
    assert placed == [".shipped.json", "00_start_here.ipynb", NAME, "exercises/release/05_one.ipynb"]
    assert refresh(shipped, work) == []


def test_the_notebooks_for_researchers_come_along_in_a_folder_of_their_own(work):
    refresh(notebooks_dir(), work)
    assert {path.name for path in (work / "runs").iterdir()} == {"experiment.ipynb", "report.ipynb"}
    for name in ("experiment", "runs/report"):
        assert find_notebook(notebooks_dir(), name).startswith("runs/")
    text = (work / "runs" / "experiment.ipynb").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+\.ipynb)\)", text):  # its links still lead somewhere
        assert (work / "runs" / target).exists(), target


def test_an_untouched_notebook_is_updated(shipped, work):
    refresh(shipped, work)
    (shipped / NAME).write_text("second")
    assert kinds(refresh(shipped, work)) == {NAME: "updated"}
    assert (work / NAME).read_text() == "second"


def test_what_the_student_changed_stays_and_the_new_version_is_put_beside_it_once(shipped, work):
    refresh(shipped, work)
    (work / NAME).write_text("mine")
    assert refresh(shipped, work) == []
    (shipped / NAME).write_text("second")
    (change,) = refresh(shipped, work)
    assert "05_meta_optimization.new.ipynb" in change.text
    assert (work / NAME).read_text() == "mine"
    assert (work / "05_meta_optimization.new.ipynb").read_text() == "second"
    assert refresh(shipped, work) == []


def test_the_new_version_beside_is_the_students_too_once_changed(shipped, work):
    refresh(shipped, work)
    (work / NAME).write_text("mine")
    beside = work / "05_meta_optimization.new.ipynb"
    (shipped / NAME).write_text("second")
    refresh(shipped, work)
    (shipped / NAME).write_text("third")
    refresh(shipped, work)
    assert beside.read_text() == "third"  # untouched: it may be replaced
    beside.write_text("also mine")
    (shipped / NAME).write_text("fourth")
    refresh(shipped, work)
    assert beside.read_text() == "also mine"
    assert (work / "05_meta_optimization.new-2.ipynb").read_text() == "fourth"
    assert (work / NAME).read_text() == "mine"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"files": 3}'])
def test_a_damaged_record_never_costs_work(shipped, work, damage):
    refresh(shipped, work)
    (work / NAME).write_text("mine")
    (work / ".shipped.json").write_text(damage)
    (shipped / NAME).write_text("second")
    refresh(shipped, work)
    assert (work / NAME).read_text() == "mine"
    assert (work / "05_meta_optimization.new.ipynb").read_text() == "second"


def notebook(source, metadata=None, outputs=()):
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": source, "outputs": list(outputs)}
    return json.dumps({"cells": [cell], "metadata": metadata or {}, "nbformat": 4, "nbformat_minor": 5})


def test_opening_a_notebook_is_no_change_but_running_it_is(shipped, work):
    """JupyterLab writes the kernel's version into a notebook that was only opened, and splits text into lines."""
    (shipped / NAME).write_text(notebook("a = 1\nb = 2"))
    refresh(shipped, work)
    (work / NAME).write_text(notebook(["a = 1\n", "b = 2"], {"language_info": {"version": "3.11"}}))
    (shipped / NAME).write_text(notebook("a = 3"))
    assert kinds(refresh(shipped, work)) == {NAME: "updated"}
    ran = notebook("a = 3", outputs=[{"output_type": "stream", "name": "stdout", "text": "an hour of training"}])
    (work / NAME).write_text(ran)
    (shipped / NAME).write_text(notebook("a = 4"))
    assert kinds(refresh(shipped, work)) == {NAME: "beside"}
    assert (work / NAME).read_text() == ran


def test_a_deleted_notebook_comes_back(shipped, work):
    refresh(shipped, work)
    (work / NAME).unlink()
    assert kinds(refresh(shipped, work)) == {NAME: "new"}


def test_an_interrupted_update_leaves_the_old_file_whole(shipped, work, monkeypatch):
    refresh(shipped, work)
    before = (work / NAME).read_text()
    (shipped / NAME).write_text("second")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(launch_copy.os, "fsync", full)
    with pytest.raises(CopyError, match=r"No space left on device.*--work"):
        refresh(shipped, work)
    monkeypatch.undo()
    assert (work / NAME).read_text() == before
    assert not list(work.glob(".05*")), "no temporary file stays behind"
    assert kinds(refresh(shipped, work)) == {NAME: "updated"}


def test_a_folder_that_cannot_be_used_is_named_with_the_way_out(shipped, tmp_path):
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    with pytest.raises(CopyError, match=r"can't write .*file.*--work FOLDER"):
        refresh(shipped, occupied)


def test_a_read_only_folder(shipped, work, monkeypatch):
    def refused(*_, dir, **__):  # an administrator may write anywhere, so the refusal is played
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(dir))

    monkeypatch.setattr(launch_copy.tempfile, "mkstemp", refused)
    with pytest.raises(CopyError, match=r"can't write .*work.*Permission denied.*--work FOLDER"):
        refresh(shipped, work)


def test_start_over_restores_and_keeps_mine(shipped, work):
    refresh(shipped, work)
    (work / NAME).write_text("mine")
    changes = start_over(shipped, work, "05_meta_optimization")
    assert [change.kind for change in changes] == ["restored", "kept"]
    assert (work / NAME).read_text() == f"first {NAME}"
    (kept,) = work.glob("05_meta_optimization.mine-*.ipynb")
    assert re.fullmatch(r"05_meta_optimization\.mine-\d{8}-\d{6}\.ipynb", kept.name)
    assert kept.read_text() == "mine"
    assert refresh(shipped, work) == []
    assert [change.kind for change in start_over(shipped, work, NAME)] == ["same"]


def test_start_over_twice_in_one_second_keeps_both(shipped, work):
    refresh(shipped, work)
    for text in ("mine 1", "mine 2", "mine 3"):
        (work / NAME).write_text(text)
        start_over(shipped, work, NAME)
    kept = {path.read_text() for path in work.glob("05_meta_optimization.mine-*.ipynb")}
    assert kept == {"mine 1", "mine 2", "mine 3"}


@pytest.mark.parametrize("asked", ["05_meta_optimization", NAME, " 05_meta_optimization ", "00",
                                   "exercises/release/05_one"])
def test_the_names_a_student_may_type(shipped, asked):
    assert find_notebook(shipped, asked).endswith(".ipynb")


def test_an_unknown_notebook_gets_the_nearest_names(shipped, work):
    with pytest.raises(CopyError, match=r"'05_meta_optimisation'; did you mean 05_meta_optimization"):
        start_over(shipped, work, "05_meta_optimisation")
    with pytest.raises(CopyError, match=r"05_meta_optimization or exercises/release/05_one"):
        find_notebook(shipped, "05")


def test_the_command_line_says_what_is_wrong_and_exits_2(work):
    done = CliRunner().invoke(launch.app, ["--work", str(work), "start-over", "99_nothing"])
    assert done.exit_code == 2
    assert "no notebook is called '99_nothing'" in done.output
    done = CliRunner().invoke(launch.app, ["--work", str(work), "start-over", "00_start_here"])
    assert done.exit_code == 0, done.output
    assert (work / "00_start_here.ipynb").exists()


@contextmanager
def busy_port():
    """A port something listens on, with the one after it free."""
    for _ in range(50):
        with closing(socket.socket()) as taken, closing(socket.socket()) as after:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            try:
                after.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            after.close()
            taken.listen()
            yield port
            return
    pytest.fail("no two neighbouring free ports")


@contextmanager
def running_lab(work: Path, port: int, tmp_path: Path):
    """Start ``make lab``'s command; yields (url with token, token, what it printed)."""
    environment = dict(os.environ, JUPYTER_RUNTIME_DIR=str(tmp_path / "runtime"), PYTHONUNBUFFERED="1")
    environment.pop("JUPYTER_TOKEN", None)
    command = [sys.executable, "-m", "metadialog_lite.lab.launch", "--work", str(work), "--port", str(port)]
    log = tmp_path / "lab.log"
    with log.open("w") as output:
        server = subprocess.Popen([*command, "--no-browser"], stdout=output, stderr=output, env=environment)
        try:
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline and server.poll() is None:
                found = re.search(r"(http://\S+?)/lab/tree/00_start_here\.ipynb\?token=(\w+)", log.read_text())
                if found:
                    break
                time.sleep(0.2)
            else:
                pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")
            yield found.group(1), found.group(2), log.read_text()
        finally:
            server.terminate()
            server.wait(30)


def status(url: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_lab_takes_the_next_port_and_wants_its_token(work, tmp_path):
    with busy_port() as port, running_lab(work, port, tmp_path) as (base, token, printed):
        assert base == f"http://127.0.0.1:{port + 1}"
        assert status(f"{base}/api/contents") == 403
        assert status(f"{base}/api/contents?token=wrong") == 403
        assert status(f"{base}/api/contents/00_start_here.ipynb?token={token}") == 200
        assert status(f"{base}/lab/tree/00_start_here.ipynb?token={token}") == 200
        assert status(f"{base}/api/contents/..%2f..%2fsetup.py?token={token}") in (403, 404)
        assert "00_start_here.ipynb is new" in printed
    assert json.loads((work / ".shipped.json").read_text())["files"]


def test_lab_listens_on_loopback_only_and_asks_nobody_for_news(tmp_path):
    command = launch.lab_command(tmp_path)
    assert "--ServerApp.ip=127.0.0.1" in command
    assert "--LabApp.news_url=None" in command
    settings = json.loads((launch.SETTINGS / "overrides.json").read_text())
    assert settings["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    assert not any("token" in part for part in command), "Jupyter makes the token; none is fixed"

"""Sweeps as a person starts them: restart, failures, limits, Ctrl-C, awkward values, a folder that is taken."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import papermill
import psutil
import pytest
import yaml
from fakes import command, environment, finished, started, sweep, tiny, wait_until

AWKWARD = ["a b  c", "it's \"so\"", "中文 é 😀", "line\nbreak\tand tab", "back\\slash {brace} $HOME `x`", "-p", ""]


def statuses(folder: Path) -> dict[str, dict]:
    found = [json.loads(path.read_text("utf-8")) for path in (folder / "runs").glob("*/status.json")]
    return {one["parameters"]["behaviour"]: one for one in found}


@pytest.mark.slow
def test_every_way_to_fail_is_kept_with_its_reason_and_retried_when_asked(tmp_path: Path) -> None:
    tiny(tmp_path)
    grid = "behaviour=raise,hang,nan,silent,die,greedy,good"
    done = sweep(tmp_path, "--grid", grid, "--time-limit", "6", "--memory", "400")
    assert done.returncode == 1, done.stderr
    found = statuses(tmp_path)
    reasons = {"raise": "cell [3] raised KeyError: 'lost'", "hang": "the time limit of 6 seconds has passed",
               "nan": "result.json does not follow the schema: has a NaN", "silent": "has written no result",
               "die": "process ended before its last cell", "greedy": "the memory limit of 400 MB has been passed"}
    for behaviour, reason in reasons.items():
        assert found[behaviour]["state"] == "failed"
        assert reason in found[behaviour]["error"], found[behaviour]["error"]
        folder = tmp_path / "runs" / found[behaviour]["id"]
        assert not (folder / "result.json").exists()
        assert reason in (folder / "log.txt").read_text("utf-8")
        if behaviour in ("raise", "hang", "nan", "silent"):  # the notebook as far as it came
            assert "words: 'plain'" in (folder / "out.ipynb").read_text("utf-8"), behaviour
    assert found["good"]["state"] == "done"
    assert "1 done, 6 failed, 0 not made" in done.stderr
    with (tmp_path / "runs" / "results.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert {row["behaviour"]: row["state"] for row in table}["nan"] == "failed"
    assert [row["loss"] for row in table if row["behaviour"] == "good"] == ["1.2"]

    before = finished(tmp_path)
    again = sweep(tmp_path, "--grid", grid)  # nothing is left to do, and nothing is done
    assert again.returncode == 1
    assert "1 finished before, 6 failed before (--retry-failed tries them again): 0 to make" in again.stderr
    retried = sweep(tmp_path, "--grid", "behaviour=raise,good", "--retry-failed")
    assert "1 finished before: 1 to make" in retried.stderr
    assert statuses(tmp_path)["raise"]["finished"] != found["raise"]["finished"]
    assert finished(tmp_path) == before


def test_awkward_texts_arrive_as_they_are(tmp_path: Path) -> None:
    tiny(tmp_path)
    grid = tmp_path / "a grid.yml"
    grid.write_text(yaml.safe_dump({"words": AWKWARD}, allow_unicode=True), encoding="utf-8")
    done = sweep(tmp_path, "--grid-file", grid, "-p", "x", "2")
    assert done.returncode == 0, done.stderr
    runs = [path.parent for path in (tmp_path / "runs").glob("*/status.json")]
    assert len(runs) == len(AWKWARD)
    told = {}
    for run in runs:
        parameters = yaml.safe_load((run / "params.yml").read_text("utf-8"))
        assert parameters["x"] == 2.0
        assert "result_path" not in parameters
        told[parameters["words"]] = (run / "log.txt").read_text("utf-8").splitlines()[0]
    assert told == {words: f"words: {words!r}" for words in AWKWARD}
    # params.yml is what papermill itself takes to make the run again
    one = next(run for run in runs if "line\nbreak" in yaml.safe_load((run / "params.yml").read_text())["words"])
    node = papermill.execute_notebook(str(tmp_path / "tiny.ipynb"), None, progress_bar=False,
                                      parameters={**yaml.safe_load((one / "params.yml").read_text("utf-8")),
                                                  "result_path": str(tmp_path / "again.json")}, cwd=str(tmp_path))
    assert any("line\\nbreak" in cell.outputs[0].text for cell in node.cells if cell.get("outputs"))
    again = json.loads((tmp_path / "again.json").read_text())
    assert again == json.loads((one / "result.json").read_text())


@pytest.mark.parametrize(("words", "said"), [
    (["--grid", "xx=1"], "xx: there is no such parameter in tiny.ipynb"),
    (["--grid", "seed=1,two"], "seed: got 'two': a whole number"),
    (["--grid", "seed=0..1", "-p", "seed", "2"], "seed: given twice"),
    (["--grid", "result_path=a"], "result_path: is set by the sweep"),
    (["-f", "p.yml"], "p.yml: wrods: there is no such parameter in tiny.ipynb; did you mean words"),
    (["--metric", "luck"], "a metric is gap_closed or loss"),
    (["--grid-file", "none.yml"], "none.yml: cannot be read"),
])
def test_bad_input_is_named_before_anything_is_made(tmp_path: Path, words: list[str], said: str) -> None:
    from typer.testing import CliRunner

    from metadialog_lite.cli import app

    tiny(tmp_path)
    (tmp_path / "p.yml").write_text("wrods: b\nseed: many\n", encoding="utf-8")
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        done = CliRunner().invoke(app, [*command(*words)[3:]])
    finally:
        os.chdir(before)
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert not (tmp_path / "runs").exists()


def test_one_folder_one_sweep_at_a_time_and_ctrl_c_stops_cleanly(tmp_path: Path) -> None:
    tiny(tmp_path)
    first = started(tmp_path, "--grid", "seed=0..199", "-p", "seconds", "1")
    try:
        wait_until(lambda: finished(tmp_path))
        second = sweep(tmp_path, "--grid", "seed=50..51")
        assert second.returncode == 1
        assert "another sweep is writing into this folder" in second.stderr
        family = psutil.Process(first.pid).children(recursive=True)
        assert any("zygote" in " ".join(each.cmdline()) for each in family)
        os.killpg(first.pid, signal.SIGINT)  # as the terminal does
        assert first.wait(180) == 1
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive
    finally:
        if first.poll() is None:
            os.killpg(first.pid, signal.SIGKILL)
    log = (tmp_path / "sweep.log").read_text("utf-8")
    assert "stopped; the same command goes on" in log
    assert "Traceback" not in log
    assert 0 < len(finished(tmp_path)) < 200
    assert not list((tmp_path / "runs").glob(".partial-*"))


def mounted(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A shell script in which ``mount`` works and ends with the script; skips where the system does not allow it."""
    tool = shutil.which("unshare")
    if tool is None or subprocess.run([tool, "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], check=False,
                                      capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small disk")
    return subprocess.run([tool, "-rm", "sh", "-ec", script], cwd=folder, env=environment(), capture_output=True,
                          text=True, timeout=240, check=False)


@pytest.mark.slow
def test_full_disks(tmp_path: Path) -> None:
    """First a run fills its scratch disk: that run fails. Then the runs' own disk is full: the sweep stops."""
    tiny(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "scratch").mkdir()
    words = " ".join(f"'{word}'" for word in command())
    done = mounted(f"""
        mount -t tmpfs -o size=30m none scratch
        export TMPDIR="$PWD/scratch"
        {words} --grid 'behaviour=fill,good' || echo "exit $?"
        umount -l scratch; unset TMPDIR
        mount -t tmpfs -o size=200k none runs
        {words} --grid 'seed=0..39' || echo "exit $?"
        ls -A runs; cat runs/*/status.json | grep -c '"done"'
        for d in runs/[0-9a-f]*/; do test "$(ls $d | wc -l)" = 5 || echo "half a run in $d"; done
    """, tmp_path)
    assert done.stdout.count("exit 1") == 2, done.stdout + done.stderr
    found = statuses(tmp_path)
    assert found["good"]["state"] == "done"
    assert "No space left on device" in found["fill"]["error"]
    assert "cannot be written or read (No space left on device)" in done.stderr
    assert "finished runs are kept" in done.stderr
    assert "half a run" not in done.stdout
    assert ".partial" not in done.stdout
    # On a busy machine the interpreter's very end may add one of asyncio's; no other traceback is passed over.
    noise = done.stderr.count("Exception ignored in: <function BaseEventLoop.__del__")
    assert done.stderr.count("Traceback") == noise


def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tiny(tmp_path)
    (tmp_path / "runs").mkdir()
    done = mounted("mount -t tmpfs -o ro none runs; " + " ".join(f"'{word}'" for word in command()), tmp_path)
    assert done.returncode == 1
    assert "runs: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr

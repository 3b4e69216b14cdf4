"""A kernel forked from a warm process gives the same notebook as plain papermill's, and shares nothing with others."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
import pytest
from fakes import tiny

from metadialog_lite.runs import kernels
from metadialog_lite.runs.execute import Limits, Outcome, execute
from metadialog_lite.runs.notebook import load_notebook

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="forking kernels needs Linux")

#: Everything that could tell one kind of kernel from the other: rich outputs, errors, stdin, modules, magics.
ALL_KINDS = '''
import json, logging, os, random, subprocess, sys, threading
print("to stdout"); print("to stderr", file=sys.stderr)
from IPython.display import HTML, Markdown, display
display(HTML("<b>b</b>"), Markdown("*m*"))
subprocess.run(["echo", "from a child process"])
logging.warning("logged")
%time 1 + 1
'''.replace("%time 1 + 1", "sys.argv[0].rsplit('/')[-1], __name__, threading.current_thread().name, sys.path[0]")


@pytest.fixture(autouse=True)
def _end_the_warm_process():
    yield
    kernels.close_warm()


def made(notebook: Path, warm: bool, folder: Path, limits: Limits = Limits(60), **parameters: Any) -> Outcome:
    found = load_notebook(str(notebook))
    return execute(found.source, found.path.name, parameters, limits, warm, str(folder), imports=tuple(found.imports))


def comparable(text: str) -> Any:
    """A notebook without what differs between two runs of the same kind: times and paths."""
    node = json.loads(text)
    about = node["metadata"]["papermill"]
    for name in ("start_time", "end_time", "duration", "output_path", "input_path"):
        about.pop(name)
    about["parameters"].pop("result_path")
    for cell in node["cells"]:
        cell.pop("id")
        cell["metadata"]["papermill"] = {k: v for k, v in cell["metadata"]["papermill"].items() if "time" not in k
                                         and k != "duration"}
        cell["metadata"].pop("execution", None)
    return json.loads(re.sub(r"result_path = \\\"[^\"]*\\\"", "", json.dumps(node)))


def test_the_notebook_is_the_same_as_plain_papermills(tmp_path: Path) -> None:
    notebook = tiny(tmp_path, body=ALL_KINDS)
    warm = made(notebook, True, tmp_path, words="it's")
    cold = made(notebook, False, tmp_path, words="it's")
    assert (warm.error, cold.error, warm.kernel, cold.kernel) == (None, None, "warm", "cold")
    plain = papermill.execute_notebook(str(notebook), str(tmp_path / "plain.ipynb"), progress_bar=False,
                                       parameters={"words": "it's", "result_path": str(tmp_path / "r.json")},
                                       cwd=str(tmp_path), kernel_name="python3")
    expected = comparable(nbformat.writes(plain))
    assert "from a child process" in json.dumps(expected)
    assert comparable(cold.notebook) == expected
    assert comparable(warm.notebook) == expected
    assert json.loads(warm.result or "") == json.loads((tmp_path / "r.json").read_text())


def test_runs_share_nothing(tmp_path: Path) -> None:
    """What one run changes, in modules, environment, working folder and random numbers, the next one does not see."""
    body = '''
import json, os, random, tempfile
import numpy
print(hasattr(json, "mark"), "MARK" in os.environ, os.getcwd() == START, numpy.get_printoptions()["precision"])
print("numbers", numpy.random.rand(), random.random())
json.mark, os.environ["MARK"] = 1, "1"
numpy.set_printoptions(precision=3)
os.chdir("/")
'''.replace("START", repr(str(tmp_path)))
    notebook = tiny(tmp_path, body=body)
    said = [made(notebook, True, tmp_path).log.splitlines() for _ in range(2)]
    assert said[0][0] == said[1][0] == "False False True 8"
    assert said[0][1].startswith("numbers")
    assert said[0][1] != said[1][1], "two runs drew the same random numbers"


def test_the_warm_process_has_imported_and_has_one_thread(tmp_path: Path) -> None:
    notebook = tiny(tmp_path, body="import sys\nprint('plotly.graph_objects' in sys.modules)")
    found = load_notebook(str(notebook))
    for imports, expected in (((), "False"), (("plotly.graph_objects",), "True")):
        outcome = execute(found.source, "n.ipynb", {}, Limits(60), True, imports=imports)
        assert outcome.log.splitlines()[0] == expected, outcome.log
    warm = kernels.warm_process(("plotly.graph_objects",))
    assert warm is not None
    process = psutil.Process(warm.process.pid)
    assert process.num_threads() == 1
    assert not [each for each in process.children() if each.status() != psutil.STATUS_ZOMBIE]


def test_a_warm_process_with_threads_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "makes_a_thread.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    found = load_notebook(str(tiny(tmp_path)))
    outcome = execute(found.source, "n.ipynb", {}, Limits(60), True, str(tmp_path), imports=("makes_a_thread",))
    assert (outcome.error, outcome.kernel) == (None, "cold")


def test_kernels_end_with_the_warm_process_and_a_new_one_takes_over(tmp_path: Path) -> None:
    notebook = tiny(tmp_path)
    kernel: list[psutil.Process] = []

    def pull_the_plug() -> bool:
        warm = kernels.warm_process(tuple(load_notebook(str(notebook)).imports))
        if warm is not None and not kernel:
            kernel.extend(psutil.Process(warm.process.pid).children())
            psutil.Process(warm.process.pid).kill() if kernel else None
        return False

    found = load_notebook(str(notebook))
    outcome = execute(found.source, "n.ipynb", {"seconds": 30.0}, Limits(60), True, str(tmp_path), pull_the_plug,
                      tuple(found.imports))
    assert outcome.error is not None
    assert "process ended before its last cell" in outcome.error
    assert kernel
    _, alive = psutil.wait_procs(kernel, timeout=10)
    assert not alive
    assert made(notebook, True, tmp_path).error is None

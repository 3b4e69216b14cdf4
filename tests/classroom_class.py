"""A made-up class: one student for each way to hand something in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell

NAME = "a1_inner_and_outer"
RIGHT = {
    "a1_inner": "def inner_steps(theta, alpha, steps, loss):\n    for _ in range(steps):\n"
                "        theta = theta - alpha * grad(loss)(theta)\n    return theta",
    "a1_outer": "def outer_gradient(theta, alpha, steps, support_loss, query_loss):\n    def after(t):\n"
                "        for _ in range(steps):\n            t = t - alpha * grad(support_loss)(t)\n"
                "        return query_loss(t)\n    return grad(after)(theta)",
    "a1_pull": "def pull_back(theta, alpha, v, loss):\n"
               "    return v - alpha * torch.func.jvp(grad(loss), (theta,), (v,))[1]",
}
FIRST_ORDER = {
    "a1_inner": "def inner_steps(theta, alpha, steps, loss):\n    return theta - steps * alpha * grad(loss)(theta)",
    "a1_outer": "def outer_gradient(theta, alpha, steps, support_loss, query_loss):\n    for _ in range(steps):\n"
                "        theta = theta - alpha * grad(support_loss)(theta)\n    return grad(query_loss)(theta)",
    "a1_pull": "def pull_back(theta, alpha, v, loss):\n    return v",
}
LOOP = "import time\nwhile True:\n    time.sleep(0.2)"
FLOOD = "for _ in range(50):\n    print('x' * 1_000_000)"
OVERWRITE = "import metadialog_lite.lab.judging as j\nopen(j.__file__, 'w').write('# everything passes')\n"
VANDAL = """import pathlib, shutil
course, folder = pathlib.Path({course!r}), pathlib.Path({folder!r})
(folder / "right" / "{name}.ipynb").write_text("mine now")
shutil.rmtree(folder / "half")
(course / "gradebook.db").write_bytes(b"all ten points")
(course / "source" / "new.txt").write_text("I was here")
"""


def handed_in(released: nbformat.NotebookNode, answers: dict[str, str], first: str = "") -> nbformat.NotebookNode:
    """The release with a student's answers, and perhaps a cell of their own at the top."""
    notebook = nbformat.from_dict(json.loads(json.dumps(released)))
    for cell in notebook.cells:
        cell.source = answers.get(cell.metadata.get("nbgrader", {}).get("grade_id", ""), cell.source)
    if first:
        notebook.cells.insert(1, new_code_cell(first))
    return notebook


def write_class(course: Path, folder: Path) -> None:
    """Write everybody's submission; the vandals come in the middle, so that others are graded after them."""
    released = nbformat.read(course / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    without = handed_in(released, RIGHT)
    without.cells = [cell for cell in without.cells
                     if cell.metadata.get("nbgrader", {}).get("grade_id") not in ("a1_outer_test", "a1_pull")]
    lost = handed_in(released, RIGHT)  # a cell that was copied by hand has lost its mark but still counts
    for cell in lost.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "a1_pull":
            del cell.metadata["nbgrader"]
    vandal = VANDAL.format(course=str(course), folder=str(folder), name=NAME)
    everybody: dict[str, Any] = {
        "right": handed_in(released, RIGHT),
        "wrong": handed_in(released, FIRST_ORDER),
        "half": handed_in(released, {**FIRST_ORDER, "a1_inner": RIGHT["a1_inner"]}),
        "checker": handed_in(released, RIGHT, OVERWRITE),
        "vandal": handed_in(released, RIGHT, vandal),
        "stubs": released,
        "syntax": handed_in(released, {**RIGHT, "a1_inner": "def inner_steps(:\n    return"}),
        "loop": handed_in(released, {**RIGHT, "a1_outer": LOOP}),
        "flood": handed_in(released, {**RIGHT, "a1_outer": FLOOD}),
        "without": without,
        "lost mark": lost,
        "empty": "",
        "broken": '{"cells": [',
    }
    for student, work in everybody.items():
        target = folder / student / f"{NAME}.ipynb"
        target.parent.mkdir(parents=True)
        target.write_text(work if isinstance(work, str) else nbformat.writes(work), encoding="utf-8")
    renamed = folder / "renamed" / NAME / "my homework (final).ipynb"  # nbgrader's layout, another name
    renamed.parent.mkdir(parents=True)
    renamed.write_text(nbformat.writes(everybody["right"]), encoding="utf-8")
    (folder / "=1+1" / NAME).mkdir(parents=True)  # no student's name, and a formula for a spreadsheet

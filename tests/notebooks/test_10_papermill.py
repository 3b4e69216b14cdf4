"""Notebook 10 from the shell with plain papermill: every probe tells the mistake from the right program."""

from __future__ import annotations

import json

import nbformat
import papermill as pm
import pytest
import torch

from metadialog_lite.lab import check
from metadialog_lite.lab.parameters_10 import KEYS, MuseumParameters
from metadialog_lite.paths import notebooks_dir

NAME = "10_bug_museum"
NOTEBOOK = notebooks_dir() / f"{NAME}.ipynb"


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"steps": 40, "seed": 0}, {"steps": 20, "seed": 5, "exhibit": "perplexity"}], ids=["short", "another seed"])
def test_parameter_sets_give_results(papermill, parameters) -> None:
    run = papermill(NAME, timeout=600, **parameters, result_path="out/result.json")
    assert run.code == 0, run.log[-3000:]
    result = json.loads((run.folder / "out" / "result.json").read_text(encoding="utf-8"))
    assert tuple(result["probes"]) == tuple(result["curves"]) == KEYS
    for key, probe in result["probes"].items():
        assert probe["without"] <= 1e-6
        if key != "layernorm_vmap" or torch.__version__.startswith("2.13"):
            assert probe["with"] > 1e-3, key
    curves = result["curves"]
    assert curves["query_inside"]["with"]["reported test loss"] < 0.1 * curves["query_inside"]["without"][
        "reported test loss"]
    assert curves["same_points"]["with"]["training"] < 0.2 < curves["same_points"]["with"]["new tasks"]
    assert not (run.folder / "my_predictions.json").exists()


def test_bad_parameters_stop_the_run_with_a_readable_word(papermill) -> None:
    run = papermill(NAME, exhibit="first_ordr", steps=5)
    assert run.code != 0
    assert "did you mean 'first_order'?" in run.log
    assert "steps: got 5: input should be greater than or equal to 20" in run.log


def test_every_parameter_is_typed_and_explained() -> None:
    found = pm.inspect_notebook(str(NOTEBOOK))
    assert set(found) == set(MuseumParameters.names())
    defaults = MuseumParameters()
    for name, parameter in found.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float")
        assert parameter["help"], name
        assert str(getattr(defaults, name)) == parameter["default"].strip('"')


def test_the_notebook_is_small_and_its_cells_are_short() -> None:
    assert NOTEBOOK.stat().st_size <= 300_000
    cells = nbformat.read(NOTEBOOK, 4).cells
    assert len(cells) <= 60
    assert {c.id for c in cells if c.cell_type == "code" and len(c.source.splitlines()) > 15} == set()
    assert "widget-view" not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.parametrize(("cell", "exercise"), [("ex1", "10.1"), ("ex2", "10.2"), ("ex3", "10.3")])
def test_the_printed_solutions_pass_their_checks(cell: str, exercise: str) -> None:
    (text,) = [one.source for one in nbformat.read(NOTEBOOK, 4).cells if one.id == cell]
    names: dict[str, object] = {"torch": torch}
    exec(text.split("```python\n")[1].split("```")[0], names)
    verdict = check(exercise, next(value for name, value in names.items() if name not in ("torch", "__builtins__")))
    assert verdict.passed, verdict

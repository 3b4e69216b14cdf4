"""Notebook 02 from the shell with plain papermill: its claims hold for several worlds and knobs."""

from __future__ import annotations

import json

import nbformat
import papermill as pm
import pytest

from metadialog_lite.lab.parameters_02 import WorldParameters
from metadialog_lite.paths import notebooks_dir

NAME = "02_dialogue_world"
NOTEBOOK = notebooks_dir() / f"{NAME}.ipynb"


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"eval_tasks": 20, "query_turns": 2, "shots": 4},
    {"world": "travel.en", "word_noise": 0.1, "style": 1.0, "eval_tasks": 12, "query_turns": 2, "shots": 4, "seed": 3},
], ids=["small", "noise-and-corrections"])
def test_parameter_sets_give_results(papermill, parameters) -> None:
    run = papermill(NAME, **parameters, result_path="out/result.json")
    assert run.code == 0, run.log[-3000:]
    result = json.loads((run.folder / "out" / "result.json").read_text(encoding="utf-8"))
    assert result["world"] == parameters.get("world", "restaurants.en")
    assert result["knobs"]["word_noise"] == parameters.get("word_noise", 0)
    assert result["knobs"]["style"] == parameters.get("style", 0.3)
    assert list(result["bayes"]) == ["0", "1", "2", "4"]
    assert result["bayes"]["4"]["total"] < result["bayes"]["0"]["total"]
    assert len(result["enumerated"]) == 12
    assert max(abs(mine - theirs) for mine, theirs in result["enumerated"]) < 1e-9
    assert sum(result["next_slot"]["exact"]) == pytest.approx(1)
    for rows in result["regret"].values():
        assert all(expected > -1e-9 for _, expected in rows.values())  # nobody beats Bayes
        assert rows["16"][1] > 0
    assert not (run.folder / "my_predictions.json").exists()


def test_bad_parameters_stop_the_run_with_a_readable_word(papermill) -> None:
    run = papermill(NAME, world="restaurants.en,travel.en")
    assert run.code != 0
    assert "world: got 'restaurants.en,travel.en': 'restaurants.en,travel.en' is several worlds" in run.log


def test_every_parameter_is_typed_and_explained() -> None:
    found = pm.inspect_notebook(str(NOTEBOOK))
    assert set(found) == set(WorldParameters.names())
    defaults = WorldParameters()
    for name, parameter in found.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float")
        assert parameter["help"], name
        assert str(getattr(defaults, name)) == parameter["default"].strip('"')


def test_cells_are_short_and_few() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert len(cells) <= 60
    assert {c.id for c in cells if c.cell_type == "code" and len(c.source.splitlines()) > 15} == set()

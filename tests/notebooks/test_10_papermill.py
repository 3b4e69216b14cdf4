"""Notebook 10 from the shell with plain papermill: every probe tells the mistake from the right program."""

from __future__ import annotations

import json

import pytest
import torch

from metadialog_lite.lab.parameters_10 import KEYS

NAME = "10_bug_museum"


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"steps": 40, "seed": 0}, {"steps": 20, "seed": 5, "exhibit": "perplexity"}], ids=["short", "another seed"])
def test_parameter_sets_give_results(papermill, parameters) -> None:
    run = papermill(NAME, timeout=600, **parameters, result_path="out/result.json")
    result = json.loads(run.written())
    assert tuple(result["probes"]) == tuple(result["curves"]) == KEYS
    for key, probe in result["probes"].items():
        assert probe["without"] <= 1e-6
        if key != "layernorm_vmap" or torch.__version__.startswith("2.13"):
            assert probe["with"] > 1e-3, key
    curves = result["curves"]
    assert curves["query_inside"]["with"]["reported test loss"] < 0.1 * curves["query_inside"]["without"][
        "reported test loss"]
    assert curves["same_points"]["with"]["training"] < 0.2 < curves["same_points"]["with"]["new tasks"]


def test_bad_parameters_stop_the_run_with_a_readable_word(refused) -> None:
    refused(NAME, "did you mean 'first_order'?", "steps: got 5: input should be greater than or equal to 20",
            exhibit="first_ordr", steps=5)

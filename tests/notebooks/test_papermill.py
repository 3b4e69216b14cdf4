"""The helper that runs a notebook under plain papermill. (nbval is the other layer: ``pytest --nbval-lax``.)"""

from __future__ import annotations


def test_a_failing_notebook_is_seen(papermill):
    """The helper itself can go red: a notebook that does not exist is no success."""
    run = papermill("no_such_notebook")
    assert run.code != 0
    assert run.notebook is None

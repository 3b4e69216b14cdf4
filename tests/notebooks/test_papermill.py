"""Every notebook under plain papermill. (nbval, the other layer, is ``pytest --nbval-lax notebooks``.)"""

from __future__ import annotations


def test_start_here(papermill):
    run = papermill("00_start_here")
    assert run.code == 0, run.log
    assert "The installation works." in run.printed
    assert "用户:" in run.printed


def test_a_failing_notebook_is_seen(papermill):
    """The helper itself can go red: a notebook that does not exist is no success."""
    run = papermill("no_such_notebook")
    assert run.code != 0
    assert run.notebook is None

"""The command that writes outputs into the notebooks: for readers on GitHub, and the same every time."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat import v4

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "regenerate_notebooks.py"
spec = importlib.util.spec_from_file_location("regenerate_notebooks", SCRIPT)
assert spec is not None
assert spec.loader is not None
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


def made(tmp_path, *sources: str) -> Path:
    path = tmp_path / "one.ipynb"
    cells = [v4.new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(sources)]
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


def outputs(path: Path, cell: int = 0) -> list:
    return nbformat.read(path, as_version=4).cells[cell].outputs


def test_outputs_stay_and_a_second_run_changes_nothing(tmp_path):
    path = made(tmp_path, "print('hello')\nprint(object())", "2 + 2")
    script.regenerate(path)
    first = path.read_bytes()
    script.regenerate(path)
    assert path.read_bytes() == first
    assert outputs(path)[0].text == "hello\n<object object at 0x…>\n"
    assert outputs(path, 1)[0].data["text/plain"] == "4"


def test_a_panel_becomes_a_sentence_and_leaves_no_state(tmp_path):
    path = made(tmp_path, "import ipywidgets\nipywidgets.VBox([ipywidgets.Button(description='Start')])")
    script.regenerate(path)
    assert "vnd.jupyter.widget" not in path.read_text()
    assert outputs(path)[0].data == {"text/plain": script.PANEL}


def test_a_live_figure_keeps_its_picture_and_its_text(tmp_path):
    bundle = "{'application/vnd.plotly.v1+json': {'data': [], 'layout': {}}, 'text/html': '<script>x</script>', "
    bundle += "'image/png': 'aGVsbG8=', 'text/plain': 'the loss falls from 3 to 1'}"
    path = made(tmp_path, f"from IPython.display import display\ndisplay({bundle}, raw=True)")
    script.regenerate(path)
    (output,) = outputs(path)
    assert set(output.data) == {"image/png", "text/plain"}
    assert output.data["text/plain"] == "the loss falls from 3 to 1"


def test_the_parameters_tag_stays(tmp_path):
    path = made(tmp_path, "steps: int = 20  # how many")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].metadata = {"tags": ["parameters"], "execution": {"started": "now"}}
    nbformat.write(notebook, path)
    script.regenerate(path)
    assert nbformat.read(path, as_version=4).cells[0].metadata == {"tags": ["parameters"]}


def test_a_failing_or_a_huge_notebook_is_left_as_it_was(tmp_path):
    for source, fault in (("1 / 0", CellExecutionError), ("for _ in range(5000): print('x' * 80)", ValueError)):
        path = made(tmp_path, source)
        before = path.read_bytes()
        with pytest.raises(fault):
            script.regenerate(path)
        assert path.read_bytes() == before

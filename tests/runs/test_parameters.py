"""Values, grids and the check against the notebook, all before anything is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from metadialog_lite.runs.grid import grid_of_file, grid_of_text, settings
from metadialog_lite.runs.notebook import NotebookError, Runnable, load_notebook
from metadialog_lite.runs.values import as_range, checked, from_text

CELL = '''
learner: str = "maml"  # who learns
inner_lr: float = 0.01  # the rate
seed: int = 0  # of the draws
fast: bool = False  # or slow
sizes: list = [1, 2]  # of the layers
words = "no type, but a default"
result_path: str = ""  # where to
'''


def made(folder: Path, cell: str = CELL, tags: tuple[str, ...] = ("parameters",)) -> Path:
    node = new_notebook(cells=[new_code_cell(cell, metadata={"tags": list(tags)}), new_code_cell("import math, json")],
                        metadata={"kernelspec": {"name": "python3", "display_name": "x", "language": "python"}})
    path = folder / "some notebook {x}.ipynb"
    nbformat.write(node, path)
    return path


@pytest.fixture
def notebook(tmp_path: Path) -> Runnable:
    return load_notebook(str(made(tmp_path)))


def test_declared_names_types_defaults_and_comments(notebook: Runnable) -> None:
    kinds = {name: each.kind for name, each in notebook.declared.items()}
    assert kinds == {"learner": "str", "inner_lr": "float", "seed": "int", "fast": "bool", "sizes": "list",
                     "words": "str", "result_path": "str"}
    assert notebook.defaults["sizes"] == [1, 2]
    assert notebook.declared["seed"].help == "of the draws"
    assert notebook.imports == ["math", "json"]


@pytest.mark.parametrize(("text", "kind", "value"), [
    ("3", "int", 3), ("-3", "int", -3), ("1e-3", "float", 0.001), ("2", "float", 2.0), ("True", "bool", True),
    ("false", "bool", False), ("3", "str", "3"), ("[1, 2]", "list", [1, 2]), ('{"a": 1}', "dict", {"a": 1}),
    ("(1, 2)", "tuple", (1, 2)), ("plain", "Optional[str]", "plain"),
])
def test_text_becomes_the_declared_type(text: str, kind: str, value: Any) -> None:
    found = from_text(text, kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("text", "kind", "words"), [
    ("many", "int", "a whole number"), ("1.5", "int", "a whole number"), ("fast", "float", "a number"),
    ("1", "bool", "true or false"), ("{}", "list", "a list"), ("[1", "list", "a list"),
])
def test_text_of_another_type_says_what_is_expected(text: str, kind: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        from_text(text, kind)
    assert repr(text) in str(caught.value)


def test_values_of_another_type() -> None:
    assert checked(1, "float") == 1.0
    assert checked("1e-3", "float") == 0.001  # what YAML makes of 1e-3
    for value, kind in ((True, "int"), (1.5, "int"), (3, "str"), ([1], "str"), (None, "int"), (True, "float")):
        with pytest.raises(ValueError, match="is expected"):
            checked(value, kind)


def test_ranges_include_their_end() -> None:
    assert as_range("0..4") == [0, 1, 2, 3, 4]
    assert as_range("-1..0") == [-1, 0]
    assert as_range("0.4") is None
    with pytest.raises(ValueError, match=r"did you mean 1\.\.3"):
        as_range("3..1")
    with pytest.raises(ValueError, match="at most"):
        as_range("0..99999999")


def test_a_grid_as_text(notebook: Runnable) -> None:
    grid = grid_of_text("inner_lr=0.01,3e-2 learner=maml,reptile  seed=0..4", notebook)
    assert grid == {"inner_lr": [0.01, 0.03], "learner": ["maml", "reptile"], "seed": [0, 1, 2, 3, 4]}
    every = settings(notebook, grid)
    assert len(every) == 20
    assert every[0] == {"inner_lr": 0.01, "learner": "maml", "seed": 0}
    assert every[1]["seed"] == 1


@pytest.mark.parametrize(("text", "values"), [
    ("""words='a b, c="d"'""", ['a b, c="d"']), ('words="one\\ntwo\\u4e2d","it\'s"', ["one\ntwo中", "it's"]),
    ("words=餐馆,café", ["餐馆", "café"]), ("words=0..4", ["0..4"]), ("words=a=b", ["a=b"]), ("words=''", [""]),
    ('words="line\nbreak"', ["line\nbreak"]),
])
def test_blanks_quotes_unicode_and_newlines_in_a_grid(notebook: Runnable, text: str, values: list[str]) -> None:
    assert grid_of_text(text, notebook)["words"] == values


@pytest.mark.parametrize(("text", "words"), [
    ("inner_lr", "expected NAME=VALUE"), ("inner_lr=", "expected NAME=VALUE"), ("seed=1,,2", "expected NAME=VALUE"),
    ("inner_rl=0.1", "did you mean inner_lr"), ("seed=1,two", "got 'two': a whole number"),
    ("seed=4..1", "runs backwards"), ("seed=1 seed=2", "given twice"), ("words='open", "expected NAME=VALUE"),
])
def test_a_wrong_grid_names_the_culprit(notebook: Runnable, text: str, words: str) -> None:
    with pytest.raises(NotebookError, match=words):
        grid_of_text(text, notebook)


def test_a_grid_as_yaml(notebook: Runnable, tmp_path: Path) -> None:
    path = tmp_path / "grid.yml"
    path.write_text('inner_lr: [0.01, 1e-3]\nseed: 0..2\nlearner: maml\nsizes: [3, 4]\n'
                    'words: ["a b", "line\\nbreak", "it\'s \\"so\\"", 中文]\n', encoding="utf-8")
    grid = grid_of_file(path, notebook)
    assert grid == {"inner_lr": [0.01, 0.001], "seed": [0, 1, 2], "learner": ["maml"], "sizes": [[3, 4]],
                    "words": ["a b", "line\nbreak", "it's \"so\"", "中文"]}
    assert len(settings(notebook, grid)) == 2 * 3 * 4


@pytest.mark.parametrize(("text", "words"), [
    ("innerlr: 0.1\nseed: many\n", ["grid.yml: innerlr: there is no such parameter", "did you mean inner_lr",
                                    "grid.yml: seed: got 'many'"]),
    ("seed: [1, [2]]\n", ["seed: got [2]"]), ("seed: []\n", ["seed: an empty list"]),
    ("- 1\n", ["expected lines such as"]), ("seed: [1\n", ["is no YAML", "line 2"]), ("", ["expected lines such as"]),
    ("seed: true\n", ["seed: got True"]), ("words: !!python/name:os.system\n", ["is no YAML"]),
])
def test_a_wrong_yaml_file_names_file_and_culprits(notebook: Runnable, tmp_path: Path, text: str,
                                                   words: list[str]) -> None:
    path = tmp_path / "grid.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NotebookError) as caught:
        grid_of_file(path, notebook)
    for word in ["grid.yml", *words]:
        assert word in str(caught.value)


def test_ranges_are_those_of_the_notebooks_own_check() -> None:
    found = load_notebook("experiment")
    assert found.kind is not None
    assert found.kind.__name__ == "ExperimentParameters"
    with pytest.raises(NotebookError) as caught:
        settings(found, {"inner_lr": [0.1, -1.0], "learner": ["mamal"], "shots": [16, 0]})
    text = str(caught.value)
    for word in ("inner_lr: got -1.0", "did you mean 'maml'", "shots: got 0"):
        assert word in text
    assert load_notebook("05").kind is not found.kind
    assert load_notebook("06").kind.__name__ == "DataParameters"  # type: ignore[union-attr]


def test_equal_settings_come_once_and_too_many_are_refused(notebook: Runnable) -> None:
    assert len(settings(notebook, {"seed": [1, 1, 2]})) == 2
    with pytest.raises(NotebookError, match="200,000 runs"):
        settings(notebook, {"seed": list(range(100_000)), "fast": [True, False]})


def test_what_is_no_notebook_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{", encoding="utf-8")
    other = tmp_path / "other.ipynb"
    other.write_text(json.dumps({"cells": 3}), encoding="utf-8")
    for path in (broken, other):
        with pytest.raises(NotebookError, match="is no notebook"):
            load_notebook(str(path))
    with pytest.raises(NotebookError, match="did you mean"):
        load_notebook("experimant")
    with pytest.raises(NotebookError, match="tag 'parameters'"):
        load_notebook(str(made(tmp_path, tags=())))

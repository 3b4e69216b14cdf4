"""The ledger of equations (docs/EQUATIONS.md) is complete and up to date."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: Which notebook teaches the equations with this word in their id.
TAUGHT = {
    "01_learning_to_learn": ("TOY",),
    "02_dialogue_world": ("WORLD", "TURN", "BAYES", "ASK", "NOISE", "REGRET"),
    "05_meta_optimization": ("MAML", "FOMAML", "REPTILE", "ANIL", "METASGD", "ARGMIN", "TRAIN"),
    "03_meta_networks": ("HYPER", "SET", "EMIT", "FAST", "CTX", "MEM"),
    "04_meta_neural_networks": ("MNN", "GATE", "MASK"),
    "06_meta_data_generation": ("MDG", "DIST", "AUG", "REW", "LIT"),
    "07_compare_families": ("GAP", "PAIR", "PPL"),
}


@pytest.fixture(scope="module")
def ledger() -> ModuleType:
    """The script that makes the table."""
    spec = importlib.util.spec_from_file_location("equation_ledger", ROOT / "scripts" / "equation_ledger.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_equation_has_formula_code_and_test(ledger: ModuleType) -> None:
    rows = ledger.ledger()
    assert len(rows) >= 28
    assert {id_: row.missing() for id_, row in rows.items() if row.missing()} == {}


def test_every_equation_stands_in_its_notebook(ledger: ModuleType) -> None:
    """As soon as a family's notebook is there, all its equations must be in it."""
    for id_, row in ledger.ledger().items():
        for notebook, words in TAUGHT.items():
            if id_.split("-")[1] in words and (ROOT / "notebooks" / f"{notebook}.ipynb").exists():
                assert notebook in row.notebooks, id_


def test_the_table_is_up_to_date(ledger: ModuleType) -> None:
    text = (ROOT / "docs" / "EQUATIONS.md").read_text(encoding="utf-8")
    assert text == ledger.render(), "run: python scripts/equation_ledger.py"

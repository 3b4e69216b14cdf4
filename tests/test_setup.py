"""The set-up files agree with each other, and what is shipped keeps the course's own rules."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
ON_CONDA = {"torch": "pytorch"}  # the names that differ


def project() -> dict:
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10; pytest itself brings tomli there
        import tomli as tomllib
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(*extras: str) -> list[Requirement]:
    table = project()
    lines = list(table["dependencies"])
    for extra in extras:
        lines += table["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def everything() -> list[Requirement]:
    return requirements(*project()["optional-dependencies"])


def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_extras_and_the_entry_point():
    table = project()
    assert set(table["optional-dependencies"]) == {"dev", "classroom", "sweep", "corpora"}
    assert table["requires-python"] == ">=3.10"
    assert table["scripts"] == {"metadialog-lite": "metadialog_lite.cli:app"}


def test_every_dependency_is_a_range_with_an_exact_version_in_it():
    for requirement in everything():
        assert ">=" in str(requirement.specifier), f"{requirement}: give a lower bound"
        assert "==" not in str(requirement.specifier), f"{requirement}: exact versions belong in constraints.txt"
        chosen = [pin for pin in pins() if normal(pin.name) == normal(requirement.name)]
        assert chosen, f"{requirement.name} is not in constraints.txt"
        for pin in chosen:
            (exact,) = pin.specifier
            assert exact.version in requirement.specifier, f"{pin} is outside {requirement}"


def test_constraints_are_exact_public_versions_for_every_python():
    by_name: dict[str, list[Requirement]] = {}
    for pin in pins():
        (exact,) = pin.specifier
        assert exact.operator == "==", pin
        assert Version(exact.version).local is None, f"{pin}: a build tag fits one machine only"
        assert not pin.url, f"{pin}: no addresses"
        by_name.setdefault(normal(pin.name), []).append(pin)
    for name, found in by_name.items():
        for python in ("3.10", "3.11", "3.12", "3.13"):
            fitting = [p for p in found if p.marker is None or p.marker.evaluate({"python_version": python})]
            assert len(fitting) == 1, f"{name} has {len(fitting)} versions for Python {python}"


def test_conda_has_the_same_ranges():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert "conda-forge" in listed["channels"]
    lines = [line for line in listed["dependencies"] if isinstance(line, str)]
    (from_pip,) = [entry["pip"] for entry in listed["dependencies"] if isinstance(entry, dict)]
    conda = {r.name: r.specifier for r in map(Requirement, [*lines, *from_pip])}
    assert conda.pop("python") == SpecifierSet(project()["requires-python"])
    conda.pop("pip")
    assert conda == {ON_CONDA.get(r.name, r.name): r.specifier for r in requirements("corpora")}


def test_the_readme_gives_every_dependency_its_reason():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split("## Dependencies")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| ([\w-]+)(?: \(`\w+`\))? \| (.+) \|$", table, flags=re.MULTILINE))
    del rows["package"]
    assert {normal(name) for name in rows} == {normal(r.name) for r in everything()}
    assert all(len(reason) > 10 for reason in rows.values())


def test_the_readme_names_its_two_commands_and_files_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^make lab ", text, flags=re.MULTILINE)
    assert re.search(r"^make test ", text, flags=re.MULTILINE)
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), f"README.md points to {target}"


def test_the_readmes_command_lines_work(tmp_path):
    """In their order (evaluate reads what train wrote), with shorter training."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^metadialog-lite .+$", text, flags=re.MULTILINE)
    # tests/runs makes such runs, tests/test_corpus_check.py such checks
    only_checked = {"run": " --describe", "sweep": " --dry-run", "report": " --help", "corpus": " --help"}
    assert {line.split()[1] for line in lines} == {"train", "evaluate", "compare", "world", "course", *only_checked}
    (tmp_path / "data").symlink_to(ROOT / "data")
    for line in lines:
        if line.split()[1] == "course":  # these three are run on a whole class in test_classroom_batch.py
            continue
        quick = re.sub(r"--seconds \d+", "--steps 2", re.sub(r"--tasks \d+", "--tasks 2", line))
        quick += only_checked.get(quick.split()[1], "")
        command = [str(Path(sys.executable).with_name("metadialog-lite")), *shlex.split(quick)[1:]]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{quick}\n{done.stdout}{done.stderr}"


def test_make_knows_the_readmes_targets():
    for target in ("lab", "test", "lint", "notebooks", "site", "help"):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_make_says_so_when_python_is_too_old(tmp_path):
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nif [ \"$1\" = --version ]; then echo Python 3.8.1; exit 0; fi\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "lab", f"PYTHON={old}", f"VENV={tmp_path}/venv"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "needs Python 3.10 or newer" in done.stdout
    assert "Python 3.8.1" in done.stdout
    assert not (tmp_path / "venv").exists()


def test_start_over_without_a_name_says_how():
    done = subprocess.run(
        ["make", "-o", ".venv/.lab-ready", "start-over"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "make start-over NOTEBOOK=" in done.stdout


def test_the_licence_is_mit():
    assert project()["license"] == "MIT"
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("MIT License")
    assert "2026 MetaDialog Lite contributors" in text


def test_no_module_is_longer_than_300_lines():
    for path in (ROOT / "metadialog_lite").rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_committed_notebook_keeps_the_rules(path):
    assert path.stat().st_size <= 300_000, "at most 300 kB"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert "widgets" not in notebook["metadata"], "widget state: regenerate with make notebooks"
    assert len(notebook["cells"]) <= 60
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        assert len(source.splitlines()) <= 15 or "parameters" in cell["metadata"].get("tags", []), source
        if path.parent.name in ("release", "solutions"):  # made from a source that has been run
            assert cell["outputs"] == []
            continue
        assert cell["execution_count"], f"never run, use make notebooks:\n{source}"
        for output in cell["outputs"]:
            assert output["output_type"] != "error", source
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {}), source


def test_a_wheel_carries_worlds_and_notebooks(tmp_path):
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("data/worlds", "notebooks"):
        files = [path for path in (ROOT / folder).iterdir() if path.suffix in (".yaml", ".ipynb")]
        assert files
        assert {f"metadialog_lite/_shipped/{folder}/{path.name}" for path in files} <= names
    assert not [name for name in names if name.startswith(("tests/", "work/", "data/", "notebooks/"))]


def test_the_notebooks_lead_from_one_to_the_next_in_the_order_of_the_map() -> None:
    """README's map, and each notebook's footer with its Back and Next."""
    folder = ROOT / "notebooks"
    order = re.findall(r"^\| \d+ \| \[[^]]*\]\(notebooks/(\w+)\.ipynb\)", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert sorted(order) == sorted(path.stem for path in folder.glob("*.ipynb"))
    for before, name, after in zip(["", *order], order, [*order[1:], ""]):
        footer = "".join(json.loads((folder / f"{name}.ipynb").read_text("utf-8"))["cells"][-1]["source"])
        for word, other in (("Back", before), ("Next", after)):
            assert re.findall(rf"\*\*{word}:\*\* \[[^]]*\]\((\w+)\.ipynb\)", footer) == [other] * bool(other), name

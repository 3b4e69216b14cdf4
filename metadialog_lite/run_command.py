"""``metadialog-lite run`` and ``report``: one notebook with other parameters, and the report over a folder of runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperCommand

if TYPE_CHECKING:
    from metadialog_lite.runs.notebook import Runnable

say = Console(stderr=True)
REPORT = "runs/report"


class PairsCommand(TyperCommand):
    """Lets ``-p NAME VALUE`` (papermill's way) through as ``-p NAME=VALUE``, which is taken as well."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join each pair, then go on as usual."""
        return list(super().parse_args(ctx, list(joined(args))))


def joined(args: list[str]) -> Iterator[str]:
    """``["-p", "seed", "1"]`` -> ``["-p", "seed=1"]``; what has an equals sign already stays as it is."""
    words = iter(args)
    for word in words:
        yield word
        if word in ("-p", "--parameter"):
            name = next(words, None)
            if name is None:
                return
            value = next(words, None) if name.isidentifier() else None
            yield name if value is None else f"{name}={value}"


def pairs(items: list[str] | None) -> dict[str, str]:
    """``["seed=1"]`` -> ``{"seed": "1"}``. Raises ValueError for what is no pair and for a name given twice."""
    result: dict[str, str] = {}
    for item in items or []:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise ValueError(f"-p {item}: expected a name and a value, such as -p seed 1")
        if name in result:
            raise ValueError(f"-p {name}: given twice, as {result[name]} and {value}")
        result[name] = value
    return result


def run(
    notebook: Annotated[str, typer.Argument(help="path of a notebook, or the name of a shipped one (05, experiment)")],
    parameter: Annotated[Optional[list[str]], typer.Option(  # noqa: UP045
        "-p", "--parameter", metavar="NAME VALUE", help="a parameter; may be given many times")] = None,
    file: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        "-f", "--file", help="YAML file with parameters; -p wins over it")] = None,
    out: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        help="the executed notebook; by default runs/NAME.ID.ipynb")] = None,
    describe: Annotated[bool, typer.Option("--describe", help="only list the notebook's parameters")] = False,
) -> None:
    """Run a notebook with other parameters: names, types and ranges are checked first."""
    from metadialog_lite.runs.notebook import load_notebook
    from metadialog_lite.runs.store import run_id

    try:
        found = load_notebook(notebook)
        if describe:
            for each in found.declared.values():
                print(f"{each.name}: {each.kind} = {each.default!r}  {each.help}")
            return
        chosen = {**from_file(file, found), **found.read(pairs(parameter))}
        found.check(chosen)
        target = out or Path("runs") / f"{found.path.stem}.{run_id(found, chosen)}.ipynb"
        may_replace(target)
        target.parent.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        raise bad_input(str(error)) from error
    made(found, chosen, target)
    print(target)


def made(notebook: Runnable, chosen: Mapping[str, Any], target: Path) -> None:
    """Run it through papermill with a progress bar; exit 1 with the cell's error, the notebook so far being kept."""
    import logging

    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from metadialog_lite.results import write_text
    from metadialog_lite.runs.execute import explained, without_widgets

    logging.getLogger("papermill").setLevel(logging.ERROR)
    failed = None
    try:
        papermill.execute_notebook(notebook.node, _verbatim(target), dict(chosen), kernel_name="python3",
                                   progress_bar=sys.stderr.isatty())
    except PapermillExecutionError as error:
        failed = explained(error)
    except KeyboardInterrupt:
        failed = "stopped"
    except (RuntimeError, OSError) as error:
        failed = str(error)
    if target.exists():
        node = nbformat.read(target, as_version=4)
        without_widgets(node)
        node.metadata.papermill["input_path"] = str(notebook.path)
        write_text(target, nbformat.writes(node) + "\n")
    if failed is not None:
        say.print(f"[bold red]error:[/] {escape(failed)}\nThe notebook as far as it came: {escape(str(target))}",
                  highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def may_replace(target: Path) -> None:
    """Raise ValueError where a file is that no run has made: it is somebody's work."""
    import nbformat

    if not target.exists():
        return
    try:
        executed = "papermill" in nbformat.read(target, as_version=4).metadata
    except (OSError, ValueError):
        executed = False
    if not executed:
        raise ValueError(f"{target}: exists, and no run has made it; give another file with --out")


def _verbatim(path: Path) -> str:
    """Papermill fills in braces in a path; here a brace is a brace."""
    return str(path).replace("{", "{{").replace("}", "}}")


def report(
    folder: Annotated[Path, typer.Argument(help="a folder of runs, as metadialog-lite sweep makes it")],
    out: Annotated[Optional[Path], typer.Option(help="by default report.ipynb in that folder")] = None,  # noqa: UP045
) -> None:
    """Run the report notebook over a folder of runs: table, curves, best settings, and what failed."""
    from metadialog_lite.runs.notebook import load_notebook
    from metadialog_lite.runs.report import read_runs

    try:
        if not read_runs(folder):
            raise ValueError(f"{folder}: there are no runs in it; a run has a folder with a status.json")
        found, target = load_notebook(REPORT), out or folder / "report.ipynb"
        may_replace(target)
    except (ValueError, OSError) as error:
        raise bad_input(str(error)) from error
    made(found, {"folder": str(folder.resolve())}, target)
    print(target)


def from_file(file: Path | None, notebook: Runnable) -> dict[str, Any]:
    """The parameters of a YAML file, as declared types. Raises NotebookError naming the file and each culprit."""
    from metadialog_lite.runs.grid import yaml_mapping
    from metadialog_lite.runs.notebook import NotebookError

    if file is None:
        return {}
    try:
        return notebook.take(yaml_mapping(file))
    except NotebookError as error:
        text = str(error)
        lines = text.splitlines() if not text.startswith(str(file)) else [text]
        raise NotebookError("\n".join(line if line.startswith(str(file)) else f"{file}: {line}" for line in lines)
                            ) from error


def bad_input(message: str) -> typer.Exit:
    """Say on stderr what is wrong, and give the exception to raise."""
    say.print(f"[bold red]bad input:[/] {escape(message)}", highlight=False, soft_wrap=True)
    return typer.Exit(2)

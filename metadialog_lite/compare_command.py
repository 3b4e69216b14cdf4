"""``metadialog-lite compare``: run what is missing of the comparison, and show the table."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from metadialog_lite.paths import data_dir

if TYPE_CHECKING:
    from metadialog_lite.results import Result

say = Console(stderr=True)


def compare(
    learners: Annotated[str, typer.Option(help="learners with commas between them, or all")] = "all",
    world: Annotated[str, typer.Option(help="shipped world with a joint checkpoint WORLD.joint")] = "restaurants.en",
    corpus: Annotated[str | None, typer.Option(
        help="a real corpus instead of a world: chitchat, or NAME:FOLDER; its own budget and learners")] = None,
    size: Annotated[str, typer.Option(help="model size on a corpus: tiny, small or full")] = "tiny",
    device: Annotated[str, typer.Option(help="on a corpus: cpu or cuda")] = "cpu",
    seeds: Annotated[str, typer.Option(help="training seeds with commas between them")] = "1",
    tasks: Annotated[int, typer.Option(min=20, help="held-out tasks")] = 200,
    budget: Annotated[float, typer.Option(min=1, help="CPU seconds of training for each, warm start included")] = 300.0,
    folder: Annotated[Path, typer.Option(help="where checkpoints go")] = Path("runs/compare"),
    results: Annotated[Path | None, typer.Option(help="where results go; by default data/results/compare")] = None,
    run: Annotated[bool, typer.Option("--run/--show", help="run what is missing, or only show what is there")] = False,
) -> None:
    """Every learner on the same held-out tasks after the same training budget; finished runs are never made twice."""
    from metadialog_lite import comparison, recipes

    if corpus is not None:
        _compare_real(corpus, learners, seeds, size, device, folder, results, run)
        return
    kept = results or data_dir() / "results" / "compare"
    try:
        names = [*recipes.BASELINES, *recipes.RECIPES] if learners == "all" else learners.split(",")
        numbers = [int(seed) for seed in seeds.split(",")]
        todo = comparison.plans(names, world, numbers, folder.resolve(), kept, tasks=tasks, budget=budget)
    except ValueError as error:
        say.print(f"[bold red]bad input:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    try:
        for plan in todo if run else ():
            for command in plan.run():
                say.print(escape(command), highlight=False, soft_wrap=True)
    except (RuntimeError, OSError, ValueError) as error:
        say.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    show(comparison.finished(kept, world), world)


def _compare_real(
    corpus: str, learners: str, seeds: str, size: str, device: str, folder: Path, results: Path | None, run: bool
) -> None:
    """The same on real dialogues (real_comparison.py)."""
    from metadialog_lite import corpora, recipes
    from metadialog_lite.lab.real_data import read_real, verdict
    from metadialog_lite.real_comparison import BASELINES, RealPlan, plans

    kept = results or data_dir() / "results" / "real"
    try:
        recipes.with_size({"size": size})
        label = corpora.label(corpus)
        names = [*BASELINES, *recipes.REAL_RECIPES] if learners == "all" else learners.split(",")
        first = RealPlan(corpus, label, names[0], 0, folder.resolve(), kept,
                         recipes.SCHEDULES[size], size, device)
        todo = plans(names, [int(seed) for seed in seeds.split(",")], first)
    except ValueError as error:
        say.print(f"[bold red]bad input:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    try:
        for plan in todo if run else ():
            for command in plan.run():
                say.print(escape(command), highlight=False, soft_wrap=True)
    except (RuntimeError, OSError, ValueError) as error:
        say.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    found = read_real(label, kept, size)
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 120)
    for name in [name for name in found.learners if name != "finetune"]:
        for shots in found.shots:
            console.print(verdict(found, name, shots))
    if not found.runs:
        console.print(f"nothing is stored on {found.title}")


def show(runs: Mapping[tuple[str, int], Result], world: str, shots: int = 16) -> None:
    """Print the table after ``shots`` support turns and one verdict a learner."""
    from metadialog_lite import comparison, recipes

    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table(title=f"{world}, {shots} support turns: nats per turn; gap closed in total and by capability; "
                        "JGA and BLEU after 32; CPU seconds")
    columns = ("learner", "seed", "loss", "gap", "state", "act", "response", "JGA", "BLEU", "train", "adapt", "numbers")
    for name in columns:
        table.add_column(name, justify="left" if name == "learner" else "right")
    rows = []
    for (learner, seed), result in runs.items():
        total = result.row(shots)
        closed = [result.row(shots, part).gap_closed for part in ("total", "state", "act", "response")]
        jga = result.jga.gold_previous_state if result.jga else None
        cells = [total.loss, *closed, jga, result.bleu, result.seconds.train, result.seconds.adapt]
        digits = (3, 3, 3, 3, 3, 3, 1, 0, 3)
        text = ["-" if x is None else f"{x:.{n}f}" for x, n in zip(cells, digits, strict=True)]
        rows.append((-(closed[0] or -9.0), [learner, str(seed), *text, str(result.parameters or 0)]))
    for _, cells_ in sorted(rows):
        table.add_row(*cells_)
    console.print(table)
    for learner in dict.fromkeys(name for name, _ in runs if name not in recipes.BASELINES):
        console.print(comparison.verdict(runs, learner, shots))

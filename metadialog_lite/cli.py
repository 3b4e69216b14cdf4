"""The command line: ``metadialog-lite train | evaluate | world check | world sample``.

Exit 0 = done, 1 = the run failed (such as a training that diverged), 2 = bad input.
With ``--json``, JSON alone on stdout.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table

from metadialog_lite.world.command import world_app

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False,
                  help="Meta-learning in generative dialogue systems, small enough to read.")
app.add_typer(world_app, name="world")
say = Console(stderr=True)


def fail(message: str, code: int = 2) -> typer.Exit:
    """Print a message for a person on stderr and return the exception to raise."""
    say.print(f"[bold red]error:[/] {message}" if code == 1 else f"[bold red]bad input:[/] {message}",
              highlight=False, soft_wrap=True)
    return typer.Exit(code)


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="checkpoint to write (.safetensors)")],
    learner: Annotated[str, typer.Option(help="name of the learner, such as maml or meta_sgd")] = "maml",
    world: Annotated[Optional[str], typer.Option(help="shipped world or YAML file")] = None,  # noqa: UP045
    corpus: Annotated[Optional[str], typer.Option(help="real corpus, such as chitchat")] = None,  # noqa: UP045
    steps: Annotated[Optional[int], typer.Option(help="outer steps")] = None,  # noqa: UP045
    seconds: Annotated[Optional[float], typer.Option(help="process CPU seconds")] = None,  # noqa: UP045
    seed: Annotated[int, typer.Option(help="of initialisation and tasks")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    start: Annotated[Optional[str], typer.Option(help="checkpoint whose θ₀ is the start")] = None,  # noqa: UP045
    resume: Annotated[bool, typer.Option("--resume", help="go on from --out when it exists")] = False,
    outer_lr: Annotated[float, typer.Option(help="β")] = 3e-3,
    tasks: Annotated[int, typer.Option(help="tasks per outer step")] = 8,
    query_turns: Annotated[int, typer.Option(help="query turns per task")] = 8,
    shots: Annotated[str, typer.Option(help="numbers of support turns to draw from")] = "0,1,2,4,8,16,32",
    option: Annotated[Optional[list[str]], typer.Option(help="of the learner, NAME=VALUE (inner_lr=0.03)")] = None,  # noqa: UP045
    model: Annotated[Optional[list[str]], typer.Option(help="model size, NAME=VALUE (width=64)")] = None,  # noqa: UP045
    threads: Annotated[int, typer.Option(help="torch threads")] = 1,
) -> None:
    """Train a learner and write its checkpoint (also every minute on the way)."""
    from metadialog_lite import workbench

    try:
        import torch

        torch.set_num_threads(threads)
        job = workbench.prepare(
            out, learner, world, corpus, start, resume,
            {"steps": steps, "seconds": seconds, "seed": seed, "device": device, "outer_lr": outer_lr, "tasks": tasks,
             "query_turns": query_turns, "shots": tuple(int(k) for k in shots.split(","))},
            _pairs(option), _pairs(model), shlex.join(["metadialog-lite", *sys.argv[1:]]),
        )
    except (ValueError, OSError, ImportError) as error:
        raise fail(str(error)) from error
    warning = None
    with Progress(*Progress.get_default_columns(), TextColumn("{task.fields[line]}"), console=say) as bar:
        shown = bar.add_task("training", total=1.0, line="")
        try:
            for record in job.run():
                bar.update(shown, completed=job.trainer.progress, line=record.line())
                warning = record.warning
        except KeyboardInterrupt:
            say.print("stopped; the checkpoint holds what was reached, --resume goes on")
        except (ValueError, OSError) as error:
            raise fail(str(error), 1) from error
    print(f"{out}: step {job.trainer.done_steps}, {job.trainer.cpu_seconds:.0f} CPU seconds")
    if warning:
        raise fail(warning, 1)


@app.command()
def evaluate(
    checkpoint: Annotated[str, typer.Option(help="checkpoint file, or the name of a shipped one")],
    learner: Annotated[Optional[str], typer.Option(  # noqa: UP045
        help="another learner on the checkpoint's θ₀: finetune, scratch, prior or bayes")] = None,
    world: Annotated[Optional[str], typer.Option(help="shipped world or YAML file")] = None,  # noqa: UP045
    corpus: Annotated[Optional[str], typer.Option(help="real corpus")] = None,  # noqa: UP045
    shots: Annotated[str, typer.Option(help="numbers of support turns")] = "0,2,4,8,16,32",
    tasks: Annotated[int, typer.Option(help="held-out tasks")] = 200,
    query_turns: Annotated[int, typer.Option(help="query turns per task")] = 8,
    seed: Annotated[int, typer.Option(help="of the held-out tasks")] = 0,
    split: Annotated[str, typer.Option(help="test or valid")] = "test",
    decode: Annotated[bool, typer.Option(help="also decode: JGA, act accuracy, BLEU")] = True,
    threads: Annotated[int, typer.Option(help="torch threads")] = 1,
    out: Annotated[Optional[Path], typer.Option(help="also write the JSON here")] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout")] = False,
) -> None:
    """Loss, Bayes floor, regret and gap closed per capability and shots on held-out tasks, with 95 % intervals."""
    from metadialog_lite import workbench

    try:
        import torch

        torch.set_num_threads(threads)
        counts = [int(k) for k in shots.split(",")]
        result = workbench.evaluate_checkpoint(
            checkpoint, learner, world, corpus, counts, tasks, query_turns, seed, split, decode
        )
        if out is not None:
            result.write(out)
    except (ValueError, OSError, ImportError) as error:
        raise fail(str(error)) from error
    if as_json:
        print(result.to_json())
        return
    console = Console()
    where = result.world or result.corpus
    table = Table(title=f"{result.learner} on {where}, {tasks} held-out tasks ({split}, seed {seed}); nats per turn")
    for name in ("shots", "capability", "loss", "95 %", "Bayes", "regret", "gap closed", "95 %"):
        table.add_column(name, justify="right" if name != "capability" else "left")
    for row in result.rows:
        table.add_row(str(row.shots), row.capability, _number(row.loss), _range(row.low, row.high), _number(row.bayes),
                      _number(row.regret), _number(row.gap_closed), _range(row.gap_low, row.gap_high),
                      end_section=row.capability == "total")
    console.print(table)
    for line in workbench.spoken_lines(result):
        console.print(line, highlight=False)


def _pairs(items: list[str] | None) -> dict[str, Any]:
    """``["inner_lr=0.03"]`` -> ``{"inner_lr": 0.03}``; values are read as JSON, else as text."""
    pairs: dict[str, Any] = {}
    for item in items or []:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise ValueError(f"got '{item}': expected NAME=VALUE")
        try:
            pairs[name] = json.loads(value)
        except json.JSONDecodeError:
            pairs[name] = value
    return pairs


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} … {high:.3f}"


if __name__ == "__main__":
    app()

"""The command line: ``metadialog-lite train | evaluate | compare | run | sweep | report | world check | …``.

Exit 0 = done, 1 = the run failed (such as a training that diverged), 2 = bad input.
With ``--json``, JSON alone on stdout.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TextColumn
from rich.table import Table

from metadialog_lite.classroom.command import course_app
from metadialog_lite.compare_command import compare
from metadialog_lite.corpora.check import corpus_app
from metadialog_lite.run_command import PairsCommand, report, run
from metadialog_lite.sweep_command import sweep
from metadialog_lite.world.command import world_app

if TYPE_CHECKING:
    from metadialog_lite.results import Result

EXAMPLES = {"option": "inner_lr=0.0005", "model": "width=64"}
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False,
                  help="Meta-learning in generative dialogue systems, small enough to read.")
app.add_typer(world_app, name="world")
app.add_typer(course_app, name="course")
app.add_typer(corpus_app, name="corpus")
app.command()(compare)
app.command(cls=PairsCommand)(run)
app.command(cls=PairsCommand)(sweep)
app.command()(report)
say = Console(stderr=True)


def fail(message: str, code: int = 2) -> typer.Exit:
    """Print a message for a person on stderr and return the exception to raise."""
    # Markup in a message is no markup: "metadialog-lite[corpora]" is to be read as it stands.
    kind = "error" if code == 1 else "bad input"
    say.print(f"[bold red]{kind}:[/] {escape(message)}", highlight=False, soft_wrap=True)
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
    start_rates: Annotated[bool, typer.Option("--start-rates", help="also take --start's learned α")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on from --out when it exists")] = False,
    outer_lr: Annotated[float, typer.Option(help="β")] = 3e-3,
    tasks: Annotated[int, typer.Option(help="tasks per outer step")] = 8,
    query_turns: Annotated[int, typer.Option(help="query turns per task")] = 8,
    shots: Annotated[str, typer.Option(help="numbers of support turns to draw from")] = "0,1,2,4,8,16,32",
    option: Annotated[Optional[list[str]], typer.Option(help="of the learner, NAME=VALUE (inner_lr=0.0005)")] = None,  # noqa: UP045
    model: Annotated[Optional[list[str]], typer.Option(help="model size, NAME=VALUE (width=64)")] = None,  # noqa: UP045
    word_dropout: Annotated[float, typer.Option(help="share of user words hidden at the start of training")] = 0.25,
    pool: Annotated[Optional[int], typer.Option(help="only so many training tasks; by default always new ones")] = None,  # noqa: UP045
    threads: Annotated[int, typer.Option(min=1, max=1024, help="torch threads")] = 1,
) -> None:
    """Train a learner and write its checkpoint (also every minute on the way)."""
    from metadialog_lite import workbench

    try:
        import torch

        torch.set_num_threads(threads)
        job = workbench.prepare(
            out, learner, world, corpus, start, resume,
            {"steps": steps, "seconds": seconds, "seed": seed, "device": device, "outer_lr": outer_lr, "tasks": tasks,
             "query_turns": query_turns, "word_dropout": word_dropout, "shots": _shots(shots), "pool": pool},
            _pairs("option", option), _pairs("model", model), shlex.join(["metadialog-lite", *sys.argv[1:]]),
            start_rates,
        )
    except (ValueError, OSError, ImportError) as error:
        raise fail(str(error)) from error
    stop = _stop_on_ctrl_c()
    record, told = None, 0
    bar = Progress(*Progress.get_default_columns(), TextColumn("{task.fields[line]}"), console=say,
                   disable=not say.is_terminal)
    try:
        with bar, closing(job.run()) as records:
            shown = bar.add_task("training", total=1.0, line="")
            for record in records:
                done = job.trainer.progress
                bar.update(shown, completed=done, line=record.line())
                if not say.is_terminal and int(10 * done) > told:  # no bar in a log file: a line every 10 %
                    told = int(10 * done)
                    print(f"{done:4.0%}  {record.line()}", file=sys.stderr, flush=True)
                if stop.is_set():
                    print("stopped; the checkpoint holds what was reached, --resume goes on", file=sys.stderr)
                    break
    except (ValueError, OSError, RuntimeError) as error:
        raise fail(str(error), 1) from error
    print(f"{out}: step {job.trainer.done_steps}, {job.trainer.cpu_seconds:.0f} CPU seconds")
    if record is not None and record.warning:
        raise fail(record.warning, 1)
    if stop.is_set() and not job.trainer.finished:
        raise typer.Exit(1)


def _stop_on_ctrl_c() -> threading.Event:
    """Ctrl-C sets the event, so that the step being taken is finished first; a second Ctrl-C ends the process."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, handle)
    return stop


@app.command()
def evaluate(
    checkpoint: Annotated[str, typer.Option(help="checkpoint file, or the name of a shipped one")],
    learner: Annotated[Optional[str], typer.Option(  # noqa: UP045
        help="another learner on the checkpoint's θ₀: finetune, scratch, prior, retrieval or bayes")] = None,
    world: Annotated[Optional[str], typer.Option(help="shipped world or YAML file")] = None,  # noqa: UP045
    corpus: Annotated[Optional[str], typer.Option(help="real corpus")] = None,  # noqa: UP045
    shots: Annotated[str, typer.Option(help="numbers of support turns")] = "0,2,4,8,16,32",
    tasks: Annotated[int, typer.Option(help="held-out tasks")] = 200,
    query_turns: Annotated[int, typer.Option(help="query turns per task")] = 8,
    seed: Annotated[int, typer.Option(help="of the held-out tasks")] = 0,
    split: Annotated[str, typer.Option(help="test or valid")] = "test",
    decode: Annotated[bool, typer.Option(help="also decode: JGA, act accuracy, BLEU")] = True,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="torch threads")] = 1,
    out: Annotated[Optional[Path], typer.Option(help="also write the JSON here")] = None,  # noqa: UP045
    against: Annotated[Optional[str], typer.Option(  # noqa: UP045
        help="compare with this baseline on the same tasks, such as finetune")] = None,
    against_checkpoint: Annotated[Optional[str], typer.Option(  # noqa: UP045
        help="where that baseline starts from, such as a joint model trained as long")] = None,
    per_task: Annotated[bool, typer.Option("--per-task", help="also keep the loss of every task")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout")] = False,
) -> None:
    """Loss, Bayes floor, regret and gap closed per capability and shots on held-out tasks, with 95 % intervals."""
    from metadialog_lite import workbench

    try:
        import torch

        torch.set_num_threads(threads)
        result = workbench.evaluate_checkpoint(
            checkpoint, learner, world, corpus, list(_shots(shots)), tasks, query_turns, seed, split, decode,
            against, against_checkpoint, per_task,
        )
    except (ValueError, OSError, ImportError) as error:
        raise fail(str(error)) from error
    except (FloatingPointError, RuntimeError) as error:
        raise fail(str(error), 1) from error
    if as_json:
        print(result.to_json())
    else:
        _show(result)
    try:  # last, so that a full disk does not cost what was computed
        if out is not None:
            result.write(out)
    except OSError as error:
        raise fail(str(error)) from error


def _show(result: Result) -> None:
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 120)
    where = result.world or result.corpus
    table = Table(title=f"{result.learner} on {where}, {result.tasks} held-out tasks ({result.split}, "
                        f"seed {result.seed}); nats per turn")
    believed = result.shift_of is not None and any(row.bayes_training_prior is not None for row in result.rows)
    names = ("shots", "capability", "loss", "95 %", "Bayes", *(["training prior"] if believed else []), "regret",
             "gap closed", "95 %")
    for name in names:
        table.add_column(name, justify="right" if name != "capability" else "left")
    for row in result.rows:
        table.add_row(str(row.shots), row.capability, _number(row.loss), _range(row.low, row.high), _number(row.bayes),
                      *([_number(row.bayes_training_prior)] if believed else []), _number(row.regret),
                      _number(row.gap_closed), _range(row.gap_low, row.gap_high), end_section=row.capability == "total")
    console.print(table)
    for line in (*reference_lines(result, believed), *spoken_lines(result)):
        console.print(line)


def reference_lines(result: Result, believed: bool) -> list[str]:
    """What the Bayes columns are where they are not simply the floor of the world trained on."""
    lines = []
    if result.reference_label:
        lines.append(f"Bayes is {result.reference_label}: on average nobody is below it, but learners are not told")
    if result.shift_of:
        lines.append(f"shift of {result.shift_of}: Bayes is the informed optimum, with the prior of this world; regret "
                     "is the distance to it")
        lines.append("training prior = Bayes that believes in the prior of the world trained on; it may be beaten" if
                     believed else "Bayes with the prior of the world trained on is undefined: it gives some words 0")
    return lines


def spoken_lines(result: Result) -> list[str]:
    """JGA, act accuracy, BLEU, perplexity and seconds as lines of text, with the reference's beside them."""
    best = result.reference or {}
    lines = []
    if result.jga is not None:
        lines.append(_line("joint goal accuracy, gold previous state", result.jga.gold_previous_state, best.get("jga")))
        lines.append(_line("joint goal accuracy, own state carried", result.jga.carried, best.get("jga_carried")))
    if result.act_accuracy is not None:
        lines.append(_line("act accuracy", result.act_accuracy, best.get("act_accuracy")))
    if result.bleu is not None:
        lines.append(f"{_line('BLEU', result.bleu, best.get('bleu'))}  ({result.bleu_signature})")
    lines += [_line(f"distinct-{n}", value, best.get(f"distinct_{n}")) for n, value in (result.distinct or {}).items()
              if value is not None]
    if result.perplexity:
        values = ", ".join(f"{value:.4g} at {shots}" for shots, value in result.perplexity.items())
        lines.append(f"response perplexity per token (vocabulary {result.vocabulary}): {values} shots")
    seconds = result.seconds
    if "against" in result.options:
        lines += _against_lines(result.learner, result.options["against"])
    lines.append(f"CPU seconds: training {_number(seconds.train)}, adaptation {_number(seconds.adapt)} a task; "
                 f"parameters {result.parameters}")
    return lines


def _against_lines(learner: str, against: dict[str, Any]) -> list[str]:
    other = against["learner"]
    lines = [f"{learner} − {other} (from {against['checkpoint']}), nats per turn, paired 95 % interval over speakers:"]
    for shots, row in against["difference"].items():
        verdict = "better" if row["high"] < 0 else "worse" if row["low"] > 0 else "no difference shown"
        chosen = against.get("chosen", {}).get(shots)
        how = "" if chosen is None else (f"; {other} used {chosen['optimizer']} rate {chosen['inner_lr']:g}, "
                                         f"{chosen['inner_steps']} steps, {'head' if chosen['head_only'] else 'whole'}")
        lines.append(f"  {shots:>2} shots: {row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}] {verdict}{how}")
    if against.get("perplexity"):
        values = ", ".join(f"{value:.4g} at {shots}" for shots, value in against["perplexity"].items())
        lines.append(f"  {other}: response perplexity per token {values} shots")
    seconds = against["seconds"]
    lines.append(f"  {other}: CPU seconds training {_number(seconds['train'])}, "
                 f"adaptation {_number(seconds['adapt'])} a task")
    return lines


def _line(what: str, value: float | None, best: float | None) -> str:
    return f"{what}: {_number(value)}" + ("" if best is None else f" (exact reference {_number(best)})")


def _pairs(flag: str, items: list[str] | None) -> dict[str, Any]:
    """``["inner_lr=0.0005"]`` -> ``{"inner_lr": 0.0005}``; values are read as JSON, else as text."""
    pairs: dict[str, Any] = {}
    for item in items or []:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise ValueError(f"--{flag} '{item}': expected NAME=VALUE, such as {EXAMPLES[flag]}")
        if name in pairs:
            raise ValueError(f"--{flag} {name}: given twice, as {pairs[name]} and {value}")
        try:
            pairs[name] = json.loads(value)
        except json.JSONDecodeError:
            pairs[name] = value
    return pairs


def _shots(text: str) -> tuple[int, ...]:
    """``"0,2,4"`` -> ``(0, 2, 4)``."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--shots '{text}': expected whole numbers with commas between them, such as 0,4,16") from None


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} … {high:.3f}"


if __name__ == "__main__":
    app()

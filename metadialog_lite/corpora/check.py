"""``metadialog-lite corpus check``: what is in a corpus, how many tasks it makes, and what is damaged. No torch."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from metadialog_lite.corpora.conversations import CorpusError
from metadialog_lite.corpora.dialogues import ReadingReport, printable
from metadialog_lite.corpora.load import READERS, find_corpus, read_dialogues
from metadialog_lite.corpora.splits import SPLITS, enough
from metadialog_lite.corpora.task_splits import Kind, sizes_to_try, split_dialogues, split_tasks

corpus_app = typer.Typer(help="Check a corpus of real dialogues.", no_args_is_help=True, rich_markup_mode=None)
SHOTS = (4, 8, 16, 32)


@corpus_app.callback()
def _group() -> None:
    """Check a corpus of real dialogues."""


@corpus_app.command()
def check(
    path: Annotated[str, typer.Argument(metavar="DIR", help="the corpus's folder or .zip; or NAME:DIR (sgd:DIR)")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON alone on stdout")] = False,
) -> None:
    """Recognise a corpus, count what is in it and list what is damaged. Exit 0 = sound, 2 = damaged or of no use."""
    try:
        found = summary(path)
    except CorpusError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        _show(found)
    if not (found["ok"] and found["usable"]):
        raise typer.Exit(2)


def summary(path: str) -> dict[str, Any]:
    """All that ``check`` says, as ``--json`` gives it.

    Raises:
        CorpusError: when there is nothing to check: no such path, or no corpus is recognised.
    """
    name, files = find_corpus(path)
    kind: Kind = READERS[name].KIND
    report, dialogues = ReadingReport(), []
    turns: Counter[str] = Counter()
    slots: set[str] = set()
    for dialogue in read_dialogues(name, files, report):
        dialogues.append(dialogue)
        turns.update(exchange.task for exchange in dialogue.exchanges)
        slots.update(value.slot for exchange in dialogue.exchanges for value in exchange.state)
    sizes: dict[str, list[int]] = {}
    for dialogue in dialogues:
        for task, count in Counter(exchange.task for exchange in dialogue.exchanges).items():
            sizes.setdefault(task, []).append(count)
    fitting = {k: sorted(task for task, counts in sizes.items() if enough(counts, replace(kind.limits, support=k)))
               for k in SHOTS}
    limits = next(iter(sizes_to_try(dialogues, kind.limits, kind)), None)
    splits, official = split_tasks(dialogues, limits, kind) if limits else ({}, False)
    homes = split_dialogues(dialogues, splits, official)
    named = {split: sorted(printable(task, 60) for task, home in splits.items() if home == split) for split in SPLITS}
    return {
        "corpus": name, "path": str(files.path), "ok": not report.damaged, "usable": limits is not None,
        "dialogues": {"read": report.entries, "sound": len(dialogues), "left_out": report.entries - len(dialogues)},
        "turns": sum(turns.values()), "task": kind.task, "slots": len(slots),
        "tasks": {printable(task, 60): turns[task] for task in sorted(turns)},
        "tasks_with_enough": {str(k): len(tasks) for k, tasks in fitting.items()},
        "shots": limits.support if limits else None, "official_split": official,
        "splits": named,
        "dialogues_of_split": {split: sum(home == split for home in homes.values()) for split in SPLITS},
        "damaged": report.damaged, "faults": [fault._asdict() for fault in report.faults],
    }


def _show(found: dict[str, Any]) -> None:
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 120)
    task, dialogues = found["task"], found["dialogues"]
    table = Table(title=f"{found['corpus']} in {found['path']}", show_header=False)
    table.add_row("dialogues", "{read} read, {sound} sound, {left_out} left out".format(**dialogues))
    table.add_row("turns", f"{found['turns']} (a user's and the system's utterance together are one)")
    biggest = sorted(found["tasks"].items(), key=lambda pair: -pair[1])
    named = ", ".join(f"{name} {count}" for name, count in biggest[:40]) + (", …" if len(biggest) > 40 else "")
    table.add_row(f"{len(found['tasks'])} {task}s, turns of each", named)
    if found["slots"]:
        table.add_row("slots", str(found["slots"]))
    for shots, count in found["tasks_with_enough"].items():
        table.add_row(f"enough for {shots} shots", f"{count} {task}s")
    if found["usable"]:
        how = "official parts" if found["official_split"] else "tasks held out by this kit"
        table.add_row("shots that will be used", f"at most {found['shots']}; {how}")
        for split, names in found["splits"].items():
            listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
            table.add_row(split, f"{len(names)} {task}s, {found['dialogues_of_split'][split]} dialogues: {listed}")
    else:
        table.add_row("of no use", f"too little for a train, a valid and a test {task} with {SHOTS[0]} shots each")
    console.print(table)
    if found["damaged"]:
        console.print(f"damaged, and left out: {found['damaged']}")
        for fault in found["faults"]:
            console.print("  " + ": ".join(part for part in fault.values() if part), soft_wrap=True)
        if found["damaged"] > len(found["faults"]):
            console.print("  …")
    else:
        console.print("nothing is damaged")

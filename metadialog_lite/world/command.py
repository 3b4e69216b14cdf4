"""``metadialog-lite world check | sample``: for an instructor who writes a world of their own. Needs no torch."""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from metadialog_lite.turns import CAPABILITIES, EMPTY, Turn
from metadialog_lite.world.bayes import BayesReference
from metadialog_lite.world.dialogues import WorldTask
from metadialog_lite.world.generate import World
from metadialog_lite.world.load import load_world
from metadialog_lite.world.spec import ACTS, WorldError

world_app = typer.Typer(help="Check a toy world, or print dialogues of it.", no_args_is_help=True,
                        rich_markup_mode=None)

WorldName = Annotated[str, typer.Argument(metavar="FILE", help="a YAML file, or a shipped world: restaurants.en; "
                                            "also restaurants.en+lexicon, travel.en+style=1.0, clinic.en+noise=0.2, "
                                            "or several: a,b")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON alone on stdout")]
FLOOR_TASKS, FLOOR_SHOTS = 200, (0, 16)
#: Stands before a segment that was replaced by a stranger's.
STRANGER = "✗"


@world_app.command()
def check(file: WorldName, as_json: AsJson = False) -> None:
    """Say what is wrong with a world, or what is in it and how much there is to learn."""
    worlds = _load(file).members
    if as_json:
        _print_json([_summary(world) for world in worlds])
        return
    for world in worlds:
        table = Table(title=f"{world.name}: this world is sound", show_header=False)
        for slot, values, words in zip(world.slots, world.values, world.words, strict=True):
            table.add_row(f"slot {slot}", f"{', '.join(values)}\nheard as {', '.join(words)}")
        table.add_row("templates", ", ".join(f"{act} {len(world.spec.system.templates(act))}" for act in ACTS))
        table.add_row("persona", ", ".join(f"{key} {len(items)}" for key, items in world.spec.persona.items()))
        table.add_row("knobs", ", ".join(f"{key} {value:g}" for key, value in world.spec.knobs.model_dump().items()))
        table.add_row("vocabulary", f"{len(world.tokens)} tokens")
        floor = bayes_floor(world)
        for shots, row in floor.items():
            parts = ", ".join(f"{name} {row[name]:.2f}" for name in CAPABILITIES)
            table.add_row(f"Bayes({shots})", f"{row['total']:.2f} nats/turn ({parts})")
        if world.told:
            table.add_row("this Bayes is", world.told)
        learnable = floor[0]["total"] - floor[16]["total"]
        table.add_row("to learn", f"{learnable:.2f} nats/turn from 16 support turns ({FLOOR_TASKS} tasks)")
        _console().print(table)


@world_app.command()
def sample(
    file: WorldName,
    n: Annotated[int, typer.Option("-n", "--dialogues", min=1, max=1000, help="how many dialogues")] = 3,
    seed: Annotated[int, typer.Option("--seed", help="which speaker")] = 0,
    as_json: AsJson = False,
) -> None:
    """Print dialogues of one speaker, with state and act, under the speaker's hidden lexicon.

    In a world with noise in the support (restaurants.en+noise=0.2) these are the support's dialogues, as a learner is
    given them, and what is a stranger's is marked.
    """
    tasks = [world.task("train", seed, 0) for world in _load(file).members]
    if as_json:
        _print_json([{"world": task.world.name, "task": task.name, **_latents(task), "dialogues": [
            [_as_fields(turn) for turn in dialogue] for dialogue in _some(task, n)]} for task in tasks])
        return
    for task in tasks:
        _print_speaker(task, _some(task, n))


def _some(task: WorldTask, n: int) -> list[list[Turn]]:
    """Whole new dialogues, or where the support has noise those of the support."""
    return list(islice(task.stream(), n)) if task.world.told else task.dialogues(n)


def _print_speaker(task: WorldTask, dialogues: list[list[Turn]]) -> None:
    """The hidden latents, then every dialogue; what a correction changes in the state is marked."""
    world, console = task.world, _console()
    header = Table(title=f"{world.name}: the hidden side of {task.name}", show_header=False)
    for slot, words in task.lexicon.items():
        header.add_row(slot, ", ".join(f"{word} = {value}" for word, value in words.items()))
    header.add_row("asks in this order", ", ".join(task.order))
    header.add_row("persona", ", ".join(f"{key} = {value}" for key, value in task.persona.items()))
    for act, chances in task.style.items():
        header.add_row(f"habits: {act}", " ".join(f"{p:.2f}" for p in chances))
    console.print(header)
    for number, dialogue in enumerate(dialogues, 1):
        marked = f", {STRANGER} = a stranger's" if world.told else ""
        table = Table("user", "state", "act", "response", title=f"dialogue {number}{marked}")
        for turn in dialogue:
            state = [new if old in (EMPTY, new) else f"{new} (was {old})"
                     for old, new in zip(turn.previous_state, turn.state, strict=True)]
            parts = {"state": " ".join(state), "act": " ".join(turn.act), "response": world.text(turn.response)}
            table.add_row(world.text(turn.user), *(
                f"{STRANGER} {text}" if part in turn.meaning.replaced else text for part, text in parts.items()))
        console.print(table)


def _summary(world: World) -> dict[str, Any]:
    """What ``check --json`` says of one world."""
    return {"world": world.name, "language": world.spec.language, "ok": True,
            "knobs": world.spec.knobs.model_dump(), "tokens": len(world.tokens), "told": world.told,
            "slots": {slot: list(values) for slot, values in zip(world.slots, world.values, strict=True)},
            "templates": {act: len(world.spec.system.templates(act)) for act in ACTS},
            "bayes": {str(shots): row for shots, row in bayes_floor(world).items()}}


def _print_json(found: list[dict[str, Any]]) -> None:
    """One object, or a list of them for several worlds."""
    print(json.dumps(found[0] if len(found) == 1 else found, ensure_ascii=False))


def bayes_floor(world: World, tasks: int = FLOOR_TASKS, query_turns: int = 4) -> dict[int, dict[str, float]]:
    """Shots → capability (and total) → the exact optimum's loss in nats per turn, estimated over ``tasks`` tasks."""
    bayes = BayesReference(world)
    floor: dict[int, dict[str, float]] = {}
    for shots in FLOOR_SHOTS:
        sums = [0.0] * len(CAPABILITIES)
        for index in range(tasks):
            task = world.task("valid", 0, index)
            posterior = bayes.posterior(task.support(shots))
            for turn in task.query(query_turns):
                sums = [a + b for a, b in zip(sums, posterior.nll(turn), strict=True)]
        means = [total / (tasks * query_turns) for total in sums]
        floor[shots] = {**dict(zip(CAPABILITIES, means, strict=True)), "total": sum(means)}
    return floor


def _load(file: str) -> World:
    """The world, or its faults on stderr and exit 2."""
    try:
        return load_world(file)
    except WorldError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error


def _latents(task: WorldTask) -> dict[str, Any]:
    return {"lexicon": task.lexicon, "order": list(task.order), "persona": task.persona,
            "style": {act: list(chances) for act, chances in task.style.items()}}


def _as_fields(turn: Turn) -> dict[str, list[str]]:
    parts = {name: list(getattr(turn, name)) for name in ("previous_state", "user", "state", "act", "response")}
    return parts | {"replaced": list(turn.meaning.replaced)}


def _console() -> Console:
    """Whole lines when piped into a file or a pager, and no markup read into a world's own brackets."""
    return Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 120)

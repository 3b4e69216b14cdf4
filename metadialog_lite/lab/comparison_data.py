"""The stored comparison as a notebook sees it: what is there, what is missing, and which file cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from metadialog_lite.comparison import Trials
from metadialog_lite.paths import data_dir
from metadialog_lite.recipes import BASELINES, RECIPES
from metadialog_lite.results import Result, Row

#: The families of the course with their members, in the order of the course; the rival comes first in the baselines.
FAMILIES: dict[str, tuple[str, ...]] = {
    "Meta-Networks": ("hypernetwork", "fast_weights", "in_context"),
    "Meta-Neural Networks": ("structure", "parameters", "structure_parameters", "structure_off"),
    "Meta-Optimization": ("maml", "fomaml", "reptile", "anil", "meta_sgd", "learned_optimizer"),
    "Meta-Data Generation": ("distillation", "augmentation", "example_weights", "literal"),
    "Baselines": ("finetune", "prior", "scratch", "retrieval", "finetune_short"),
}
#: Members that are there to be compared with, such as one with its structure switched off: never a family's best.
CONTROLS = ("structure_off",)
#: The four that meta-learn.
FOUR = tuple(FAMILIES)[:4]
RIVAL = "finetune"
#: The exact optimum is no learner: it is the floor below all of them.
FLOOR_RUN = "bayes"
MEASURES = {"loss": "loss", "regret": "regret", "gap_closed": "gap closed"}

Kind = TypeVar("Kind", bound=BaseModel)


class Value(NamedTuple):
    """One number of the table with its 95 % interval over speakers; None where it is undefined or not stored."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """All runs of one world that can be compared, because they were judged on the same held-out tasks."""

    world: str
    folder: Path
    runs: dict[tuple[str, int], Result] = field(default_factory=dict)  # (learner, training seed) -> result
    trials: dict[str, Trials] = field(default_factory=dict)
    faults: tuple[str, ...] = ()  # one sentence for each file that was passed over

    @property
    def learners(self) -> list[str]:
        """Everybody with a run, family by family."""
        return [name for members in FAMILIES.values() for name in members if self.seeds(name)]

    @property
    def missing(self) -> list[str]:
        """Learners of the comparison without a run."""
        there = {name for name, _ in self.runs}
        return [name for name in (*RECIPES, *BASELINES) if name not in there]

    @property
    def shots(self) -> list[int]:
        """Numbers of support turns that somebody was judged after."""
        return sorted({row.shots for result in self.runs.values() for row in result.rows})

    @property
    def all_seeds(self) -> list[int]:
        """Training seeds that somebody has."""
        return sorted({seed for _, seed in self.runs})

    def seeds(self, learner: str) -> list[int]:
        """Training seeds of a learner."""
        return sorted(seed for name, seed in self.runs if name == learner)

    def first(self, learner: str) -> Result | None:
        """The run with the lowest training seed (1, which everybody has)."""
        seeds = self.seeds(learner)
        return self.runs[learner, seeds[0]] if seeds else None

    def any_run(self) -> Result | None:
        """Some run: for what is the same in all of them, such as the Bayes floor."""
        return next((result for result in self.runs.values()), None)

    def value(self, learner: str, seed: int, shots: int, part: str, measure: str) -> Value:
        """One number of the table."""
        result = self.runs.get((learner, seed))
        return Value(None) if result is None else measured(find_row(result, shots, part), measure)

    def spread(self, learner: str, shots: int, part: str, measure: str) -> Value:
        """Mean over the training seeds, with the lowest and the highest of several (no interval: a range)."""
        found = [self.value(learner, seed, shots, part, measure).value for seed in self.seeds(learner)]
        known = [value for value in found if value is not None]
        if len(known) < 2:
            return Value(known[0] if known else None)
        return Value(sum(known) / len(known), min(known), max(known))

    def best(self, family: str, shots: int, part: str = "total") -> str | None:
        """The family's member with the lowest loss in its first training seed; None when nobody has a loss."""
        losses = []
        for name in FAMILIES[family]:
            run = None if name in CONTROLS else self.first(name)
            row = run and find_row(run, shots, part)
            if row and row.loss is not None:
                losses.append((row.loss, name))
        return min(losses)[1] if losses else None

    def champions(self, shots: int) -> dict[str, str]:
        """Family -> its best member, for the families that have one."""
        found = {family: self.best(family, shots) for family in FOUR}
        return {family: name for family, name in found.items() if name}

    def shortlist(self, shots: int) -> list[str]:
        """Each family's best, and the rival."""
        return [*self.champions(shots).values(), *([RIVAL] if self.seeds(RIVAL) else [])]


def family_of(learner: str) -> str:
    """The family that a learner belongs to. Raises KeyError for one that belongs to none."""
    for family, members in FAMILIES.items():
        if learner in members:
            return family
    raise KeyError(f"'{learner}' belongs to no family; known are {', '.join(sum(FAMILIES.values(), ()))}")


def find_row(result: Result, shots: int, part: str = "total") -> Row | None:
    """One row of a result, or None where it is not stored."""
    return next((row for row in result.rows if row.shots == shots and row.capability == part), None)


def measured(row: Row | None, measure: str) -> Value:
    """Loss or gap closed with its interval, or the regret (for which no interval is stored)."""
    if row is None:
        return Value(None)
    if measure == "gap_closed":
        return Value(row.gap_closed, row.gap_low, row.gap_high)
    return Value(row.loss, row.low, row.high) if measure == "loss" else Value(row.regret)


def read_comparison(world: str, folder: str | Path | None = None) -> Comparison:
    """Read ``WORLD.LEARNER.seedN.json`` and ``trials/`` from a folder (by default ``data/results/compare``).

    Nothing is raised for what is missing or damaged: a file that cannot be used is passed over, and
    ``Comparison.faults`` names it and says what to do.
    """
    place = Path(folder) if folder else data_dir() / "results" / "compare"
    faults: list[str] = []
    runs: dict[tuple[str, int], Result] = {}
    for path in sorted(place.glob(f"{world}.*.seed*.json")):
        learner, _, seed = path.name.removeprefix(f"{world}.").removesuffix(".json").rpartition(".seed")
        if "." in learner or not seed.isdigit():  # of a world whose name begins like this one's, or no run
            continue
        result = read_file(path, Result, faults)
        if result is None:
            continue
        wrong = _contradiction(result, world, learner, seed)
        if wrong:
            faults.append(f"{path}: {wrong}; {_again(path)}")
        else:
            runs[learner, int(seed)] = result
    trials = {}
    for path in sorted((place / "trials").glob(f"{world}.*.json")):
        tried = read_file(path, Trials, faults)
        if tried is not None:
            trials[tried.learner] = tried
    return Comparison(world, place, _same_tasks(runs, place, faults), trials, tuple(faults))


def read_file(path: Path, kind: type[Kind], faults: list[str]) -> Kind | None:
    """One JSON file; None, and a sentence more in ``faults``, when it cannot be read or breaks the schema."""
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        faults.append(f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}; {_again(path)}")
    except (OSError, ValueError) as error:  # no such file, or not UTF-8
        faults.append(f"{path}: cannot be read ({error}); {_again(path)}")
    return None


def name_of(result: Result) -> str:
    """What a run is called in the comparison: its recipe, which for a control is not its learner."""
    return str(result.options.get("recipe", result.learner))


def _contradiction(result: Result, world: str, learner: str, seed: str) -> str:
    if learner not in {*sum(FAMILIES.values(), ()), FLOOR_RUN}:
        return f"learner '{learner}' belongs to no family of the course"
    said = {"learner": (name_of(result), learner), "world": (result.world, world),
            "training_seed": (str(result.options.get("training_seed")), seed)}
    for name, (inside, outside) in said.items():
        if inside != outside:
            return f"{name} is '{inside}' in the file, but '{outside}' in its name"
    return "" if result.rows else "has no rows"


def _again(path: Path) -> str:
    if path.parent.name == "trials" or ".seed" not in path.name:
        return "delete it, and make it again with the command that made it"
    return "delete it, and metadialog-lite compare --run makes it again"


def _same_tasks(runs: dict[tuple[str, int], Result], folder: Path,
                faults: list[str]) -> dict[tuple[str, int], Result]:
    """Only runs on the same held-out tasks can be compared: those of the majority stay."""
    def tasks(result: Result) -> tuple[str, int, int, int]:
        return result.split, result.seed, result.tasks, result.query_turns

    if not runs:
        return runs
    usual = Counter(map(tasks, runs.values())).most_common(1)[0][0]
    for (learner, seed), result in runs.items():
        if tasks(result) != usual:
            faults.append(f"{folder / f'{result.world}.{learner}.seed{seed}.json'}: was judged on {_say(tasks(result))}"
                          f", the others on {_say(usual)}: it cannot be compared")
    return {key: result for key, result in runs.items() if tasks(result) == usual}


def _say(tasks: tuple[str, int, int, int]) -> str:
    split, seed, count, turns = tasks
    return f"{count} {split} tasks of seed {seed} with {turns} query turns"


def state_of(found: Comparison) -> str:
    """Which runs are there, which are missing, and which files were passed over: some sentences."""
    runs = [f"{name}{_times(found.seeds(name))}" for name in found.learners]
    text = [f"{len(found.runs)} runs on {found.world} are stored: {', '.join(runs)}." if found.learners else
            f"No run on {found.world} is stored in {found.folder}. The plots below stay empty until there is one; "
            f"metadialog-lite compare --world {found.world} --run makes them (an hour and more)."]
    if found.missing and found.learners:
        text.append(f"Not run yet, so without a row: {', '.join(found.missing)}.")
    return "\n".join([*text, *(f"Passed over: {fault}" for fault in found.faults)])


def _times(seeds: Sequence[int]) -> str:
    return "" if seeds == [1] else f" (training seeds {', '.join(map(str, seeds))})"

"""Notebook 12: the course's four questions answered from stored numbers, and where one could go from here.

Nothing is typed in here: each number is read from ``data/results`` when it is asked for. Where nothing is stored the
answer says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

from metadialog_lite.evaluation import Difference
from metadialog_lite.lab.comparison_data import RIVAL, Comparison, find_row, name_of, read_comparison
from metadialog_lite.lab.comparison_shifts import read_shifts
from metadialog_lite.lab.curve import NAMES
from metadialog_lite.lab.stored import compared, stored_results
from metadialog_lite.results import Result
from metadialog_lite.turns import CAPABILITIES

REAL = "chitchat"


def shipped(world: str) -> list[Result]:
    """The stored evaluations of shipped checkpoints on ``world``, without the paired comparisons."""
    return [result for result in stored_results(world) if "against" not in result.options]


def paired(world: str, shots: int) -> list[tuple[str, str, Difference]]:
    """(learner, rival, difference at equal budget) for each stored paired comparison on a world or corpus."""
    found = []
    for result in stored_results(world):
        other = result.options.get("against")
        if other and str(shots) in other["difference"]:
            found.append((result.learner, other["learner"], Difference(**other["difference"][str(shots)])))
    return found


def left_over(results: list[Result], shots: int) -> dict[str, float]:
    """Mean regret of these results for each capability, in nats per turn: what is left above the floor."""
    rows = {part: [find_row(result, shots, part) for result in results] for part in CAPABILITIES}
    return {part: mean(row.regret for row in each if row and row.regret is not None)
            for part, each in rows.items() if any(row and row.regret is not None for row in each)}


def far_off(found: Comparison, shots: int) -> list[str]:
    """Who is left farther above the floor than one who knows nothing: a bar that would press all others together."""
    some = found.any_run()
    row = find_row(some, shots) if some else None
    if row is None or row.prior is None or row.bayes is None:
        return []
    left = {name: sum(left_over([run], shots).values()) for name in found.learners if (run := found.first(name))}
    return [name for name, nats in left.items() if nats > 1.5 * (row.prior - row.bayes)]


# The four questions --------------------------------------------------------------------------------------------------


def how_it_differs(world: str, shots: int) -> str:
    """How does it differ from traditional learning? Meta-learned against fine-tuned, at equal budget."""
    lines = [f"{compared(a, b, d)} (on {world}, after {shots} support turns)." for a, b, d in paired(world, shots)]
    return "\n".join(lines) or f"No paired comparison on {world} after {shots} support turns is stored."


def what_it_is_good_for(world: str, shots: int) -> str:
    """What is it good for in dialogue? Gap closed for each capability, over the evaluations of each learner."""
    lines = []
    for learner in dict.fromkeys(result.learner for result in shipped(world)):
        own = [result for result in shipped(world) if result.learner == learner]
        shares = []
        for part in CAPABILITIES:
            rows = [find_row(result, shots, part) for result in own]
            values = [row.gap_closed for row in rows if row and row.gap_closed is not None]
            if values:
                shares.append(f"{NAMES[part]} {mean(values):.2f}")
        if shares:
            lines.append(f"{learner}: gap closed in {', '.join(shares)} (mean of {len(own)} evaluation seeds).")
    return "\n".join(lines) or f"No evaluation on {world} after {shots} support turns is stored."


def what_is_hard(world: str, shots: int) -> str:
    """What is hard? Real conversations, and speakers from elsewhere."""
    lines = [f"{compared(a, b, d)} (on {REAL}, after {shots} support turns)." for a, b, d in paired(REAL, shots)]
    runs = read_comparison(world).runs
    for result in read_shifts(world)[0]:
        row, home = find_row(result, shots), runs.get((name_of(result), int(result.options.get("training_seed", -1))))
        old = find_row(home, shots) if home else None
        if row and row.gap_closed is not None and old and old.gap_closed is not None:
            lines.append(f"{name_of(result)} on {result.world}: gap closed {row.gap_closed:.2f}; the same training run "
                         f"on {world}: {old.gap_closed:.2f}.")
    return "\n".join(lines) or "No result on real conversations or under a shift is stored."


def what_comes_next(world: str, shots: int) -> str:
    """What comes next? Where most is left above the floor, for the learner with the smallest loss."""
    rows = [(row.loss, result) for result in shipped(world)
            if (row := find_row(result, shots)) and row.loss is not None]
    if not rows:
        return f"No evaluation on {world} after {shots} support turns is stored."
    best = min(rows, key=lambda pair: pair[0])[1].learner
    left = left_over([result for _, result in rows if result.learner == best], shots)
    parts = ", ".join(f"{NAMES[part]} {value:.3f}" for part, value in sorted(left.items(), key=lambda one: -one[1]))
    return f"{best} has left, in nats per turn above the floor: {parts}."


QUESTIONS: dict[str, Callable[[str, int], str]] = {
    "How does it differ from traditional learning?": how_it_differs,
    "What is it good for in dialogue?": what_it_is_good_for,
    "What is hard?": what_is_hard,
    "What comes next?": what_comes_next,
}


# Where it goes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Direction:
    """One way on.

    Attributes:
        name: its short name; ``question`` is what is open.
        known: (comparison, shots) -> one sentence from stored numbers.
        command: a papermill command that starts on it, run from the project's folder.
        grid: what ``metadialog-lite sweep experiment --grid`` tries: 9 to 18 short trainings.
        change: what to vary next.
    """

    name: str
    question: str
    known: Callable[[Comparison, int], str]
    command: str
    grid: str
    change: str

    @property
    def sweep(self) -> str:
        """The sweep as a command."""
        return f'metadialog-lite sweep experiment --grid "{self.grid}" --out runs/{self.name.split()[-1]}'


def _cheapest(found: Comparison, shots: int) -> str:
    said = []
    for name in found.learners:
        result = found.first(name)
        row = find_row(result, shots) if result else None
        if result and row and row.gap_closed is not None and result.seconds.adapt is not None:
            said.append((result.seconds.adapt, f"{name} {1000 * result.seconds.adapt:.0f} ms for {row.gap_closed:.2f}"))
    if not said:
        return "Nothing is stored."
    return f"CPU time of one adaptation, and the gap that it closes: {'; '.join(text for _, text in sorted(said))}."


def _deeper(found: Comparison, shots: int) -> str:
    name = found.best("Meta-Optimization", shots)
    result = found.first(name) if name else None
    rows = [row for k in found.shots if result and (row := find_row(result, k)) and row.regret is not None]
    if not rows:
        return "Nothing is stored."
    each = ", ".join(f"{row.shots}: {row.regret:.2f}" for row in rows)
    return f"{name}'s distance to the floor (nats per turn) by support turns: {each}."


def _part(part: str) -> Callable[[Comparison, int], str]:
    def known(found: Comparison, shots: int) -> str:
        said = []
        for name in found.learners:
            row = find_row(result, shots, part) if (result := found.first(name)) else None
            if row and row.regret is not None and name != RIVAL:
                said.append((row.regret, f"{name} {row.regret:.3f}"))
        text = ", ".join(one for _, one in sorted(said)) or "nothing is stored"
        return f"Nats per turn above the floor in {NAMES[part]}, after {shots} support turns: {text}."

    return known


_RUN = "papermill notebooks/{} {}.ipynb -p result_path {}.json"
DIRECTIONS = {one.name: one for one in (
    Direction(
        "cheaper adaptation", "How little may adapting cost? One step, the head alone, or one pass without a gradient.",
        _cheapest, f"{_RUN.format('05_meta_optimization.ipynb', 'anil', 'anil')} -p learner anil -p inner_steps 1",
        "learner=anil,fomaml,meta_sgd inner_steps=1,3 train_seconds=60 seed=0..2",
        "learner (anil, fomaml, meta_sgd), inner_steps 1 to 5; in 03 the hypernetwork, which takes no step at all"),
    Direction(
        "deeper context", "Does a learner still gain from the thirtieth turn of a speaker, and from the hundredth?",
        _deeper, f"{_RUN.format('03_meta_networks.ipynb', 'context', 'context')} -p learner in_context -p shots 32",
        "learner=in_context,fast_weights,meta_sgd shots=16,32 train_seconds=60 seed=0..2",
        "shots 4 to 32, learner (in_context, fast_weights, hypernetwork); in 05 up to 128 shots"),
    Direction(
        "better state", "Users correct themselves and mean other things by the same word: what helps tracking most?",
        _part("state"), f"{_RUN.format('05_meta_optimization.ipynb', 'state', 'state')} -p world travel.en "
        "-p learner meta_sgd",
        "world=restaurants.en,travel.en learner=meta_sgd,hypernetwork train_seconds=60 seed=0..2",
        "world (travel.en, where users correct themselves; clinic.en), inner_lr, shots"),
    Direction(
        "better responses", "On real talk adapting gains little. Better priors, more data, or another objective?",
        _part("response"), f"{_RUN.format('05_meta_optimization.ipynb', 'talk', 'talk')} -p corpus chitchat "
        "-p inner_lr 0.0001",
        "corpus=chitchat learner=maml,anil inner_lr=0.0001,0.0003 train_seconds=60 seed=0..2",
        "learner, inner_lr, meta_steps; in 06 augmentation and example_weights"),
)}

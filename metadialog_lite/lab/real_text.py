"""Real dialogues and runs on them in words and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metadialog_lite.families.base import Learner
from metadialog_lite.lab.real_data import RealRuns, winner
from metadialog_lite.turns import TaskSource, Turn


def _cell(text: str, most: int = 120) -> str:
    """A text as a cell of a Markdown table."""
    line = " ".join(text.split()).replace("|", "∣").replace("<", "&lt;")
    return line if len(line) <= most else line[: most - 1] + "…"


def side_by_side(source: TaskSource, split: str = "test", tasks: int = 2, turns: int = 4, seed: int = 0) -> Any:
    """The first support turns of some tasks beside each other, as a Markdown table."""
    from IPython.display import Markdown

    people = [source.task(split, seed, index) for index in range(tasks)]
    lines = ["| turn | " + " | ".join(_cell(person.name) for person in people) + " |", "|---|" + "---|" * tasks]
    for number in range(turns):
        cells = [_cell(_turn(source, person.support(turns)[number])) for person in people]
        lines.append(f"| {number + 1} | " + " | ".join(cells) + " |")
    return Markdown("\n".join(lines))


def _turn(source: TaskSource, turn: Turn) -> str:
    said = f"“{source.text(turn.user)}” → “{source.text(turn.response)}”"
    return f"{said} [{source.text(turn.state)}; {source.text(turn.act)}]" if turn.state else said


def replies(learner: Learner, source: TaskSource, shots: int, prompts: int = 4, index: int = 0, seed: int = 0) -> Any:
    """What the model says before and after it has seen a held-out task's support, as a Markdown table."""
    from IPython.display import Markdown

    task = source.task("test", seed, index)
    query = task.query(prompts)
    before, after = (learner.adapt(task.support(k)).replies(query) for k in (0, shots))
    lines = [f"**{_cell(task.name)}**, most probable replies of {learner.name} before and after {shots} support turns:",
             "", "| said to the system | before | after | really answered |", "|---|---|---|---|"]
    for turn, one, two in zip(query, before, after, strict=True):
        cells = [source.text(part) for part in (turn.user, one.response, two.response, turn.response)]
        lines.append("| " + " | ".join(_cell(cell, 90) for cell in cells) + " |")
    return Markdown("\n".join(lines))


def verdict_table(found: RealRuns, shots: Sequence[int], learners: Sequence[str] = ()) -> Any:
    """Each learner against fine-tuning over the shots, one interval a training seed, and who wins."""
    from IPython.display import Markdown

    names = [name for name in (learners or found.learners) if name != "finetune"]
    lines = ["| learner | seeds | " + " | ".join(f"after {k}" for k in shots) + " | adapting, s |",
             "|---|---|" + "---|" * (len(shots) + 1)]
    for name in names:
        cells = []
        for k in shots:
            pairs = found.against(name, k)
            text = ", ".join(f"{d.mean:+.2f} [{d.low:+.2f}, {d.high:+.2f}]" for d in pairs.values())
            word = winner(pairs, name)
            cells.append(f"{text or '–'}{'' if word.startswith('no') or not pairs else f' **{word}**'}")
        seconds = [found.runs[name, seed].seconds.adapt for seed in found.seeds(name)]
        each = f"{seconds[0]:.3f}" if seconds and seconds[0] is not None else "–"
        lines.append(f"| {name} | {len(found.seeds(name))} | " + " | ".join(cells) + f" | {each} |")
    if not names:
        return Markdown(f"*No run on {found.title} is stored.*")
    return Markdown(f"**{found.title}**: learner − fine-tuning, nats per turn, paired over people; 95 % intervals, one "
                    "for each training seed:\n\n" + "\n".join(lines))


def spoken_table(found: RealRuns) -> Any:
    """What was said, judged after the most shots: BLEU, distinct-n, joint goal accuracy and the like; first seed."""
    from IPython.display import Markdown

    names = ("BLEU", "distinct-1", "distinct-2", "JGA", "JGA fuzzy", "slot F1", "slot error", "entity F1", "act")
    lines = ["| learner | perplexity | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    signature = ""
    for name in found.learners:
        run = found.runs.get((name, found.seeds(name)[0]))
        if run is None or run.bleu is None:
            continue
        spoken, distinct = run.options.get("spoken", {}), run.distinct or {}
        most = str(max(row.shots for row in run.rows))
        numbers = [(run.perplexity or {}).get(most), run.bleu, distinct.get("1"), distinct.get("2"),
                   run.jga.gold_previous_state if run.jga else None, spoken.get("jga_fuzzy"), spoken.get("slot_f1"),
                   spoken.get("slot_error"), spoken.get("entity_f1"), run.act_accuracy]
        cells = ["–" if x is None else f"{x:.1f}" if i < 2 else f"{x:.3f}" for i, x in enumerate(numbers)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        signature = f"Perplexity per token of {run.vocabulary} (with markers); BLEU is {run.bleu_signature}."
    return Markdown("\n".join(lines) + f"\n\n{signature}" if signature else f"*Nothing decoded on {found.title}.*")


def costs(found: RealRuns) -> str:
    """Seconds of training and adapting, and the commands behind one run, as text."""
    lines = []
    for name in found.learners:
        run = found.runs[name, found.seeds(name)[0]]
        train, adapt = run.seconds.train or 0, run.seconds.adapt or 0
        lines.append(f"{name:17} trained {train:4.0f} s, adapts in {adapt:.3f} s a task, {run.parameters} parameters")
    return "\n".join(lines) or f"no run on {found.title} is stored"

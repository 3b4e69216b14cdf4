"""How many training people there were, and what came of it: stored runs on ``CORPUS+people=N`` beside those on all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metadialog_lite.lab.comparison_data import RIVAL
from metadialog_lite.lab.comparison_figure import look_of
from metadialog_lite.lab.figures import layout
from metadialog_lite.lab.real_data import RealRuns, read_real, stored_corpora
from metadialog_lite.lab.real_plots import MEASURES
from metadialog_lite.turns import TaskSource

_FEW = re.compile(r"(.*)\+people=(\d+)$")


def everybody(source: TaskSource) -> int:
    """How many training people (services, domains ...) a corpus has."""
    tasks = getattr(source, "speakers", None) or getattr(source, "tasks", None)
    if tasks is None:
        raise ValueError(f"{source.name} is no corpus: its training people never end")
    return len(tasks("train"))


def read_people(label: str, all_of_them: int, folder: Path | None = None, size: str = "tiny") -> dict[int, RealRuns]:
    """Number of training people → the stored runs with so many; ``all_of_them``: how many there are.

    Only training seeds that are there for every number are kept, so that nothing but the number differs.
    """
    found = {all_of_them: read_real(label, folder, size)}
    for name, kept in stored_corpora(folder):
        few = _FEW.match(name)
        if few and few[1] == label and kept == size:
            found[int(few[2])] = read_real(name, folder, size)
    common = set.intersection(*({seed for _, seed in runs.runs} for runs in found.values()))
    return {count: RealRuns(runs.label, size, {key: run for key, run in runs.runs.items() if key[1] in common})
            for count, runs in sorted(found.items())}


def learners_of(found: Mapping[int, RealRuns]) -> list[str]:
    """Who was run with every number of people, the rival last."""
    first, *others = found.values()
    names = [name for name in first.learners if all(name in runs.learners for runs in others)]
    return sorted(names, key=lambda name: name == RIVAL)


def people_plot(found: Mapping[int, RealRuns], shots: int) -> tuple[Any, str]:
    """Learner − fine-tuning after ``shots`` turns against the number of training people, with 95 % intervals."""
    import plotly.graph_objects as go

    figure = go.Figure(layout=layout(380, hovermode="closest"))
    figure.update_xaxes(title="training people", type="log", tickvals=list(found), ticktext=[str(n) for n in found])
    figure.update_yaxes(title=MEASURES["difference"], zeroline=True)
    said = []
    for name in learners_of(found):
        pairs = {count: runs.against(name, shots) for count, runs in found.items()}
        points = [(count, d) for count, by_seed in pairs.items() for d in by_seed.values()]
        if name == RIVAL or not points:
            continue
        look = look_of(name)
        figure.add_trace({
            "type": "scatter", "mode": "lines+markers", "name": name, "x": [count for count, _ in points],
            "y": [d.mean for _, d in points], "line": {"color": look.colour, "dash": look.dash},
            "marker": {"symbol": look.marker, "size": 9},
            "error_y": {"type": "data", "symmetric": False, "array": [d.high - d.mean for _, d in points],
                        "arrayminus": [d.mean - d.low for _, d in points]},
            "hovertemplate": "%{x} people: %{y:+.2f} nats<extra>" + name + "</extra>"})
        said.append(f"{name} " + ", ".join(f"{d.mean:+.2f} [{d.low:+.2f}, {d.high:+.2f}]" for _, d in points))
    if not said:
        return figure, "No runs with fewer training people are stored."
    counts = ", ".join(str(count) for count in found)
    return figure, f"Learner − {RIVAL} after {shots} turns with {counts} training people: " + "; ".join(said) + "."


def people_table(found: Mapping[int, RealRuns], shots: int) -> Any:
    """Loss without support and after ``shots`` turns for every number of training people, as a Markdown table."""
    from IPython.display import Markdown

    names = learners_of(found)
    if len(found) < 2 or not names:
        return Markdown("*No runs with fewer training people are stored.*")
    lines = ["| training people | " + " | ".join(f"{name}, 0 | {name}, {shots}" for name in names) + " |",
             "|---:|" + "---:|" * (2 * len(names))]
    for count, runs in found.items():
        cells = [runs.mean(name, k) for name in names for k in (0, shots)]
        lines.append(f"| {count} | " + " | ".join("–" if x is None else f"{x:.2f}" for x in cells) + " |")
    return Markdown(f"Loss on the same held-out people after 0 and {shots} support turns, nats per turn:\n\n"
                    + "\n".join(lines))


def trend(found: Mapping[int, RealRuns], shots: int) -> tuple[int, str] | None:
    """What fewer people do to the difference to fine-tuning: 0 larger, 1 the same, 2 smaller; and in words.

    Judged on the first learner, its first training seed, by whether the intervals with the fewest and with all people
    overlap. None where nothing is stored.
    """
    name = next((name for name in learners_of(found) if name not in (RIVAL, "prior")), None)
    if len(found) < 2 or name is None:
        return None
    fewest, most = (next(iter(found[count].against(name, shots).values())) for count in (min(found), max(found)))
    apart = fewest.low > most.high or fewest.high < most.low
    words = f"The intervals of {name} with {min(found)} and {max(found)} people {'do not ' * apart}overlap."
    return (1 if not apart else 0 if fewest.mean > most.mean else 2), words

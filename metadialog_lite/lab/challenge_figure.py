"""Figures of the trainings on few speakers and of first against second order, each as (figure, what it says)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metadialog_lite.challenges.schema import Judged, Point, Training, Trainings
from metadialog_lite.lab.comparison_plots import empty_figure
from metadialog_lite.lab.comparison_text import number
from metadialog_lite.lab.figures import FLOOR, LOOKS, NATS, line

#: Who judges a training, as a reader calls them.
GROUPS = {"seen": "training speakers, training turns", "known": "training speakers, other turns",
          "new": "new speakers"}
GROUP_LOOKS = dict(zip(GROUPS, LOOKS, strict=False))
#: A regret below this cannot be drawn on a logarithmic axis.
LEAST = 0.02
_TICKS = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]


def pool_name(pool: int | None) -> str:
    """``8 speakers``, or ever new ones."""
    return "always new" if pool is None else f"{pool}"


def regret(judged: Judged) -> float:
    """Loss above the Bayes floor, nats per turn."""
    return judged.loss - judged.bayes


def pools_plot(found: Trainings, shots: Sequence[int] = (2, 8, 32)) -> tuple[Any, str]:
    """Regret on new speakers against the number of training speakers, a line for each number of shots."""
    figure = empty_figure(400, f"New speakers, after {found.runs[0].steps} outer steps on so many others")
    x = list(range(len(found.runs)))
    for look, k in zip(LOOKS, shots, strict=False):
        rows = [_row(run, k, "total") for run in found.runs]
        figure.add_trace(line(look, f"{k} support turns", x, [max(LEAST, row.regret or 0) for row in rows]))
    figure.update_xaxes(title="training speakers (each with the same turns, again and again)", tickvals=x,
                        ticktext=[pool_name(run.pool) for run in found.runs])
    figure.update_yaxes(title=f"{NATS}, above the floor", type="log", tickvals=_TICKS)
    k = shots[-1]
    said = ", ".join(f"{pool_name(run.pool)}: {number(_row(run, k, 'total').gap_closed, 2)}" for run in found.runs)
    return figure, f"Share of the gap closed for new speakers after {k} support turns, by training speakers: {said}."


def pools_table(found: Trainings) -> Any:
    """Share of the gap closed for new speakers: training speakers × support turns, as Markdown."""
    from IPython.display import Markdown

    shots = sorted({row.shots for run in found.runs for row in run.rows if row.shots})
    lines = [f"| training speakers | {' | '.join(f'{k} turns' for k in shots)} | choice of act | state | response |",
             "|---|" + "---:|" * (len(shots) + 3)]
    for run in found.runs:
        total = [number(_row(run, k, "total").gap_closed, 2) for k in shots]
        parts = [number(_row(run, shots[-1], part).gap_closed, 2) for part in ("act", "state", "response")]
        lines.append(f"| {pool_name(run.pool)} | {' | '.join([*total, *parts])} |")
    return Markdown(f"Share of the gap closed for new speakers, total; at the right by capability after {shots[-1]} "
                    "turns:\n\n" + "\n".join(lines))


def points_plot(points: Sequence[Point], title: str) -> tuple[Any, str]:
    """One training: the regret of each group of speakers against the outer step."""
    figure = empty_figure(360, title)
    for name, look in GROUP_LOOKS.items():
        figure.add_trace(line(look, GROUPS[name], [point.step for point in points],
                              [regret(point.groups[name]) for point in points]))
    figure.add_hline(y=0, line={"color": "#444444", "dash": "dash"})
    figure.update_xaxes(title="outer steps")
    figure.update_yaxes(title=f"{NATS}, above the floor")
    return figure, points_text(points)


def points_text(points: Sequence[Point]) -> str:
    """From the first to the last point, for each group; and whether somebody is below the floor."""
    first, last = points[0], points[-1]
    said = "; ".join(f"{GROUPS[name]} {regret(first.groups[name]):+.2f} → {regret(last.groups[name]):+.2f}"
                     for name in GROUPS)
    text = f"Nats per turn above the floor, step {first.step} → {last.step}: {said}."
    below = [GROUPS[name] for name in GROUPS if regret(last.groups[name]) < -0.05]
    return text + (f" Below the floor: {', '.join(below)}; that is remembering, not learning." if below else "")


def pool_traces() -> list[dict[str, Any]]:
    """Traces of the pool panel without numbers, and of :func:`pool_numbers`."""
    return [line(look, GROUPS[name]) for name, look in GROUP_LOOKS.items()] + [
        line(FLOOR, "Bayes floor (best possible)") | {"mode": "lines"}]


def pool_numbers(run: Training) -> list[dict[str, Any]]:
    """What :func:`pool_traces` show of one training: regrets from the second point on."""
    points = run.points[1:]  # before the first step the inner rates are far too long for a picture
    steps = [point.step for point in points]
    drawn = [{"x": steps, "y": [regret(point.groups[name]) for point in points]} for name in GROUPS]
    return [*drawn, {"x": steps, "y": [0.0] * len(steps)}]


def orders_plot(found: Trainings, against: str) -> tuple[Any, str]:
    """First and second order, regret on new speakers; ``against`` is "step" or "cpu_seconds"."""
    figure = empty_figure(400, f"New speakers after {found.shots} support turns, by "
                               f"{'outer steps' if against == 'step' else 'CPU seconds of training'}")
    for look, run in zip(LOOKS, found.runs, strict=False):
        points = run.points[1:]
        figure.add_trace(line(look, order_name(run), [getattr(point, against) for point in points],
                              [max(LEAST, regret(point.groups["new"])) for point in points]))
    figure.update_xaxes(title="outer steps" if against == "step" else "CPU seconds of training")
    figure.update_yaxes(title=f"{NATS}, above the floor", type="log", tickvals=_TICKS)
    said = "; ".join(f"{order_name(run)}: {regret(run.points[-1].groups['new']):.2f} nats above the floor (gap closed "
                     f"{number(run.points[-1].groups['new'].gap_closed, 2)}) after {run.points[-1].cpu_seconds:.0f} s"
                     for run in found.runs)
    return figure, f"At the end of {found.runs[0].steps} steps: {said}."


def order_name(run: Training) -> str:
    """``first order, 3 inner steps``."""
    steps = run.options["inner_steps"]
    return f"{'first' if run.learner == 'fomaml' else 'second'} order, {steps} inner step{'s' * (steps != 1)}"


def shifts_text(found: Trainings) -> str:
    """How the trainings fare with speakers from a shifted world, as lines of a table."""
    kinds = list(found.runs[0].shifts)
    lines = [f"{'training speakers':20}{'same world':>12}" + "".join(f"{kind:>14}" for kind in kinds)]
    for run in found.runs:
        cells = [run.points[-1].groups["new"], *(run.shifts[kind] for kind in kinds)]
        lines.append(f"{pool_name(run.pool):20}{regret(cells[0]):12.2f}" + "".join(
            f"{regret(cell):14.2f}" for cell in cells[1:]))
    return "\n".join(lines)


def _row(run: Training, shots: int, part: str) -> Any:
    return next(row for row in run.rows if row.shots == shots and row.capability == part)

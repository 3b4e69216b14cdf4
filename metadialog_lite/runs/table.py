"""The live table of a sweep: how far, how long still, the best so far, the last runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from metadialog_lite.runs.engine import Engine
from metadialog_lite.runs.report import RunRow, best_row, settings_name, usable_metric
from metadialog_lite.runs.sweep import Progress

#: Finished runs that the table shows.
LAST = 8


class LiveTable:
    """On a terminal a table that is redrawn; anywhere else (a log file) one line for each run."""

    def __init__(self, progress: Progress, names: Iterable[str], engine: Engine, metric: str, console: Console):
        self.progress, self.names, self.engine = progress, list(names), engine
        self.metric, self.console = metric, console

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it inside the ``with`` block."""
        if not self.console.is_terminal:
            yield
            return
        with Live(get_renderable=self.drawn, console=self.console, refresh_per_second=4):
            yield

    def finished(self, row: RunRow) -> None:
        """A line for a log file."""
        if not self.console.is_terminal:
            progress = self.progress
            place = f"{progress.done + progress.failed}/{progress.total}"
            print(f"{place}  {row.id}  {self.words(row)}  {self.said(row)}", file=self.console.file, flush=True)

    def drawn(self) -> Group:
        """The table as it is now."""
        progress, rows = self.progress, list(self.progress.rows)
        over = progress.done + progress.failed
        eta = progress.eta
        line = (f"{progress.done} done, {progress.failed} failed, {progress.left} to go of {progress.total}; "
                f"{self.engine.workers} at a time; " + ("…" if eta is None else f"about {clock(eta)} to go"))
        table = Table(box=None, pad_edge=False)
        for name in ("run", "setting", "result", "seconds"):
            table.add_column(name, overflow="ellipsis", no_wrap=True)
        for row in rows[-LAST:]:
            table.add_row(row.id, Text(self.words(row)), Text(self.said(row)), f"{row.seconds:.1f}")
        parts: list[Any] = [ProgressBar(total=max(1, progress.total), completed=over, width=60), Text(line), table]
        best = best_row(rows, usable_metric(rows, self.metric))
        if best is not None:
            parts.append(Text(f"best so far: {self.words(best)}  {self.said(best)}"))
        return Group(*parts)

    def words(self, row: RunRow) -> str:
        """The parameters that this sweep varies."""
        return settings_name({name: row.parameters.get(name) for name in self.names})

    def said(self, row: RunRow) -> str:
        """Its result in a few words, or why it failed."""
        if not row.done:
            return f"failed: {(row.error or '').splitlines()[0]}"
        point = row.at()
        if point is None or point.loss is None:
            return "done"
        closed = "" if point.gap_closed is None else f", gap closed {point.gap_closed:.3f}"
        return f"loss {point.loss:.3f}{closed}"


def clock(seconds: float) -> str:
    """``75`` -> ``1:15``; hours where there are any."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

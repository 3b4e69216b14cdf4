"""Run the shipped notebooks and write their outputs into them: ``make notebooks`` (or name some notebooks).

Committed outputs are for readers on GitHub: text and pictures, no widget state, at most 300 kB a notebook, and as
little as possible that differs from one run to the next. Live figures get their picture (twin) only here:
``metadialog_lite.lab.figures.show`` adds one when METADIALOG_TWINS=1.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import nbformat
import typer
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
LIMIT = 300_000  # bytes
PICTURES = ("image/png", "image/svg+xml")
WIDGET = "application/vnd.jupyter.widget-view+json"
PANEL = "[an interactive panel: open this notebook in JupyterLab and run the cell to use it]"
KEPT = ("tags", "jupyter", "nbgrader")  # of a cell's metadata: "parameters" and the like, folded solutions, grading
#: what a notebook says about itself, whatever machine it ran on
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


def regenerate(path: Path) -> int:
    """Run one notebook and save it with cleaned outputs; returns its size in bytes.

    Raises:
        CellExecutionError: a cell failed; the file is left as it was.
        ValueError: the result is larger than LIMIT; the file is left as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        coalesce_streams=True,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    clean(notebook)
    text = nbformat.writes(notebook) + "\n"
    size = len(text.encode())
    if size > LIMIT:
        raise ValueError(f"{path.name} would have {size:,} bytes, over the limit of {LIMIT:,}: show less")
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return size


def clean(notebook: NotebookNode) -> None:
    """Keep what a reader needs: text, pictures, tags; in place."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({key: cell.metadata[key] for key in KEPT if key in cell.metadata})
        if cell.cell_type == "code":
            cell.outputs = [kept for output in cell.outputs if (kept := _clean_output(output)) is not None]
    number = 0
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.strip():
            number += 1
            cell.execution_count = number
            for output in cell.outputs:
                if "execution_count" in output:
                    output["execution_count"] = number


def _clean_output(output: NotebookNode) -> NotebookNode | None:
    if output.output_type == "stream":
        if output.name == "stderr":
            sys.stderr.write(output.text)  # for whoever runs this command; not for the reader
            return None
        output.text = _same_every_time(output.text)
        return output
    if output.output_type not in ("display_data", "execute_result"):
        return output
    output.metadata = nbformat.from_dict({})
    output.data = nbformat.from_dict(_clean_data(dict(output.data)))
    return output if output.data else None


def _clean_data(data: dict[str, Any]) -> dict[str, Any]:
    """A panel becomes a sentence, a live figure its picture; text and Markdown stay."""
    pictures = {kind: data[kind] for kind in PICTURES if kind in data}
    if WIDGET in data:
        return {**pictures, "text/plain": PANEL}
    if any(kind.startswith("application/vnd.plotly") for kind in data):
        return {**pictures, "text/plain": "[a live figure]"} if not _is_text(data) else {**pictures, **_text(data)}
    keep = ("text/plain", "text/markdown", "text/latex", "text/html", *PICTURES)
    return {kind: _same_every_time(value) for kind, value in data.items() if kind in keep}


def _text(data: dict[str, Any]) -> dict[str, Any]:
    return {"text/plain": _same_every_time(data["text/plain"])}


def _is_text(data: dict[str, Any]) -> bool:
    """True when ``text/plain`` is a sentence about the figure and not the repr of its object."""
    return "text/plain" in data and not re.match(r"(Figure|FigureWidget)\(", data["text/plain"])


def _same_every_time(text: Any) -> Any:
    """Memory addresses and the maker's folders differ from run to run: leave them out."""
    if not isinstance(text, str):
        return text
    text = re.sub(r"0x[0-9a-f]{6,}", "0x…", text)
    return text.replace(str(FOLDER.parent) + os.sep, "")


def main(
    notebooks: Annotated[list[Path] | None, typer.Argument(help="Which ones; all of notebooks/ by default.")] = None,
    twins: Annotated[bool, typer.Option(help="Add pictures of live figures (needs Chromium).")] = True,
) -> None:
    """Run notebooks and write their outputs into them."""
    os.environ["METADIALOG_TWINS"] = "1" if twins else "0"
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    for path in notebooks or sorted(p for p in FOLDER.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts):
        start = time.perf_counter()
        try:
            size = regenerate(path)
        except (CellExecutionError, ValueError) as error:
            typer.echo(f"{path.name}: left as it was.\n{error}", err=True)
            raise typer.Exit(1) from error
        typer.echo(f"{path.name}: {size / 1000:.0f} kB, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    typer.run(main)

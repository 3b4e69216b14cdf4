"""A notebook or Markdown file → the body of a page: nbconvert's HTML, formulas as MathML, links between pages."""

from __future__ import annotations

import base64
import html
import re
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import pass_context
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from metadialog_lite.site.formulas import mathml

#: What the notebooks' committed outputs say where a panel was.
PANEL = re.compile(r"^\[an interactive panel")
_CLASS = re.compile(r"\b(?:lab\.)?(\w+Panel|GradientMicroscope)\(")


class Renderer(IPythonRenderer):
    """Markdown as nbconvert reads it, but formulas are drawn now and not by a script in the reader's browser."""

    def block_math(self, body: str) -> str:
        return mathml(body, block=True)

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", block=True)


def markdown(source: str) -> str:
    """Markdown → HTML."""
    made: str = MarkdownWithMath(renderer=Renderer(escape=False, anchor_link_text="¶")).render(source)
    return made


class CourseExporter(HTMLExporter):
    """nbconvert's exporter with our Markdown; its template ``basic`` adds neither scripts nor style sheets."""

    def __init__(self, **settings: Any):
        super().__init__(template_name="basic", **settings)

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        return markdown(source)


def body_of(notebook: NotebookNode, pictures: dict[str, str]) -> str:
    """A notebook's cells as HTML.

    Args:
        notebook: with its committed outputs; it is not run and not changed.
        pictures: panel's class, such as TrainingPanel → address of its picture.
    """
    shown = nbformat.from_dict(dict(notebook))
    for cell in shown.cells:
        if cell.cell_type == "code":
            said = "\n".join(output.text for output in cell.outputs if output.output_type == "stream")
            cell.outputs = [_output(output, cell.source, said, pictures) for output in cell.outputs]
    body: str = _exporter().from_notebook_node(shown)[0]
    return body


@cache
def _exporter() -> CourseExporter:
    """One for all notebooks: reading its templates takes longer than using them."""
    return CourseExporter()


def _output(output: NotebookNode, source: str, said: str, pictures: dict[str, str]) -> NotebookNode:
    """A panel becomes its picture; a picture keeps its sentence, as a caption where the cell does not print it anyway.

    Args:
        output: one output of a code cell.
        source: the cell's code.
        said: what the cell prints.
        pictures: panel's class → address of its picture.
    """
    data = output.get("data", {})
    text = str(data.get("text/plain", ""))
    if PANEL.match(text):
        found = _CLASS.search(source)
        note = ("A live panel: open this notebook in JupyterLab to use it." if found else
                "A question to answer before you read on; in JupyterLab you commit a guess and how sure you are.")
        picture = pictures.get(found.group(1)) if found else None
        image = f'<img src="{picture}" alt="The panel {found.group(1)} after some use">' if picture and found else ""
        return _html(f'<div class="panel">{image}<p>{note}</p></div>')
    kind = next((kind for kind in ("image/svg+xml", "image/png") if kind in data), "")
    if kind and text and not text.startswith("<"):
        code = "".join(data[kind].split()) if kind == "image/png" else base64.b64encode(data[kind].encode()).decode()
        plain = html.escape(text.strip("'"))
        caption = "" if _flat(text) in _flat(said) else f"<figcaption>{plain}</figcaption>"
        return _html(f'<figure><img src="data:{kind};base64,{code}" alt="{plain}">{caption}</figure>')
    return output


def _flat(text: str) -> str:
    """Without quotation marks around it and however its lines were wrapped."""
    return " ".join(text.strip("'").split())


def _html(code: str) -> NotebookNode:
    return nbformat.v4.new_output("display_data", data={"text/html": code})


def linked(body: str, pages: set[str]) -> str:
    """Links to notebooks and Markdown files of the course become links to their pages; a missing one becomes text.

    Args:
        body: HTML with links such as ``05_meta_optimization.ipynb#2`` or ``../docs/EQUATIONS.md``.
        pages: the stems of all pages of the site.
    """

    def one(found: re.Match[str]) -> str:
        stem, fragment, text = Path(found.group(1)).stem, found.group(2) or "", found.group(3)
        return f'<a href="{stem}.html{fragment}">{text}</a>' if stem in pages else f"<span>{text}</span>"

    return re.sub(r'<a href="(?![a-z]+:)([^"#]+\.(?:ipynb|md))(#[^"]*)?"[^>]*>(.*?)</a>', one, body, flags=re.DOTALL)

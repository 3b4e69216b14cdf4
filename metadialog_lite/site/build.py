"""``metadialog-lite course site`` and ``make site``: write the whole site into one folder."""

from __future__ import annotations

import html
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from string import Template

import nbformat
from pygments.formatters import HtmlFormatter

from metadialog_lite.paths import notebooks_dir
from metadialog_lite.site.exporter import body_of, linked, markdown

#: The order of reading (the numbers follow the families' usual order).
ORDER = ("00", "01", "02", "05", "03", "04", "06", "07", "08", "09", "10", "11", "12")
#: Markdown files of docs/ that become pages, with their titles on the map.
DOCUMENTS = {"lesson_90_minutes": "A 90-minute class", "lesson_one_week": "A week of classes",
             "EQUATIONS": "All equations"}
HERE = Path(__file__).parent


class SiteError(Exception):
    """The site can't be written; the message says why."""


@dataclass(frozen=True)
class Page:
    """One page: its file's stem, title, minutes (or ""), first sentence and body (HTML)."""

    stem: str
    title: str
    minutes: str
    about: str
    body: str


def build(out: Path, docs: Path | None = None) -> list[Path]:
    """Write the site; returns its pages, ``index.html`` first.

    Args:
        out: the folder to write; a folder that holds anything but an older site is refused.
        docs: the folder with lesson plans and pictures; beside notebooks/ by default, left out where there is none.

    Raises:
        SiteError: ``out`` holds something else, or is a file.
        FormulaError: a formula of a notebook can't be shown.
    """
    documents = docs or notebooks_dir().parent / "docs"
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "course.css").exists())):
        raise SiteError(f"{out} is not an older site: give a new or an empty folder")
    notebooks = sorted(notebooks_dir().glob("[0-9][0-9]_*.ipynb"),
                       key=lambda path: ORDER.index(path.name[:2]) if path.name[:2] in ORDER else 99)
    exercises = sorted((notebooks_dir() / "exercises" / "release").glob("*.ipynb"))
    images = out / "pictures"
    if out.exists():
        shutil.rmtree(out)
    images.mkdir(parents=True)
    pictures = {}
    for path in [*sorted((documents / "panels").glob("*.png")), documents / "training_panel.png"]:
        if path.exists():
            name = "TrainingPanel" if path.stem == "training_panel" else path.stem
            shutil.copyfile(path, images / f"{name}.png")
            pictures[name] = f"pictures/{name}.png"
    course = [_notebook(path, pictures) for path in notebooks]
    homework = [_notebook(path, pictures) for path in exercises]
    others = [_document(documents / f"{stem}.md", title) for stem, title in DOCUMENTS.items()
              if (documents / f"{stem}.md").exists()]
    (out / "course.css").write_text(_style(), encoding="utf-8")
    pages = [*course, *homework, *others]
    stems = {page.stem for page in pages}
    written = [_write(out, Page("index", "MetaDialog Lite", "", "", _map(course, homework, others)), pages, stems)]
    return written + [_write(out, page, pages, stems) for page in pages]


def _notebook(path: Path, pictures: dict[str, str]) -> Page:
    notebook = nbformat.read(path, as_version=4)
    first = next((cell.source for cell in notebook.cells if cell.cell_type == "markdown"), path.stem)
    title = first.splitlines()[0].lstrip("# ").strip()
    minutes = re.search(r"\*\*Minutes:\*\*\s*(\d+)", first)
    paragraphs = [part.strip() for part in first.split("\n\n")[1:]]
    about = re.sub(r"<[^>]*>", "", markdown(paragraphs[0].replace("**Goals.** ", ""))) if paragraphs else ""
    return Page(path.stem, title, minutes.group(1) if minutes else "", _first_sentence(about),
                body_of(notebook, pictures))


def _first_sentence(text: str) -> str:
    found = re.match(r".*?[.?!](?=\s|$)", " ".join(text.split()))
    return found.group(0) if found else " ".join(text.split())


def _document(path: Path, title: str) -> Page:
    body = markdown(path.read_text(encoding="utf-8"))
    return Page(path.stem, title, "", "", f'<div class="cell text_cell rendered_html">{body}</div>')


def _map(course: list[Page], homework: list[Page], others: list[Page]) -> str:
    rows = "".join(f'<tr><td>{number}</td><td><a href="{page.stem}.html">{html.escape(page.title)}</a></td>'
                   f"<td>{page.minutes}</td><td>{page.about}</td></tr>" for number, page in enumerate(course, 1))
    parts = [(HERE / "index.html").read_text(encoding="utf-8"),
             '<table class="map"><thead><tr><th>read</th><th>notebook</th><th>minutes</th><th>about</th></tr></thead>'
             f"<tbody>{rows}</tbody></table>"]
    for title, pages in (("Assignments", homework), ("For the class", others)):
        if pages:
            items = "".join(f'<li><a href="{page.stem}.html">{html.escape(page.title)}</a></li>' for page in pages)
            parts.append(f"<h2>{title}</h2><ul>{items}</ul>")
    return "\n".join(parts)


def _write(out: Path, page: Page, pages: list[Page], stems: set[str]) -> Path:
    template = Template((HERE / "page.html").read_text(encoding="utf-8"))
    numbers = [other.stem for other in pages]
    at = numbers.index(page.stem) if page.stem in numbers else -1
    near = {"before": pages[at - 1] if at > 0 else None, "after": pages[at + 1] if at + 1 < len(pages) else None}
    steps = {name: "" if other is None else f'<a href="{other.stem}.html">{html.escape(other.title)}</a>'
             for name, other in near.items()}
    heads = re.findall(r'<h2 id="([^"]+)">(.*?)(?:<a class="anchor-link".*?)?</h2>', page.body, flags=re.DOTALL)
    toc = "".join(f'<li><a href="#{anchor}">{re.sub("<(?!/?(?:m|math))[^>]*>", "", text)}</a></li>'
                  for anchor, text in heads)
    side = ('<nav aria-label="on this page"><details open><summary>On this page</summary>'
            f"<ol>{toc}</ol></details></nav>")
    target = out / f"{page.stem}.html"
    target.write_text(template.substitute(
        title=html.escape(page.title), body=linked(page.body, stems), side=side if toc else "", **steps),
        encoding="utf-8")
    return target


def _style() -> str:
    """Our style sheet, and the colours of code in light and dark."""
    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    own = (HERE / "course.css").read_text(encoding="utf-8")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"

"""The static site: every page, formulas without scripts, links that lead somewhere, nothing from another host."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from metadialog_lite.site.build import ORDER, SiteError, build
from metadialog_lite.site.exporter import linked, markdown
from metadialog_lite.site.formulas import FormulaError, mathml

ROOT = Path(__file__).resolve().parent.parent
#: tag → attribute from which a browser loads something by itself
LOADS = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "video": "src",
         "audio": "src", "embed": "src", "object": "data", "use": "href", "image": "href", "input": "src"}


class Seen(HTMLParser):
    """What a page loads, where it links to, its ids and its tags."""

    def __init__(self, path: Path):
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.tags: dict[str, int] = {}
        self.text, self.inside = "", 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.inside += tag in ("pre", "code", "title")
        self.ids |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in LOADS and values.get(LOADS[tag]):
            self.loads.append(values[LOADS[tag]])
        assert not [key for key in values if key.startswith("on")], f"a script hides in {tag} {values}"


    def handle_endtag(self, tag):
        self.inside -= tag in ("pre", "code", "title")

    def handle_data(self, data):
        self.text += "" if self.inside else data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "out"
    build(out)
    return out


@pytest.fixture(scope="module")
def site(folder: Path) -> dict[str, Seen]:
    return {path.name: Seen(path) for path in sorted(folder.glob("*.html"))}


def test_every_notebook_assignment_and_plan_is_a_page_and_on_the_map(site):
    wanted = [path.stem for path in [*(ROOT / "notebooks").glob("[0-9]*.ipynb"),
                                     *(ROOT / "notebooks" / "exercises").glob("*.ipynb"),
                                     *(ROOT / "docs").glob("lesson_*.md"), ROOT / "docs" / "EQUATIONS.md"]]
    assert {f"{stem}.html" for stem in wanted} | {"index.html"} == set(site)
    assert {f"{stem}.html" for stem in wanted} <= set(site["index.html"].links)
    read = list(dict.fromkeys(link[:2] for link in site["index.html"].links if re.match(r"\d\d_", link)))
    assert read == [number for number in ORDER if number in read], "the order of reading"


def test_nothing_is_loaded_from_another_host_and_no_script_runs(site):
    for name, page in site.items():
        assert not [load for load in page.loads if not load.startswith("data:") and not re.fullmatch(
            r"course\.css|pictures/\w+\.png", load)], name
        assert "script" not in page.tags, name
        assert "base" not in page.tags, name


def test_no_style_loads_anything(folder):
    for path in folder.glob("*.*"):
        text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", path.read_text(encoding="utf-8"))
        assert "@import" not in text, path.name
        assert not re.findall(r"url\((?!['\"]?data:)[^)]*\)", text), path.name


def test_every_link_leads_somewhere(site):
    for name, page in site.items():
        for link in page.links:
            if link.startswith(("http://", "https://", "mailto:")):  # a citation: a click, not a load
                continue
            target, _, fragment = link.partition("#")
            assert (target or name) in site, f"{name} links to {link}"
            # A browser looks for the id as it is written first, and then for the decoded one.
            assert not fragment or {fragment, unquote(fragment)} & site[target or name].ids, f"{name} links to {link}"


def test_formulas_are_mathml_and_no_dollar_is_left(site):
    assert site["05_meta_optimization.html"].tags["math"] >= 10
    for name, page in site.items():
        assert not re.findall(r"\$|\\[a-z]{3,}", page.text), name


def test_panels_and_pictures_have_their_places(site):
    page = site["05_meta_optimization.html"]
    assert len([load for load in page.loads if load.startswith("data:image/svg")]) >= 4


@pytest.mark.parametrize(("latex", "expected"), [
    (r"\theta'", "<msup>"), (r"\arg\min_\theta L", "arg"), (r"\frac{a}{b}", "<mfrac>"), ("a < b", "&#x0003C;"),
])
def test_a_formula(latex, expected):
    assert expected in mathml(latex)


def test_a_formulas_label_stands_beside_it():
    made = mathml(r"\theta' = \theta - \alpha\nabla L \tag{EQ-MAML-1}", block=True)
    assert '<span class="tag">(EQ-MAML-1)</span>' in made
    assert "tag{" not in made


def test_a_formula_with_an_unknown_command_is_named():
    with pytest.raises(FormulaError, match=r"unknown command \\nonsense"):
        mathml(r"a \nonsense b")


def test_markdown_reads_formulas_but_not_code_or_prices():
    made = markdown("A formula $x_1$, code `$y$` and\n\n```python\nprice = '$z$'\n```\n")
    assert made.count("<math") == 1
    assert "<code>$y$</code>" in made


def test_links_between_pages():
    body = '<a href="05_x.ipynb#2">five</a> <a href="../09_y.ipynb">nine</a> <a href="https://arxiv.org/a.md">paper</a>'
    assert linked(body, {"05_x"}) == ('<a href="05_x.html#2">five</a> <span>nine</span> '
                                      '<a href="https://arxiv.org/a.md">paper</a>')


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(SiteError, match="not an older site"):
        build(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "precious"

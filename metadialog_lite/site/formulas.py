"""Formulas as MathML, which browsers draw by themselves: no script, no font and no other host is needed."""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert

_TAG = re.compile(r"\\tag\{([^}]*)\}")


class FormulaError(ValueError):
    """A formula that can't be shown; the message holds it."""


def mathml(latex: str, block: bool = False) -> str:
    r"""``\theta' = \theta`` as MathML; a ``\tag{…}`` of a block formula becomes a label beside it.

    Raises:
        FormulaError: a command that is not known.
    """
    labels = _TAG.findall(latex)
    bare = re.sub(r"\\arg(?![a-zA-Z])", r"\\operatorname{arg}", _TAG.sub("", latex))
    try:
        made: str = convert(bare.strip(), display="block" if block else "inline")
    except Exception as error:  # the converter raises many kinds
        raise FormulaError(f"this formula can't be shown: {latex.strip()!r} ({type(error).__name__})") from error
    if unknown := re.findall(r"\\[a-zA-Z]+", re.sub(r"<[^>]*>", "", made)):
        raise FormulaError(f"this formula has an unknown command {unknown[0]}: {latex.strip()!r}")
    if not block:
        return made
    label = f'<span class="tag">({html.escape(labels[0])})</span>' if labels else ""
    return f'<div class="formula">{made}{label}</div>\n'

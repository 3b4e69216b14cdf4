"""Where the shipped worlds, checkpoints and notebooks lie: in a checkout or in an installed package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _shipped(name: str) -> Path:
    """``name`` beside the package (a checkout) or inside it (an installed wheel)."""
    inside = _PACKAGE / "_shipped" / name
    beside = _PACKAGE.parent / name
    found = inside if inside.is_dir() else beside
    if not found.is_dir():
        raise FileNotFoundError(f"the folder '{name}' is neither {inside} nor {beside}: reinstall the package")
    return found


def data_dir() -> Path:
    """The folder with ``worlds/`` and ``checkpoints/``."""
    return _shipped("data")


def notebooks_dir() -> Path:
    """The folder with the course's notebooks."""
    return _shipped("notebooks")

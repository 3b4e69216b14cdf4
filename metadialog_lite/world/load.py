"""One name for every toy source: a world, a shifted world, or several of them."""

from __future__ import annotations

from pathlib import Path

from metadialog_lite.world.generate import World
from metadialog_lite.world.mixture import WORDS_ONLY, Worlds
from metadialog_lite.world.reading import find_world, read_spec
from metadialog_lite.world.shift import shift_words, shifted
from metadialog_lite.world.spec import WorldError


def load_world(name_or_path: str | Path) -> World:
    """A shipped world by name, or the world in a YAML file; after shifts; or several at once.

    * ``restaurants.en``, ``my_world.yaml``
    * ``restaurants.en+lexicon``, ``restaurants.en+style=1.0``, ``my_world.yaml+lexicon`` (which reads the other words
      from ``shifts/my_world.yaml`` beside it): see ``shift.py``
    * ``restaurants.en,travel.en`` (tasks from each in turn), ``restaurants.en,words:clinic.en`` (only the words of the
      latter): see ``mixture.py``

    Raises:
        WorldError: see ``read_spec``, ``shifted`` and ``Worlds``.
    """
    name = str(name_or_path)
    try:
        return World(read_spec(name_or_path))
    except WorldError:
        if not ("," in name or "+" in name) or _is_there(name):
            raise
    if "," not in name:
        return _after_shifts(name)
    parts = [part.strip() for part in name.split(",")]
    if not all(parts):
        raise WorldError(f"worlds '{name}': a name is missing beside a comma")
    drawn = [load_world(part) for part in parts if not part.startswith(WORDS_ONLY)]
    return Worlds(drawn, [load_world(part.removeprefix(WORDS_ONLY)) for part in parts if part.startswith(WORDS_ONLY)])


def _after_shifts(name: str) -> World:
    base, *kinds = name.split("+")
    path = find_world(base)
    world = World(read_spec(path))
    for kind in kinds:
        own = path.parent / "shifts" / path.name
        world = shifted(world, kind, shift_words(world, own) if kind == "lexicon" else None)
    return world


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False

"""What a toy world is: a YAML file, validated field by field.

A world file says which slots there are, which canonical values and surface words each has, and which
sentences user and system may use. Everything else (who means what by which word) is drawn per task.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metadialog_lite.paths import data_dir

#: The system acts, in the order of every table.
ACTS = ("greet", "request", "confirm", "offer", "bye")
#: Exact inference under word noise sums over all V! lexicons of a slot; 6! = 720 is still quick.
MOST_VALUES_WITH_NOISE = 6


class WorldError(ValueError):
    """A world file is missing, broken or ambiguous; the message has one line for each fault."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Knobs(_Strict):
    """Probabilities of the generative process (all exact for the Bayes reference)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    volunteer: float = Field(0.3, ge=0, le=0.95, description="each slot not asked for is told anyway")
    word_noise: float = Field(0.0, ge=0, le=0.5, description="the heard value word is another word of the slot")
    greet: float = Field(0.1, ge=0, le=1, description="a dialogue opens with a greeting turn")
    thank: float = Field(0.3, ge=0, le=1, description="a dialogue closes with a thank-you turn")
    style: float = Field(0.3, ge=0.05, le=100, description="Dirichlet concentration of the template habits")


class Slot(_Strict):
    """One thing the system must find out."""

    ask: str = Field(min_length=1, description="fills {ask} in request templates")
    values: tuple[str, ...] = Field(min_length=2, max_length=12)
    words: tuple[str, ...] = Field(min_length=2, max_length=12)
    say: tuple[str, ...] = Field(min_length=1, description="user phrases with {word} in them")


class UserSide(_Strict):
    """The user's sentences; which one is used carries no information about the task."""

    greet: tuple[str, ...] = Field(min_length=1)
    open: tuple[str, ...] = Field(min_length=1)
    answer: tuple[str, ...] = Field(min_length=1)
    affirm: tuple[str, ...] = Field(min_length=1)
    thank: tuple[str, ...] = Field(min_length=1)
    join: tuple[str, str] = Field((",", "and"), description="between phrases, and before the last")


class SystemSide(_Strict):
    """The system's response templates, by act; each task has its own habits over them."""

    greet: tuple[str, ...] = Field(min_length=2)
    request: tuple[str, ...] = Field(min_length=2)
    confirm: tuple[str, ...] = Field(min_length=2)
    offer: tuple[str, ...] = Field(min_length=2)
    bye: tuple[str, ...] = Field(min_length=2)

    def templates(self, act: str) -> tuple[str, ...]:
        """The templates of one act."""
        found: tuple[str, ...] = getattr(self, act)
        return found


class WorldSpec(_Strict):
    """A whole world file. Words of a sentence are separated by blanks (also in Chinese)."""

    world: str = Field(pattern=r"^[\w-]+(\.[\w-]+)*$", description="its name, such as restaurants.en")
    language: str = Field(pattern=r"^[a-z]{2}$", description="two letters; zh is shown without blanks")
    knobs: Knobs = Knobs.model_validate({})
    slots: dict[str, Slot] = Field(min_length=2, max_length=6)
    user: UserSide
    system: SystemSide
    persona: dict[str, tuple[str, ...]] = Field(min_length=1)


def read_spec(name_or_path: str | Path) -> WorldSpec:
    """Read and validate a world: a shipped name (``restaurants.en``) or the path of a YAML file.

    Raises:
        WorldError: naming the file, the field, the value and what would be right, one line a fault.
    """
    from metadialog_lite.world.ambiguity import faults  # here, because it needs WorldSpec

    path = find_world(name_or_path)
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise WorldError(f"{path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise WorldError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict):
        raise WorldError(f"{path}: holds {type(loaded).__name__}, expected fields such as 'world:' and 'slots:'")
    try:
        spec = WorldSpec.model_validate(loaded)
    except ValidationError as error:
        raise WorldError("\n".join(f"{path}: {line}" for line in _lines(error))) from error
    found = faults(spec)
    if found:
        raise WorldError("\n".join(f"{path}: {line}" for line in found))
    return spec


def shipped_worlds() -> list[str]:
    """Names of the worlds that come with the kit."""
    return sorted(path.name.removesuffix(".yaml") for path in (data_dir() / "worlds").glob("*.yaml"))


def find_world(name_or_path: str | Path) -> Path:
    """The file of a shipped world or the given path itself."""
    shipped = data_dir() / "worlds" / f"{name_or_path}.yaml"
    if shipped.is_file():
        return shipped
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise WorldError(
        f"world '{name_or_path}': neither a file nor a shipped world; shipped are {', '.join(shipped_worlds())}"
    )


def _lines(error: ValidationError) -> list[str]:
    """Pydantic's findings as 'field: got value: what would be right'."""
    lines = []
    for fault in error.errors():
        field = ".".join(str(part) for part in fault["loc"]) or "file"
        value = _short(fault["input"])
        if fault["type"] == "extra_forbidden":
            lines.append(f"{field}: unknown field{_nearest(str(fault['loc'][-1]), fault['loc'])}")
        elif fault["type"] == "missing":
            lines.append(f"{field}: missing, this field is required")
        elif fault["type"] == "string_type":
            lines.append(f"{field}: got {value}: text expected (put quotes round words such as \"no\" or \"11\")")
        else:
            lines.append(f"{field}: got {value}: {fault['msg']}")
    return lines


def _nearest(name: str, where: tuple[Any, ...]) -> str:
    models: dict[str, type[BaseModel]] = {"knobs": Knobs, "slots": Slot, "user": UserSide, "system": SystemSide}
    model = models.get(str(where[0]), WorldSpec) if len(where) > 1 else WorldSpec
    known = list(model.model_fields)
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known here are {', '.join(known)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

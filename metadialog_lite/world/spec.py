"""What a toy world is: a YAML file, validated field by field.

A world file says which slots there are, which canonical values and surface words each has, and which
sentences user and system may use. Everything else (who means what by which word) is drawn per task.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

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
    correct: float = Field(0.0, ge=0, le=1, description="a user turn takes back what was said about a slot")
    greet: float = Field(0.1, ge=0, le=1, description="a dialogue opens with a greeting turn")
    thank: float = Field(0.3, ge=0, le=1, description="a dialogue closes with a thank-you turn")
    support_noise: float = Field(0.0, ge=0, le=0.95, description="each segment of a support turn is a stranger's")
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
    correct: tuple[str, ...] = Field((), description="with {new}, and perhaps {old}, for a phrase of the slot")
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

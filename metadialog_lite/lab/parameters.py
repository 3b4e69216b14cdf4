"""The one validating call after a notebook's ``parameters`` cell.

papermill only warns about a mistyped name and lets a wrong type fail somewhere later. So each notebook says, right
after its parameters::

    p = parameters(globals())

and goes on with ``p.shots``, ``p.source`` and so on, or stops here with one line for each culprit: its name, its value
and what would be right. Mistyped names are found, too: in IPython's record of the cells (``In``) stands what papermill
injected and what a student wrote.
"""

from __future__ import annotations

import ast
import difflib
import tempfile
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from metadialog_lite.turns import TaskSource

LEARNERS = ("maml", "fomaml", "reptile", "anil", "meta_sgd")
SHOTS = (0, 1, 2, 4, 8, 16, 32)  # what meta-training draws from


class ParameterError(ValueError):
    """One line for each wrong parameter. Shows as these lines alone in a notebook and in papermill's report."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook: the frames in between help nobody here
        return [f"ParameterError: {self}"]


class Parameters(BaseModel):
    """What a notebook run can be told. Defaults are those of notebook 05; others have a kind of their own.

    ``offered`` are the learners of the notebook, ``without`` the parameters that its cell does not have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)
    offered: ClassVar[tuple[str, ...]] = LEARNERS
    without: ClassVar[tuple[str, ...]] = ()

    world: str = "restaurants.en"
    corpus: str = ""
    learner: str = "maml"
    inner_lr: float = Field(0.0005, gt=0, le=1, allow_inf_nan=False)
    inner_steps: int = Field(3, ge=1, le=20)
    shots: int = Field(16, ge=1, le=128)
    meta_steps: int = Field(20, ge=0, le=1_000_000)
    tasks: int = Field(8, ge=1, le=256)
    outer_lr: float = Field(0.0003, gt=0, le=0.1, allow_inf_nan=False)
    eval_tasks: int = Field(20, ge=2, le=100_000)
    query_turns: int = Field(8, ge=1, le=64)
    start: str = "auto"
    seed: int = Field(0, ge=0, le=2**31 - 1)
    device: str = "cpu"
    result_path: str = ""

    @field_validator("*", mode="before")
    @classmethod
    def _none_and_bool(cls, value: Any) -> Any:
        """``-p corpus None`` means no corpus; True is not the number 1."""
        if isinstance(value, bool):
            raise ValueError("true and false are no values of this parameter")
        return "" if value is None else value

    @field_validator("learner")
    @classmethod
    def _learner(cls, value: str) -> str:
        if value not in cls.offered:
            raise ValueError(f"unknown learner{_nearest(value, cls.offered)}")
        return value

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        if value not in ("cpu", "cuda"):
            raise ValueError("a device is 'cpu' or 'cuda'")
        if value == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise ValueError("torch finds no CUDA GPU on this computer; use device='cpu'")
        return value

    @field_validator("result_path")
    @classmethod
    def _result_path(cls, value: str) -> str:
        """Now, and not after the training: can the file be written?"""
        if not value:
            return value
        path = Path(value)
        if path.is_dir():
            raise ValueError("is a folder; give a file name such as 'runs/result.json'")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path.parent) as probe:
                probe.write(b"x" * 4096)
                probe.flush()
        except OSError as error:
            raise ValueError(f"the folder '{path.parent}' cannot be written ({error.strerror}); choose a folder that "
                             "you may write to") from error
        return value

    @classmethod
    def names(cls) -> list[str]:
        """The names that a parameters cell may give."""
        return [name for name in cls.model_fields if name not in cls.without]

    @cached_property
    def source(self) -> TaskSource:
        """The toy world, or the corpus when one is named."""
        if self.corpus:
            from metadialog_lite.corpora import load_corpus

            return load_corpus(self.corpus)
        from metadialog_lite.world import load_world

        world: Any = load_world(self.world)
        return world

    @property
    def exact(self) -> bool:
        """Whether an exact optimum (the Bayes floor) exists: in toy worlds only."""
        return not self.corpus

    @property
    def options(self) -> dict[str, Any]:
        """The learner's own settings."""
        return {"inner_lr": self.inner_lr, "inner_steps": self.inner_steps}

    @property
    def train_shots(self) -> tuple[int, ...]:
        """Shot counts that meta-training draws from: what is evaluated must have been trained for."""
        most = max(self.shots, 32) if self.exact else self.shots
        return tuple(sorted({k for k in SHOTS if k <= most} | {self.shots}))

    @property
    def eval_shots(self) -> tuple[int, ...]:
        """Shot counts of the evaluation: 0, a few between, and ``shots``."""
        return tuple(sorted({k for k in (0, 2, 4, 8, 16, 32) if k < self.shots} | {self.shots}))

    def __str__(self) -> str:
        where = f"corpus {self.corpus}" if self.corpus else f"world {self.world}"
        return (f"{self.learner} on {where}: inner rate {self.inner_lr:g}, {self.inner_steps} inner steps, "
                f"{self.shots} shots, {self.meta_steps} meta-steps, seed {self.seed}, {self.device}")


Kind = TypeVar("Kind", bound=Parameters)


@overload
def parameters(values: Mapping[str, Any] | None = None, /, **more: Any) -> Parameters: ...
@overload
def parameters(values: Mapping[str, Any] | None, kind: type[Kind], /, **more: Any) -> Kind: ...
def parameters(
    values: Mapping[str, Any] | None = None, kind: type[Parameters] = Parameters, /, **more: Any
) -> Parameters:
    """Validate a notebook's parameters: ``parameters(globals())`` or ``parameters(shots=8, …)``.

    Of a mapping such as ``globals()`` only known names are taken; keyword arguments must all be known. ``kind`` is the
    notebook's own kind of parameters.

    Raises:
        ParameterError: with one line for each culprit.
    """
    known = kind.names()
    values = values or {}
    given = {name: values[name] for name in known if name in values} | more
    unknown = [name for name in [*_written_names(values, known), *more] if name not in known]
    faults = [f"{name}: there is no such parameter{_nearest(name, known)}" for name in dict.fromkeys(unknown)]
    try:
        result = kind.model_validate({k: v for k, v in given.items() if k in known})
    except ValidationError as error:
        faults += [_line(fault) for fault in error.errors()]
    else:
        faults += _source_faults(result)
    if faults:
        raise ParameterError("\n".join(faults))
    return result


def _source_faults(p: Parameters) -> list[str]:
    """Load the world or corpus; it must exist and have turns enough."""
    name, value = ("corpus", p.corpus) if p.corpus else ("world", p.world)
    try:
        p.source  # noqa: B018 (loads it)
    except ImportError as error:
        return [f"{name}: got {value!r}: needs a package that is not installed ({error}); pip install "
                "'metadialog-lite[corpora]'"]
    except ValueError as error:  # WorldError and CorpusError say what is wrong
        return [f"{name}: got {value!r}: {error}{_near_source(name, value)}"]
    check_size = getattr(p.source, "check_size", None)  # corpora: people have said only so much
    if check_size is not None:
        try:
            check_size(p.shots, p.query_turns)
        except ValueError as error:
            return [str(error)]
    return []


def _near_source(name: str, value: str) -> str:
    if name == "corpus":
        return ""
    from metadialog_lite.world import shipped_worlds

    near = difflib.get_close_matches(value, shipped_worlds(), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _written_names(values: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Names assigned in the parameters cell and in the one that papermill injects, as far as IPython remembers."""
    cells = [str(cell) for cell in values.get("In", [])]
    injected = [cell for cell in cells if cell.startswith("# Parameters\n")][-1:]
    known = set(names)
    typed = [cell for cell in cells if len(known.intersection(_assigned(cell, annotated=True))) >= 3][-1:]
    return [name for cell in typed for name in _assigned(cell, annotated=True)] + [
        name for cell in injected for name in _assigned(cell, annotated=False)
    ]


def _assigned(cell: str, annotated: bool) -> list[str]:
    """Names assigned at the top level of a cell; with ``annotated`` only those of the form ``name: type = value``."""
    try:
        body = ast.parse(cell).body
    except SyntaxError:
        return []
    targets: list[ast.expr] = []
    for line in body:
        if isinstance(line, ast.AnnAssign):
            targets.append(line.target)
        elif isinstance(line, ast.Assign) and not annotated:
            targets += line.targets
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _line(fault: Any) -> str:
    name, value = ".".join(map(str, fault["loc"])), fault["input"]
    text = fault["msg"].removeprefix("Value error, ")
    advice = _ADVICE.get(name, "") if fault["type"] != "value_error" else ""
    return f"{name}: got {value!r}: {text[0].lower() + text[1:]}{advice}"


_ADVICE = {
    "inner_lr": " (0.0005 to 0.001 for fixed rates, 0.0002 where rates are learned over several steps; much larger "
                "steps make training diverge)",
    "inner_steps": " (a whole number from 1 to 20; 3 is usual)",
    "shots": " (a whole number of support turns, such as 16)",
    "meta_steps": " (a whole number; 0 = evaluate the start, 20 = seconds, 2000 = a good learner)",
    "outer_lr": " (0.0003 to 0.003 is usual)",
    "eval_tasks": " (a whole number; 20 = quick, 200 = narrow intervals)",
    "seed": " (a whole number from 0)",
}


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(names)}"

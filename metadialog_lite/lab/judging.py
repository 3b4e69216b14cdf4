"""What every checker needs: run a student's function safely on random problems and compare it with rival ideas."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metadialog_lite.lab.check import Verdict

NOT_YET = "this is still the stub. Fill it in, run the cell, and the check tells you more."


@dataclass(frozen=True)
class Misconception:
    """A known wrong idea: its short label, what it would compute, and what to tell the student."""

    label: str
    compute: Callable[..., Any]
    message: str


def judge(
    answer: Any,
    problems: Sequence[tuple[Any, ...]],
    right: Callable[..., Any],
    misconceptions: Sequence[Misconception],
    praise: str,
    otherwise: str,
    tolerance: float = 1e-6,
) -> Verdict:
    """Run ``answer(*problem)`` on every problem and compare with ``right``, then with each misconception.

    Args:
        answer: the student's function (or whatever was handed in).
        right: the reference; called with the same arguments.
        misconceptions: rival ideas, tried in this order when the answer is not right on all problems.
        praise: the message of a pass.
        otherwise: the message when no misconception fits.
        problems: argument tuples drawn at random by the caller, a new draw for every check. Tensors in them are
            copied for each call, so a function that changes its arguments in place harms nobody.
        tolerance: relative to the norm of the right result.
    """
    if (early := _not_a_function(answer)) is not None:
        return early
    given: list[Tensor] = []
    for problem in problems:
        try:
            value = answer(*_copy(problem))
        except NotImplementedError:
            return Verdict(False, NOT_YET, None)
        except Exception as error:  # whatever a student's code raises becomes a sentence, not a traceback
            return Verdict(False, f"your function raised {type(error).__name__}: {error}{_line_of(error)}", None)
        if value is None or value is Ellipsis:
            return Verdict(False, NOT_YET, None)
        expected = _tensor(right(*_copy(problem)))
        try:
            result = _tensor(value)
        except (TypeError, ValueError, RuntimeError):
            return Verdict(False, f"your function returned {type(value).__name__}; expected {_shape(expected)}", None)
        if result.shape != expected.shape:
            return Verdict(False, f"your function returned {_shape(result)}; expected {_shape(expected)}", None)
        if not torch.isfinite(result).all():
            return Verdict(False, "your function returned NaN or infinity on an ordinary input", None)
        given.append(result)

    def same(compute: Callable[..., Any]) -> list[bool]:
        return [_close(g, _tensor(compute(*_copy(p))), tolerance) for g, p in zip(given, problems)]

    hits = same(right)
    if all(hits):
        return Verdict(True, praise)
    for wrong in misconceptions:
        if all(same(wrong.compute)):
            return Verdict(False, wrong.message, wrong.label)
    if any(hits):
        return Verdict(False, f"right on {sum(hits)} of {len(hits)} random inputs, wrong on the others. {otherwise}")
    if len(given) > 1 and all(torch.equal(g, given[0]) for g in given[1:] if g.shape == given[0].shape):
        return Verdict(False, "your function returns the same value whatever its arguments are.", "constant")
    return Verdict(False, otherwise)


def _not_a_function(answer: Any) -> Verdict | None:
    if answer is None or answer is Ellipsis:
        return Verdict(False, NOT_YET)
    if not callable(answer):
        kind = type(answer).__name__
        return Verdict(False, f"give the function itself, not a result of it (this is a {kind}): the check runs it on "
                              "inputs of its own.", "a value instead of a function")
    return None


def _copy(problem: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.detach().clone() if isinstance(x, Tensor) else x for x in problem)


def _tensor(value: Any) -> Tensor:
    return torch.as_tensor(value).detach().to(torch.float64)


def _close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return a.shape == b.shape and float((a - b).norm()) <= tolerance * max(float(b.norm()), 1e-12)


def _shape(value: Tensor) -> str:
    return "one number" if value.dim() == 0 else f"a tensor of shape {tuple(value.shape)}"


def _line_of(error: BaseException) -> str:
    """Where in the student's own code it happened."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.line and frame.filename != __file__]
    return f" (in the line `{own[0].line}`)" if own else ""

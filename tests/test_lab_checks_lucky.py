"""Plausible wrong answers that a check must not let pass, by luck or always, and right ones in other words.

Exercises 10.2, 10.3, 12.1, 12.2 and assignment a3. A label says which misconception is named; None: no special one.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import jacrev

from metadialog_lite.lab import check

# Notebook 10 ---------------------------------------------------------------------------------------------------------


def asks(change: Any, same: Any = torch.allclose) -> Any:
    """A detector of 10.2 that changes the query's answers, and asks whether θ′ is the same."""
    return lambda adapt, a, b, c, d: not same(adapt(a, b, c, d), adapt(a, b, c, change(d)))


def noise(y: Tensor) -> Tensor:
    return y + torch.randn_like(y)


def first_only(y: Tensor) -> Tensor:
    return torch.cat([y[:1] + 1, y[1:]])


def in_place(adapt, a, b, c, d):
    other = d
    other += 1
    return not torch.allclose(adapt(a, b, c, d), adapt(a, b, c, other))


def met(train, test):
    return sum(name in {one for one, _ in train} for name, _ in test) / len(test)


LEAK_WRONG = [
    ("10.2", asks(lambda y: y + 1), "answers moved alike"),
    ("10.2", asks(lambda y: -y), "answers moved alike"),
    ("10.2", asks(lambda y: y[torch.arange(5, -1, -1)]), "answers in another order"),
    ("10.2", asks(first_only), "one answer changed"),
    ("10.2", asks(lambda y: y.flip(0).cumsum(0) * 0 + y + torch.tensor([0, 0, 0, 0, 0, 9.0])), "one answer changed"),
    ("10.2", asks(noise, lambda x, y: torch.isclose(x[0], y[0])), "part of θ′ compared"),
    ("10.2", asks(noise, lambda x, y: torch.isclose(x.mean(), y.mean())), "part of θ′ compared"),
    ("10.2", asks(noise, lambda x, y: torch.isclose(x.norm(), y.norm())), "part of θ′ compared"),
    ("10.2", asks(noise, lambda x, y: bool((x == y).any())), "part of θ′ compared"),
    ("10.2", asks(noise, lambda x, y: float((x - y).abs().max()) < 0.1), None),
    ("10.2", asks(noise, lambda x, y: bool((x - y).max() <= 0)), None),  # no absolute value
    ("10.2", lambda f, a, b, c, d: not torch.allclose(f(a, b, c, d), f(a, noise(b), c, noise(d))),
     "support changed as well"),
    ("10.2", lambda f, a, b, c, d: not torch.allclose(f(a, b, c, d), f(a, b, noise(c), noise(d))),
     "questions changed as well"),
    ("10.2", in_place, "every program acquitted"),
    ("10.2", asks(lambda y: y + 1e-9), "every program acquitted"),
    ("10.2", lambda f, a, b, c, d: f(a, b, c, d) != f(a, b, c, noise(d)), None),  # a bool for each number
]
MET_WRONG = [
    ("10.3", lambda a, b: sum(name in str(a) for name, _ in b) / len(b), "names within names"),
    ("10.3", lambda a, b: sum(n in dict(a) and (n, i) not in a for n, i in b) / len(b), "old dialogues left out"),
    ("10.3", lambda a, b: met(a, dict(b).items()), "share of speakers"),
    ("10.3", lambda a, b: len(dict(a).keys() & dict(b).keys()) / len(b), None),
    ("10.3", lambda a, b: met(a, b) * len(b) / len(a), None),
    ("10.3", lambda a, b: met(a, b) * len(b) // len(b), None),
    ("10.3", lambda a, b: float(met(a, b) > 0), None),
    ("10.3", lambda a, b: sum(x[0] == y[0] for x, y in zip(a, b)) / len(b), None),
    ("10.3", lambda a, b: sum(name in a for name, _ in b) / len(b), None),  # a name is never a row
    ("10.3", lambda a, b: 100 * met(a, b), None),
]
TEN_RIGHT = [
    ("10.2", asks(noise)),
    ("10.2", asks(torch.zeros_like, torch.equal)),
    ("10.2", asks(lambda y: 3 * y + 2, lambda x, y: (x - y).abs().max() <= 1e-8)),
    ("10.2", asks(torch.randn_like, lambda x, y: np.allclose(x.numpy(), y.numpy()))),
    ("10.2", lambda f, a, b, c, d: (f(a, b, c, d) != f(a, b, c, torch.randn_like(d))).any()),
    ("10.2", lambda f, a, b, c, d: int(any(asks(noise)(f, a, b, c, d) for _ in range(3)))),
    ("10.2", lambda f, a, b, c, d: bool(jacrev(lambda y: f(a, b, c, y))(d).abs().sum() > 0)),
    ("10.2", lambda f, a, b, c, d: not torch.equal(f(a, b, c, d), f(a, b, c, d.add_(torch.randn_like(d))))),
    ("10.3", met),
    ("10.3", lambda a, b: np.isin([name for name, _ in b], [name for name, _ in a]).mean()),
    ("10.3", lambda a, b: sum(k for name, k in Counter(name for name, _ in b).items() if name in dict(a)) / len(b)),
    ("10.3", lambda a, b: torch.tensor([float(name in dict(a)) for name, _ in b]).mean()),
    ("10.3", lambda a, b: 1 - sum(all(name != one for one, _ in a) for name, _ in b) / len(b)),
]

# Notebook 12 ---------------------------------------------------------------------------------------------------------


def exactly(d: float, s: float, z: float = 1.96) -> float:
    return (z * s / d) ** 2


TWELVE_WRONG = [
    ("12.1", lambda x, b, p: ((x - b) / x).argmax(), "largest ratio"),
    ("12.1", lambda x, b, p: ((x - b) / (p - b)).argmax(), "smallest share closed"),
    ("12.1", lambda x, b, p: (p - b).argmax(), "largest gap"),
    ("12.1", lambda x, b, p: ((x - b) * (p - b)).argmax(), None),
    ("12.1", lambda x, b, p: (x.exp() - b.exp()).argmax(), "largest loss"),
    ("12.1", lambda x, b, p: (x**2 - b**2).argmax(), "largest loss"),
    ("12.1", lambda x, b, p: (b - x).argmax(), "least left"),
    ("12.1", lambda x, b, p: (x - b)[:3].argmax(), "first three only"),
    ("12.1", lambda x, b, p: (x - b).argmax() + 1, "counted from 1"),
    ("12.1", lambda x, b, p: 2, None),
    ("12.2", lambda d, s: round(exactly(d, s)), "rounded to the nearest"),
    ("12.2", lambda d, s: round(exactly(d, s)) + 1, None),
    ("12.2", exactly, "not rounded"),
    ("12.2", lambda d, s: math.ceil(exactly(d, s)) + 1, "one more than needed"),
    ("12.2", lambda d, s: math.ceil(exactly(d, s, 2)), "2 for 1.96"),
    ("12.2", lambda d, s: math.ceil(exactly(d, s, 1.645)), "one-sided"),
    ("12.2", lambda d, s: math.ceil(2 * exactly(d, s)), "two groups"),
    ("12.2", lambda d, s: max(30, math.ceil(exactly(d, s))), "at least 30"),
    ("12.2", lambda d, s: min(1000, math.ceil(exactly(d, s))), None),
    ("12.2", lambda d, s: 2 * math.ceil(exactly(d, s) / 2), None),
    ("12.2", lambda d, s: math.ceil(1.96 * s / d) ** 2, None),
]
TWELVE_RIGHT = [
    ("12.1", lambda x, b, p: int((x - b).argmax())),
    ("12.1", lambda x, b, p: np.argmax(x.numpy() - b.numpy())),
    ("12.1", lambda x, b, p: max(range(len(x)), key=lambda i: float(x[i] - b[i]))),
    ("12.1", lambda x, b, p: (b.float() - x.float()).argmin()),
    ("12.1", lambda x, b, p: (x - b).max(dim=0).indices),
    ("12.2", lambda d, s: int(exactly(d, s)) + 1),
    ("12.2", lambda d, s: next(n for n in range(1, 10**5) if 1.96 * s / math.sqrt(n) < d)),
    ("12.2", lambda d, s: np.ceil(exactly(d, s))),
    ("12.2", lambda d, s: torch.tensor(exactly(d, s)).ceil()),
    ("12.2", lambda d, s: -int(-exactly(d, s) // 1)),
    ("12.2", lambda d, s: math.ceil(exactly(d, s, 1.959964))),  # the same quantile with more digits
]

# Assignment a3 -------------------------------------------------------------------------------------------------------


def share(right: Tensor) -> Tensor:
    return right.double().mean()


def best(valid: Tensor) -> Tensor:
    return valid.mean(1).argmin()


def judged(a: Tensor, b: Tensor, factor: float = 1.96, ddof: int = 1, error: Tensor | None = None) -> int:
    d = a - b
    error = d.std(1, correction=ddof) / d.shape[1] ** 0.5 if error is None else error
    low, high = d.mean(1) - factor * error, d.mean(1) + factor * error
    return int((low > 0).all()) - int((high < 0).all())


def all_agree(a, b):
    d = a - b
    pooled = judged(d.reshape(1, -1), torch.zeros(1, d.numel()))
    return pooled if (d.mean(1).sign() == pooled).all() else 0


def one_by_one(a, b):
    sides = []
    for d in (a - b).numpy():
        error = 1.96 * d.std(ddof=1) / np.sqrt(len(d))
        sides.append(np.sign(d.mean()) * (abs(d.mean()) > error))
    return sides[0] if len(set(sides)) == 1 else 0


A3_WRONG = [
    ("a3.1", lambda s, g: share(s.sum(1) == g.sum(1)), "sums compared"),
    ("a3.1", lambda s, g: share((s - g).sum(1) == 0), "sums compared"),
    ("a3.1", lambda s, g: share((s.sort(1).values == g.sort(1).values).all(1)), "slots exchanged"),
    ("a3.1", lambda s, g: sum(set(x) == set(y) for x, y in zip(s.tolist(), g.tolist())) / len(g), "slots exchanged"),
    ("a3.1", lambda s, g: share((s == g).all(1)[g.any(1)]), "empty turns left out"),
    ("a3.1", lambda s, g: share((s == g).all(1)[s.any(1)]), "empty turns left out"),
    ("a3.1", lambda s, g: share((s == g)[:, :-1].all(1)), "a slot left out"),
    ("a3.1", lambda s, g: share((s == g)[:, :3].all(1)), None),
    ("a3.1", lambda s, g: share((s != g).sum(1) < 2), "one error forgiven"),
    ("a3.1", lambda s, g: share(((s > 0) == (g > 0)).all(1)), None),
    ("a3.1", lambda s, g: share((s == g).all(0)), None),
    ("a3.1", lambda s, g: round(float(share((s == g).all(1))), 2), None),
    ("a3.2", lambda v, t: t.mean(1).max(), "worst on the test tasks"),
    ("a3.2", lambda v, t: t[torch.cat([v, t], 1).mean(1).argmin()].mean(), "both splits together"),
    ("a3.2", lambda v, t: t[(v.mean(1) + t.mean(1)).argmin()].mean(), "both splits together"),
    ("a3.2", lambda v, t: t[v.mean(1).topk(2, largest=False).indices].mean(1).min(), "test tasks decide between two"),
    ("a3.2", lambda v, t: t[v.median(1).values.argmin()].mean(), "not the mean"),
    ("a3.2", lambda v, t: t[v.max(1).values.argmin()].mean(), "not the mean"),
    ("a3.2", lambda v, t: t[v.argmin(0).mode().values].mean(), "not the mean"),  # wins most tasks
    ("a3.2", lambda v, t: t[v[:, -1].argmin()].mean(), "one task decides"),
    ("a3.2", lambda v, t: t[best(v), : v.shape[1]].mean(), None),
    ("a3.2", lambda v, t: t[best(v)].sum(), "a sum"),
    ("a3.2", lambda v, t: t[0].mean(), None),
    ("a3.2", lambda v, t: v[t.mean(1).argmin()].mean(), None),
    ("a3.3", lambda a, b: judged(a, b, 1.0), "one standard error"),
    ("a3.3", lambda a, b: judged(a, b, 1.645), "one-sided"),
    ("a3.3", lambda a, b: judged(a, b, 2.576), "99 %"),
    ("a3.3", lambda a, b: judged(a, b, ddof=0), "n for n − 1"),
    ("a3.3", lambda a, b: judged(a, b, error=(a - b).std(1)), "not divided by √n"),
    ("a3.3", lambda a, b: judged(a, b, error=(a - b).std(1) / (a.shape[1] - 1)), "divided by n"),
    ("a3.3", lambda a, b: judged(a, b, error=(a - b).std(1) / a.numel() ** 0.5), "counts all seeds"),
    ("a3.3", lambda a, b: judged(a, b, error=(a - b).var(1) / a.shape[1] ** 0.5), "variance for std"),
    ("a3.3", lambda a, b: judged(a, b, error=(a - b).std() / a.shape[1] ** 0.5), "one spread for all seeds"),
    ("a3.3", lambda a, b: judged(a, b, error=(a - b).std(1) / 40**0.5), None),  # the example's number of tasks
    ("a3.3", lambda a, b: judged(a[:3], b[:3]), "three seeds looked at"),
    ("a3.3", lambda a, b: judged(a / b, torch.ones_like(b)), "relative difference"),
    ("a3.3", lambda a, b: int(((a - b).mean(1) > 0.1).all()) - int(((a - b).mean(1) < -0.1).all()), None),
    ("a3.3", all_agree, None),
    ("a3.3", lambda a, b: max(0, judged(a, b)), "never a"),
]
A3_RIGHT = [
    ("a3.1", lambda s, g: sum(x == y for x, y in zip(s.tolist(), g.tolist())) / len(g)),
    ("a3.1", lambda s, g: np.mean(np.all(s.numpy() == g.numpy(), axis=1))),
    ("a3.1", lambda s, g: (s == g).all(-1).float().mean()),
    ("a3.1", lambda s, g: 1 - share((s != g).any(1))),
    ("a3.1", lambda s, g: sum(torch.equal(x, y) for x, y in zip(s, g)) / len(s)),
    ("a3.2", lambda v, t: t.numpy()[v.numpy().mean(1).argmin()].mean()),
    ("a3.2", lambda v, t: t.float().mean(1)[v.float().sum(1).argmin()]),
    ("a3.2", lambda v, t: min(zip(v.mean(1).tolist(), t.mean(1).tolist()))[1]),
    ("a3.2", lambda v, t: t[v.mean(1).min(dim=0).indices].mean().item()),
    ("a3.2", lambda v, t: float(t[min(range(len(v)), key=lambda i: float(v[i].mean()))].mean())),
    ("a3.3", judged),
    ("a3.3", one_by_one),
    ("a3.3", lambda a, b: float(judged(a.float(), b.float(), 1.959964))),
    ("a3.3", lambda a, b: torch.tensor(judged(a, b))),
    ("a3.3", lambda a, b: -judged(b, a)),
]

# ---------------------------------------------------------------------------------------------------------------------

WRONG = LEAK_WRONG + MET_WRONG + TWELVE_WRONG + A3_WRONG
RIGHT = TEN_RIGHT + TWELVE_RIGHT + A3_RIGHT


@pytest.mark.parametrize(("number", "answer", "label"), WRONG, ids=[f"{n} {i}" for i, (n, *_) in enumerate(WRONG)])
def test_a_wrong_answer_passes_on_no_draw(number: str, answer: Any, label: str | None) -> None:
    verdicts = [check(number, answer) for _ in range(4)]
    assert not any(verdict.passed for verdict in verdicts)
    assert all(len(verdict.message) > 20 for verdict in verdicts)  # it is told why
    if label is not None:
        assert label in {verdict.misconception for verdict in verdicts}, verdicts


@pytest.mark.parametrize(("number", "answer"), RIGHT, ids=[f"{n} {i}" for i, (n, _) in enumerate(RIGHT)])
def test_a_right_answer_in_other_words_passes_on_every_draw(number: str, answer: Any) -> None:
    for _ in range(4):
        verdict = check(number, answer)
        assert verdict.passed, verdict

"""The exercise checks: right answers pass, usual wrong ideas are named, and nothing cheap passes."""

from __future__ import annotations

import pytest
import torch
from torch.func import grad

from metadialog_lite.lab.check import Verdict, check, exercise, exercises
from metadialog_lite.lab.judging import Misconception, judge
from metadialog_lite.lab.quadratic import Quadratic

# ---------------------------------------------------------------- right answers, written as a student would


def maml_with_func(theta, alpha, support_loss, query_loss):
    def outer(t):
        return query_loss(t - alpha * grad(support_loss)(t))

    return grad(outer)(theta)


def maml_with_autograd(theta, alpha, support_loss, query_loss):
    theta.requires_grad_(True)
    (step,) = torch.autograd.grad(support_loss(theta), theta, create_graph=True)
    return torch.autograd.grad(query_loss(theta - alpha * step), theta)[0]


def rates_by_grad(theta, alpha, support_loss, query_loss):
    return grad(lambda a: query_loss(theta - a * grad(support_loss)(theta)))(alpha)


def factor(eigenvalues, alpha, steps):
    return max(abs(1 - alpha * float(value)) for value in eigenvalues) ** steps


@pytest.mark.parametrize(("identifier", "answer"), [
    ("05.2", maml_with_func), ("05.2", maml_with_autograd), ("05.3", rates_by_grad), ("05.1", factor)])
def test_right_answers_pass(identifier, answer):
    for _ in range(3):
        verdict = check(identifier, answer)
        assert verdict.passed, verdict
        assert verdict.misconception is None


# ---------------------------------------------------------------- wrong ideas are recognised


def first_order(t, a, s, q):
    return grad(q)(t - a * grad(s)(t))


@pytest.mark.parametrize(("identifier", "answer", "label"), [
    ("05.2", lambda t, a, s, q: grad(q)(t), "gradient at θ, not at θ′"),
    ("05.2", first_order, "first order"),
    ("05.2", lambda t, a, s, q: maml_with_func(t, a, s, s), "support used as query"),
    ("05.2", lambda t, a, s, q: maml_with_func(t, -a, s, q), "uphill inner step"),
    ("05.2", lambda t, a, s, q: -maml_with_func(t, a, s, q), "wrong sign"),
    ("05.2", lambda t, a, s, q: a * grad(s)(t), "Reptile"),
    ("05.2", lambda t, a, s, q: t - a * grad(s)(t), "a new point instead of a gradient"),
    ("05.3", lambda t, a, s, q: -rates_by_grad(t, a, s, q), "wrong sign"),
    ("05.3", lambda t, a, s, q: -grad(q)(t) * grad(s)(t), "gradient at θ, not at θ′"),
    ("05.3", lambda t, a, s, q: rates_by_grad(t, a, s, s), "support used as query"),
    ("05.3", maml_with_func, "gradient for θ"),
    ("05.1", lambda e, a, k: 0.0, "step taken for the argmin"),
    ("05.1", lambda e, a, k: max(1 - a * float(x) for x in e) ** k, "forgot the absolute value"),
    ("05.1", lambda e, a, k: factor(e, a, 1), "one step only"),
    ("05.1", lambda e, a, k: k * factor(e, a, 1), "linear instead of geometric"),
    ("05.1", lambda e, a, k: factor(e, k * a, 1), "linear instead of geometric"),
])
def test_usual_mistakes_are_named(identifier, answer, label):
    verdict = check(identifier, answer)
    assert not verdict.passed
    assert verdict.misconception == label


# ---------------------------------------------------------------- nothing cheap passes


def stub(*arguments):
    ...


def unfinished(*arguments):
    raise NotImplementedError


def copied():
    """A function that remembers the right result of one input and returns it whatever it is asked."""
    torch.manual_seed(0)
    theta = torch.randn(3, dtype=torch.float64)
    result = maml_with_func(theta, 0.1, lambda t: (t**2).sum(), lambda t: (t**3).sum())
    return lambda *arguments: result


CHEAP = [stub, unfinished, None, ..., 0, 1.0, "answer", torch.zeros(3), copied(), lambda *a: 0.0, lambda *a: a[0] * 0,
         lambda *a: a[0], lambda *a: torch.zeros(()), lambda *a: torch.ones(3), lambda *a: float("nan"),
         lambda *a: "text", lambda: 1, lambda *a: [torch.ones(2), 3], lambda *a: 1 / 0]


@pytest.mark.parametrize("identifier", ["05.1", "05.2", "05.3"])
@pytest.mark.parametrize("answer", CHEAP, ids=range(len(CHEAP)))
def test_no_checker_is_satisfied_by_anything_cheap(identifier, answer):
    verdict = check(identifier, answer)
    assert isinstance(verdict, Verdict)
    assert not verdict.passed, verdict


@pytest.mark.parametrize("identifier", ["05.1", "05.2", "05.3"])
def test_an_unchanged_stub_is_told_so_and_harms_no_run(identifier):
    for answer in (stub, unfinished, None):
        verdict = check(identifier, answer)
        assert "not yet" in repr(verdict)
        assert "stub" in verdict.message


def test_inputs_are_drawn_afresh_so_remembering_does_not_help():
    seen = []

    def remember(theta, alpha, support_loss, query_loss):
        seen.append(theta.clone())
        return maml_with_func(theta, alpha, support_loss, query_loss)

    assert check("05.2", remember).passed
    first = list(seen)
    assert check("05.2", remember).passed
    assert not any(a.shape == b.shape and torch.equal(a, b) for a in first for b in seen[len(first):])


def test_an_error_in_the_answer_becomes_a_sentence():
    verdict = check("05.2", lambda t, a, s, q: t @ torch.ones(17, dtype=torch.float64))
    assert not verdict.passed
    assert "RuntimeError" in verdict.message


def test_wrong_shapes_are_named():
    assert "one number" in check("05.2", lambda t, a, s, q: s(t)).message


# ---------------------------------------------------------------- the registry


def test_unknown_exercise_names_the_nearest():
    verdict = check("05.11", stub)
    assert not verdict.passed
    assert "'05.2'" in verdict.message
    assert "05.1" in check("nonsense", stub).message


def test_a_notebooks_exercises_are_listed():
    assert exercises("05") == ["05.1", "05.2", "05.3"]
    assert exercises("../x") == []


def test_an_id_is_entered_once():
    def mine(answer):
        return Verdict(True, "")

    with pytest.raises(ValueError, match=r"05\.2"):
        exercise("05.2")(mine)


def test_verdict_shows_itself_everywhere():
    verdict = Verdict(False, "use `theta` & <b>", "first order", "05.2")
    assert "05.2 not yet" in str(verdict)
    assert "<code>theta</code> &amp; &lt;b&gt;" in verdict._repr_html_()
    assert verdict._repr_markdown_().startswith("**")


def test_right_on_some_inputs_is_not_enough():
    verdict = judge(lambda x: x if float(x) > 0 else -x, [(torch.tensor(1.0),), (torch.tensor(-1.0),)],
                    right=lambda x: x, misconceptions=[Misconception("m", lambda x: 2 * x, "")], praise="",
                    otherwise="")
    assert not verdict.passed
    assert "1 of 2" in verdict.message


# ---------------------------------------------------------------- EQ-ARGMIN: the quadratic


def test_quadratic_closed_form_equals_the_steps():  # EQ-ARGMIN-2
    bowl = Quadratic.random(torch.tensor([0.5, 1.0, 4.0]), seed=3)
    theta = torch.randn(3, dtype=torch.float64)
    torch.testing.assert_close(bowl.path(theta, 0.2, 7)[-1], bowl.after(theta, 0.2, 7))
    torch.testing.assert_close(bowl.gradient(theta), grad(bowl)(theta))
    assert float(bowl.gradient(bowl.argmin).norm()) == 0
    assert bowl.largest_rate == pytest.approx(0.5)


@pytest.mark.parametrize(("share", "shrinks"), [(0.95, True), (1.05, False)])
def test_steps_run_away_above_two_over_lambda_max(share, shrinks):  # EQ-ARGMIN-1
    bowl = Quadratic.random(torch.tensor([0.5, 1.0, 4.0]), seed=4)
    path = bowl.path(torch.randn(3, dtype=torch.float64), share * bowl.largest_rate, 60)
    distance = (path - bowl.argmin).norm(dim=1)
    assert bool(distance[-1] < distance[0]) is shrinks

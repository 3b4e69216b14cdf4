"""The number tasks of notebook 01: their optimum, gradients through the steps, and that learning across tasks helps."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from metadialog_lite.lab import check
from metadialog_lite.lab.parameters import ParameterError, parameters
from metadialog_lite.lab.parameters_01 import FirstParameters
from metadialog_lite.lab.toys import (
    LinearTasks,
    Sinusoids,
    adapt,
    after_steps,
    forward,
    network,
    seeded,
    split,
    squared_error,
    train,
)


def test_tasks_differ_and_are_drawn_anew_only_with_another_seed() -> None:
    """EQ-TOY-1."""
    tasks = LinearTasks(inputs=7, outputs=3, factors=2)
    x, y = tasks.draw(4, 5, seeded(1))
    assert x.shape == (4, 5, 7)
    assert y.shape == (4, 5, 3)
    assert torch.equal(y, tasks.draw(4, 5, seeded(1))[1])
    assert not torch.allclose(y, tasks.draw(4, 5, seeded(2))[1])
    exact = LinearTasks(inputs=7, outputs=3, factors=2, noise=0.0)
    x, y = exact.draw(1, 40, seeded(3))
    assert torch.linalg.matrix_rank(y[0], tol=1e-4) == 2  # two secret numbers lie behind three outputs


def test_the_best_learner_is_the_mean_of_the_posterior() -> None:
    """EQ-TOY-2 against integration over a fine grid of the one secret number."""
    tasks = LinearTasks(inputs=3, outputs=2, factors=1, noise=0.5)
    x, y = (part.double() for part in tasks.draw(1, 3, seeded(4)))
    grid = torch.linspace(-6, 6, 20001, dtype=torch.float64)
    said = (x[0] @ tasks.reads.T.double())[None] * grid[:, None, None] * tasks.writes.T.double()
    log = -grid**2 / 2 - ((y[0] - said) ** 2).sum((-1, -2)) / (2 * 0.25)
    mean = (torch.softmax(log, 0) * grid).sum()
    new = torch.randn(1, 4, 3, generator=seeded(5)).double()
    double = LinearTasks(inputs=3, outputs=2, factors=1, noise=0.5)
    object.__setattr__(double, "reads", tasks.reads.double())
    object.__setattr__(double, "writes", tasks.writes.double())
    expected = new @ double.reads.T * mean @ double.writes.T
    torch.testing.assert_close(double.best(x, y, new), expected, rtol=1e-6, atol=1e-9)


def test_nobody_is_better_than_the_best_learner() -> None:
    tasks = LinearTasks(inputs=10, outputs=4, factors=2)
    seen, asked = split(tasks.draw(300, 14, seeded(6)), 4)
    error = (tasks.best(*seen, asked[0]) - asked[1]).square().mean()
    for scale in (0.9, 1.1):  # whoever believes a little less or more is worse
        assert error < (scale * tasks.best(*seen, asked[0]) - asked[1]).square().mean()
    assert tasks.noise**2 < error < asked[1].square().mean() / 4


@pytest.mark.parametrize("steps", [1, 3])
def test_the_outer_gradient_goes_through_the_steps(steps: int) -> None:
    theta = network((3, 4, 2), 1, torch.float64)
    x, y = (part.double() for part in LinearTasks(inputs=3, outputs=2, factors=1).draw(2, 6, seeded(7)))
    seen, asked = split((x, y), 3)

    def outer(values: dict[str, torch.Tensor]) -> torch.Tensor:
        return squared_error(adapt(values, seen, 0.3, steps), asked).mean()

    found = torch.autograd.grad(outer(theta), list(theta.values()))
    toward = {name: torch.randn(value.shape, generator=seeded(8), dtype=torch.float64) for name, value in theta.items()}
    computed = sum((g * toward[name]).sum() for name, g in zip(theta, found))
    ends = [outer({n: (v + e * toward[n]).detach().requires_grad_() for n, v in theta.items()}) for e in (1e-5, -1e-5)]
    assert float((ends[0] - ends[1]).detach() / 2e-5) == pytest.approx(float(computed), rel=1e-6)
    alone = adapt(theta, (seen[0][:1], seen[1][:1]), 0.3, steps)
    for name, value in adapt(theta, seen, 0.3, steps).items():  # several tasks at once: as one by one
        torch.testing.assert_close(value[:1], alone[name])


def test_learning_across_tasks_helps_and_joint_training_does_not() -> None:
    tasks = LinearTasks(inputs=12, outputs=4, factors=2)
    meta, joint = (network((12, 24, 4), 0) for _ in range(2))
    list(train(tasks, meta, 250, alpha=1.0, inner_steps=2, shots=10))
    list(train(tasks, joint, 250, alpha=1.0, inner_steps=0, shots=10))
    mine, theirs = (after_steps(theta, tasks, 1.0, 2, 10, 100, 9) for theta in (meta, joint))
    assert float(mine[2].mean()) < 0.7 * float(theirs[2].mean())
    assert float(mine[2].mean()) < 0.6 * float(mine[0].mean())
    again = network((12, 24, 4), 0)
    assert list(train(tasks, again, 3, 1.0, 2)) == list(train(tasks, network((12, 24, 4), 0), 3, 1.0, 2))


def test_sine_curves_are_sine_curves() -> None:
    x, y = Sinusoids().draw(3, 200, seeded(1))
    assert x.dtype == torch.float64
    assert float(x.abs().max()) <= 5
    assert float(y.abs().max()) <= 5
    assert forward(network((1, 5, 1), 0, torch.float64), x).shape == y.shape


def test_parameters() -> None:
    p = parameters(None, FirstParameters)
    assert str(p) == "number tasks: inner rate 1, 3 inner steps, 20 shots, 600 meta-steps, seed 0"
    with pytest.raises(ParameterError, match="world: there is no such parameter"):
        parameters(None, FirstParameters, world="restaurants.en")
    with pytest.raises(ParameterError, match=r"inner_lr: got 3: input should be less than or equal to 2"):
        parameters(None, FirstParameters, inner_lr=3)


def slope(theta: torch.Tensor, loss: Any) -> torch.Tensor:
    theta = theta.requires_grad_()
    return torch.autograd.grad(loss(theta), theta)[0]


STEPS = {
    "passed": lambda t, a, loss: t - a * slope(t, loss),
    "uphill": lambda t, a, loss: t + a * slope(t, loss),
    "no rate": lambda t, a, loss: t - slope(t, loss),
    "gradient instead of θ′": lambda t, a, loss: slope(t, loss),
    "nothing changed": lambda t, a, loss: t,
    "constant": lambda t, a, loss: torch.zeros(2, dtype=t.dtype)[: len(t)],
}
THROUGH = {
    "passed": lambda t, al, a, s, b, q: b * (t - al * a * (t - s) - q) * (1 - al * a),
    "first order": lambda t, al, a, s, b, q: b * (t - al * a * (t - s) - q),
    "gradient at θ": lambda t, al, a, s, b, q: b * (t - q),
    "support instead of query": lambda t, al, a, s, b, q: a * (t - s),
    "sign of the factor": lambda t, al, a, s, b, q: b * (t - al * a * (t - s) - q) * (1 + al * a),
    "constant": lambda *_: 1.0,
}


@pytest.mark.parametrize(("id_", "answers"), [("01.1", STEPS), ("01.2", THROUGH)])
def test_checkers_pass_what_is_right_and_name_what_is_wrong(id_: str, answers: dict[str, Any]) -> None:
    for label, answer in answers.items():
        verdict = check(id_, answer)
        assert verdict.passed == (label == "passed"), (label, verdict)
        if label not in ("passed", "constant"):
            assert verdict.misconception == label
    for stub in (None, ..., 3.0, lambda *_: None):
        assert not check(id_, stub).passed


def test_train_says_what_it_takes() -> None:
    """The notebook passes ``FirstParameters.options`` on."""
    assert set(parameters(None, FirstParameters).options) <= set(inspect.signature(train).parameters)

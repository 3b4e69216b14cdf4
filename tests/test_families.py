"""The learners as a user meets them: making, adapting, trajectories, baselines, bad input."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import CONFIG, VOCABULARY, make_batches, make_tasks, make_tiny

from metadialog_lite.decoding import Reply
from metadialog_lite.episodes import Episode, encode_turns, stack_tasks
from metadialog_lite.families import LEARNERS, make_learner
from metadialog_lite.turns import Turn

GRADIENT = ["maml", "fomaml", "reptile", "anil", "meta_sgd", "learned_optimizer"]
ONE_PASS = ["hypernetwork", "fast_weights", "in_context"]
STRUCTURE = ["structure", "parameters", "structure_parameters"]
DATA = ["augmentation", "example_weights", "distillation", "literal"]


class Posterior:
    """A made-up Bayes posterior: it is more certain with every support turn."""

    def __init__(self, seen: int) -> None:
        self.seen = seen

    def nll(self, turn: Turn) -> tuple[float, float, float]:
        return 3.0 / (1 + self.seen), 2.0 / (1 + self.seen), 1.0

    def predict(self, turn: Turn):
        return turn.state, turn.act, turn.response


class Reference:
    def posterior(self, support) -> Posterior:
        return Posterior(len(support))


def test_all_names_are_there():
    baselines = {"prior", "finetune", "scratch", "retrieval", "bayes"}
    assert set(LEARNERS) == {*GRADIENT, *ONE_PASS, *STRUCTURE, *DATA, *baselines}
    assert all(LEARNERS[name].name == name for name in LEARNERS)


@pytest.mark.parametrize("name", [*GRADIENT, "prior", "finetune", "scratch"])
def test_adapting_changes_the_learner_in_nothing(name):
    learner, turns = make_tiny(name), make_tasks(1, 4)[0]
    before = {key: value.clone() for key, value in learner.state_dict().items()}
    adapted = learner.adapt(turns)
    nll = adapted.nll(turns)
    assert nll.shape == (4, 3)
    assert not nll.requires_grad
    torch.testing.assert_close(nll, adapted.nll(encode_turns(turns, VOCABULARY)))
    assert isinstance(adapted.reply(turns[0]), Reply)
    for key, value in learner.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("name", [*GRADIENT, "finetune", "scratch"])
def test_trajectory_starts_unadapted_and_ends_adapted(name):
    learner, turns = make_tiny(name, inner_lr=0.002, inner_steps=3), make_tasks(1, 6)[0]
    curve = [float(point.nll(turns).sum(-1).mean()) for point in learner.trajectory(turns)]
    assert len(curve) == 4
    unadapted = learner.model.nll(learner.model.theta(), encode_turns(turns, VOCABULARY)).sum(-1).mean().detach()
    assert curve[0] == pytest.approx(float(unadapted), rel=1e-12)
    assert curve[-1] == pytest.approx(float(learner.adapt(turns).nll(turns).sum(-1).mean()), rel=1e-9)
    assert curve[-1] < curve[0]  # on the support itself small steps help


@pytest.mark.parametrize("name", [*GRADIENT, "prior", "finetune", "scratch"])
def test_an_empty_support_is_legal_and_changes_nothing(name):
    learner, turns = make_tiny(name), make_tasks(1, 3)[0]
    unadapted = learner.model.nll(learner.model.theta(), encode_turns(turns, VOCABULARY))
    torch.testing.assert_close(learner.adapt([]).nll(turns), unadapted.detach())
    assert all(torch.isfinite(point.nll(turns)).all() for point in learner.trajectory([]))


def test_evaluating_works_under_no_grad_and_inference_keeps_parameters_trainable():
    learner, turns = make_tiny("maml"), make_tasks(1, 3)[0]
    with torch.no_grad():
        assert learner.adapt(turns).nll(turns).isfinite().all()
    assert all(value.requires_grad for value in learner.phi().values())


def test_stacked_adaptation_equals_one_by_one():
    learner = make_tiny("finetune", inner_steps=4, optimizer="adam")
    tasks = make_tasks(3, 4)
    together = learner.adapt_theta(learner.phi(), stack_tasks(tasks, VOCABULARY))
    for i, turns in enumerate(tasks):
        alone = learner.adapt(turns).theta
        for name, value in alone.items():
            torch.testing.assert_close(together[name][i], value, rtol=1e-9, atol=1e-9)


def test_a_few_outer_steps_lower_the_loss():
    learner = make_learner("maml", CONFIG, VOCABULARY, inner_lr=0.003, learned_rates=True)
    support, query = make_batches(tasks=4, shots=6)
    optimizer, curve = torch.optim.Adam(learner.parameters(), 0.01), []
    for _ in range(15):
        gradient, losses = learner.outer_gradient(support, query)
        curve.append(float(losses.sum(-1).mean()))
        for name, value in learner.phi().items():
            value.grad = gradient[name]
        optimizer.step()
    assert curve[-1] < 0.8 * curve[0]


def test_learned_rates_are_one_a_tensor_or_one_a_parameter():
    maml = make_learner("maml", CONFIG, VOCABULARY, learned_rates=True)
    meta_sgd = make_learner("meta_sgd", CONFIG, VOCABULARY)
    anil = make_learner("anil", CONFIG, VOCABULARY, learned_rates=True)
    theta = maml.model.theta()
    assert {name: rate.shape for name, rate in maml.rates.items()} == dict.fromkeys(theta, torch.Size([]))
    assert {name: rate.shape for name, rate in meta_sgd.rates.items()} == {k: v.shape for k, v in theta.items()}
    assert set(anil.rates) == {"output_embedding", "output_bias"}


# ---- baselines ----


def test_prior_is_joint_training_on_every_turn():
    learner = make_tiny("prior")
    support, query = make_batches(tasks=2, shots=3, query_turns=2)
    loss, losses = learner.task_loss(learner.phi(), support, query)
    theta = learner.model.theta()
    turns = torch.cat([learner.model.nll(theta, support), learner.model.nll(theta, query)], 1)
    assert losses.shape == (2, 3)
    torch.testing.assert_close(loss, turns.sum(-1).mean())


@pytest.mark.parametrize("head_only", [True, False])
def test_adam_of_finetune_is_torchs_adam(head_only):
    learner, turns = make_tiny("finetune", inner_lr=0.01, inner_steps=5, head_only=head_only), make_tasks(1, 4)[0]
    batch = encode_turns(turns, VOCABULARY)
    theta = {name: value.detach().clone() for name, value in learner.model.theta().items()}
    if head_only:
        theta["output_embedding"] = theta["embedding"].clone()
    free = [v.requires_grad_() for k, v in theta.items() if not head_only or k.startswith("output")]
    optimizer = torch.optim.Adam(free, 0.01)
    for _ in range(5):
        optimizer.zero_grad()
        learner.model.nll(theta, batch).sum(-1).mean().backward()
        optimizer.step()
    for name, value in learner.adapt(turns).theta.items():
        torch.testing.assert_close(value, theta[name].detach(), rtol=1e-9, atol=1e-10)


def test_finetune_by_sgd_is_the_inner_step_of_maml():
    maml = make_tiny("maml", inner_lr=0.02, inner_steps=3)
    # Fine-tuning takes the mean over the four turns, MAML the sum.
    tuned = make_tiny("finetune", inner_lr=0.08, inner_steps=3, optimizer="sgd")
    turns = make_tasks(1, 4)[0]
    torch.testing.assert_close(tuned.adapt(turns).nll(turns), maml.adapt(turns).nll(turns), rtol=1e-10, atol=1e-10)


def test_finetune_chooses_the_best_of_all_it_tried():
    learner = make_tiny("finetune")
    episodes = [
        Episode(None, support, query)  # type: ignore[arg-type]
        for shots in (0, 2, 4)
        for support, query in zip(make_tasks(3, shots, 7), make_tasks(3, 2, 8))
    ]
    trials = learner.choose(episodes)
    rates, steps = learner.RATES, learner.STEPS
    assert len(trials) == sum(map(len, rates.values())) * 2 * len(steps)
    assert min(map(len, rates.values())) >= 4 <= len(steps)
    assert trials[0].loss == min(trial.loss for trial in trials)
    chosen = (learner.optimizer, learner.head_only, learner.inner_lr, learner.inner_steps)
    assert chosen == trials[0][:4]
    again = [learner.adapt(e.support).nll(e.query).sum(-1).mean() for e in episodes if e.support]
    assert float(torch.stack(again).mean()) == pytest.approx(trials[0].loss, rel=1e-5)
    with pytest.raises(ValueError, match="at least one support turn"):
        learner.choose(episodes[:3])


def test_a_diverging_trial_is_never_chosen():
    learner = make_tiny("finetune")
    learner.RATES = {"sgd": (1e3, 1e-3)}
    learner.STEPS = (40,)
    turns = make_tasks(1, 4)[0]
    trials = learner.choose([Episode(None, turns, turns)])  # type: ignore[arg-type]
    assert learner.inner_lr == 1e-3
    assert all(not math.isnan(trial.loss) for trial in trials)


def test_a_hopeless_trial_is_not_followed_to_its_end(monkeypatch):
    learner = make_tiny("finetune")
    learner.RATES, learner.STEPS = {"sgd": (1e3, 1e-3)}, (2, 40)
    steps = []
    path = learner.path
    monkeypatch.setattr(learner, "path", lambda *given: (steps.append(0) or theta for theta in path(*given)))
    turns = make_tasks(1, 4)[0]
    trials = learner.choose([Episode(None, turns, turns)])  # type: ignore[arg-type]
    assert len(trials) == 2 * 2 * 2
    assert len(steps) == 2 * (1 + 2) + 2 * (1 + 40)  # whole and head: up to the first look, and to the end
    assert {(t.inner_steps, t.loss) for t in trials if t.inner_lr == 1e3 and t.inner_steps == 40} == {(40, math.inf)}


def test_bayes_behind_the_same_interface():
    bayes = make_learner("bayes", CONFIG, VOCABULARY, reference=Reference())
    turns = make_tasks(1, 3)[0]
    assert bayes.phi() == {}
    assert bayes.adapt(turns).nll(turns)[0].tolist() == [0.75, 0.5, 1.0]
    assert bayes.adapt([]).nll([]).shape == (0, 3)
    assert len(bayes.trajectory(turns)) == 4
    assert bayes.adapt(turns).theta is None
    assert bayes.adapt(turns).reply(turns[0]).act == turns[0].act
    with pytest.raises(TypeError, match="list of toy-world turns"):
        bayes.adapt(encode_turns(turns, VOCABULARY))


# ---- bad input ----


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mamml", {}, "no learner 'mamml'; there are: .*maml"),
        ("maml", {"inner_rate": 1}, "inner_rate"),
        ("maml", {"inner_lr": -0.1}, "inner_lr is -0.1; it must be above 0"),
        ("maml", {"inner_lr": 1e6}, "at most 10"),
        ("maml", {"inner_lr": math.nan}, "inner_lr is nan"),
        ("maml", {"inner_steps": 2.5}, "inner_steps is 2.5"),
        ("finetune", {"optimizer": "adamw"}, "one of sgd, adam"),
        ("finetune", {"inner_lr": 0}, "inner_lr is 0"),
        ("finetune", {"inner_steps": -1}, "inner_steps is -1"),
        ("bayes", {}, "reference"),
    ],
)
def test_bad_options_get_a_clear_word(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_learner(name, CONFIG, VOCABULARY, **options)

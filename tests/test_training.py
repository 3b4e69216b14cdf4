from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from small import Corpus, config, small, world

from metadialog_lite.checkpoints import load_checkpoint, save_checkpoint
from metadialog_lite.episodes import draw_episodes, stack_tasks
from metadialog_lite.training import PATIENCE, Record, TrainConfig, Trainer, meta_train


def state_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.learner.state_dict().items()}


def numbers(records: list[Record]) -> list[tuple[object, ...]]:
    return [(r.step, r.shots, r.loss, r.bayes, r.grad_norm, r.warning, r.skipped) for r in records]


@pytest.mark.parametrize("name", ["prior", "maml", "meta_sgd", "reptile"])
def test_resumed_run_gives_the_same_numbers(name: str, tmp_path: Path) -> None:
    settings = config(name, steps=16)
    learner = small(name)
    whole = numbers(list(meta_train(learner, world(), settings)))

    first = Trainer(small(name), world(), settings)
    begun = [first.step() for _ in range(11)]
    path = save_checkpoint(tmp_path / "half.safetensors", first.learner, world().name, settings, first.state())
    checkpoint = load_checkpoint(path)
    rest = list(meta_train(checkpoint.learner, world(), checkpoint.config, checkpoint.state))

    assert numbers(begun + rest) == whole
    for key, value in learner.state_dict().items():
        assert torch.equal(value, checkpoint.learner.state_dict()[key]), key


def test_records_are_deterministic_and_say_where_they_stand() -> None:
    settings = config(shots=(1, 3), steps=12)
    runs = [list(meta_train(small(), world(), settings)) for _ in range(2)]
    assert numbers(runs[0]) == numbers(runs[1])
    assert [r.step for r in runs[0]] == list(range(1, 13))
    assert {r.shots for r in runs[0]} == {1, 3}
    for record in runs[0]:
        assert record.bayes is not None
        assert record.regret == record.loss["total"] - record.bayes["total"] > 0
        assert record.bayes["total"] == pytest.approx(sum(record.bayes[c] for c in ("state", "act", "response")))
        assert f"{record.shots} shots" in record.line()
    cpu = [r.cpu_seconds for r in runs[0]]
    assert cpu == sorted(cpu)
    assert cpu[0] > 0


def test_an_outer_step_is_adam_on_the_clipped_mean_gradient() -> None:
    """EQ-TRAIN-1 against torch's own Adam and clipping, for the first two steps of the warm-up."""
    settings = config("maml", steps=100, word_dropout=0.0, outer_lr=0.01, shots=(2,), clip=0.1)
    trained, twin = small(), small()
    trainer = Trainer(trained, world(), settings)
    optimizer = torch.optim.Adam(twin.parameters())
    for step in range(2):
        episodes = draw_episodes(world(), "train", settings.seed, step * 2, 2, 2, 2)
        batches = [stack_tasks([getattr(e, part) for e in episodes], twin.vocabulary) for part in ("support", "query")]
        gradient, _ = twin.outer_gradient(*batches)
        for name, value in twin.phi().items():
            value.grad = gradient[name]
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.1)
        optimizer.param_groups[0]["lr"] = 0.01 * (step + 1) / 20 * 0.5 * (1 + math.cos(math.pi * step / 100))
        optimizer.step()
        trainer.step()
        for name, value in trained.phi().items():
            torch.testing.assert_close(value, twin.phi()[name], rtol=1e-4, atol=1e-7)


def test_another_seed_another_stream() -> None:
    one, other = (numbers(list(meta_train(small(), world(), config(seed=seed, steps=2)))) for seed in (0, 1))
    assert one != other


def test_a_corpus_has_no_floor_and_responses_only() -> None:
    records = list(meta_train(small("fomaml", Corpus()), Corpus(), config("fomaml", steps=30, outer_lr=0.02)))
    assert all(r.bayes is None and r.regret is None for r in records)
    assert all(r.loss["state"] == r.loss["act"] == 0 for r in records)
    assert records[-1].loss["total"] < records[0].loss["total"]


def test_seconds_end_a_run() -> None:
    trainer = Trainer(small("prior"), world(), config("prior", seconds=0.2, floor=False))
    records = []
    while not trainer.finished:
        records.append(trainer.step())
    assert trainer.cpu_seconds >= 0.2 > (records[-2].cpu_seconds if len(records) > 1 else 0)
    assert trainer.progress == 1


def test_huge_inner_rate_is_called_so() -> None:
    learner = small("maml", inner_lr=10.0, inner_steps=3)
    before = {k: v.clone() for k, v in learner.state_dict().items()}
    records = list(meta_train(learner, world(), config(shots=(4,), steps=40)))
    last = records[-1]
    assert len(records) == PATIENCE
    assert all(r.skipped for r in records)
    assert [r.warning for r in records[:-1]] == [None] * (PATIENCE - 1)
    assert last.warning is not None
    for part in (f"diverged at step {PATIENCE}:", "inner rate 10", "inner steps are too large", "inner_lr=3.3"):
        assert part in last.warning
    assert all(torch.equal(value, before[key]) for key, value in learner.state_dict().items())


@pytest.mark.parametrize("name", ["prior", "maml"])
def test_huge_outer_rate_is_called_so_and_the_good_state_is_kept(name: str, tmp_path: Path) -> None:
    settings = config(name, shots=(1,), steps=60, outer_lr=300.0, decay=False)
    trainer = Trainer(small(name), world(), settings)
    start = state_of(trainer)
    while not trainer.finished:
        record = trainer.step()
    assert trainer.diverged
    assert record.warning is not None
    assert "outer rate 300" in record.warning
    assert "outer_lr=1e+02" in record.warning
    assert "inner steps are too large" not in record.warning
    assert trainer.done_steps == trainer.state()["step"] == 0
    assert all(torch.equal(value, start[key]) for key, value in trainer.learner.state_dict().items())
    assert trainer.state()["optimizer"] == {}


def test_divergence_after_a_good_while_goes_back_ten_steps_or_more() -> None:
    trainer = Trainer(small("prior"), world(), config("prior", steps=500, decay=False, outer_lr=0.01))
    states = {}
    for _ in range(25):
        states[trainer.done_steps] = state_of(trainer), trainer.state()
        assert trainer.step().warning is None
    for group in trainer.learner.parameters():  # something goes wrong
        group.data *= 40
    records = []
    while not trainer.finished:
        records.append(trainer.step())
    assert len(records) == PATIENCE
    assert trainer.done_steps == 10
    good, state = states[10]
    assert all(torch.equal(value, good[key]) for key, value in trainer.learner.state_dict().items())
    assert all(torch.equal(value, state["optimizer"][key]) for key, value in trainer.state()["optimizer"].items())


def test_one_bad_batch_is_skipped_and_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(small("prior"), world(), config("prior", steps=9))
    honest = trainer.learner.outer_gradient

    def spoiled(support: object, query: object) -> object:
        gradients, losses = honest(support, query)  # type: ignore[arg-type]
        return gradients, losses * (math.nan if trainer.done_steps == 4 else 1)

    monkeypatch.setattr(trainer.learner, "outer_gradient", spoiled)
    for i in range(9):
        before = state_of(trainer)
        record = trainer.step()
        moved = any(not torch.equal(v, before[k]) for k, v in trainer.learner.state_dict().items())
        assert (record.skipped, moved) == ((True, False) if i == 4 else (False, True))
        assert ("skipped" in record.line()) == record.skipped
    assert trainer.finished
    assert not trainer.diverged


def test_a_finite_explosion_is_a_step_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clipped gradient is what makes too long inner steps shorter; but it is no state to go back to."""
    trainer = Trainer(small("prior"), world(), config("prior", steps=12))
    honest = trainer.learner.outer_gradient

    def spoiled(support: object, query: object) -> object:
        gradients, losses = honest(support, query)  # type: ignore[arg-type]
        return gradients, losses * (1e6 if trainer.done_steps == 9 else 1)

    monkeypatch.setattr(trainer.learner, "outer_gradient", spoiled)
    for i in range(12):
        before = state_of(trainer)
        record = trainer.step()
        assert not record.skipped
        assert any(not torch.equal(v, before[k]) for k, v in trainer.learner.state_dict().items())
        assert trainer._candidate["step"] == 0, i  # step 10 comes too soon after the explosion to be kept
    assert trainer.finished
    assert not trainer.diverged


def test_explosions_at_some_shots_only_are_a_divergence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(small("prior"), world(), config("prior", steps=90))
    honest = trainer.learner.outer_gradient

    def spoiled(support: object, query: object) -> object:
        gradients, losses = honest(support, query)  # type: ignore[arg-type]
        return gradients, losses * (1e6 if trainer.done_steps % 4 == 3 else 1)

    monkeypatch.setattr(trainer.learner, "outer_gradient", spoiled)
    while not trainer.finished:
        record = trainer.step()
    assert record.step == 4 * PATIENCE
    assert record.warning is not None


def test_few_shots_after_many_are_no_explosion() -> None:
    """The first losses may all stem from many shots; one without any is then several times as high, and fine."""
    trainer = Trainer(small("maml"), world(), config(shots=(0,), steps=100))
    trainer.step()
    assert trainer._highest > 5  # the loss before adapting is in the reference


def test_parameters_that_overflow_are_never_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(small("prior"), world(), config("prior"))
    embedding = trainer.learner.model.embedding
    monkeypatch.setattr(trainer.optimizer, "step", lambda: embedding.data.fill_(math.inf))
    record = trainer.step()
    assert record.warning is not None
    assert all(value.isfinite().all() for value in trainer.learner.state_dict().values())


@pytest.mark.parametrize(("settings", "word"), [
    ({"steps": 0}, "steps=0"), ({"steps": -3}, "steps=-3"), ({"steps": 2.5}, "steps=2.5"), ({"steps": True}, "steps"),
    ({"steps": None}, "either steps or seconds"), ({"steps": 3, "seconds": 3.0}, "either steps or seconds"),
    ({"steps": None, "seconds": math.nan}, "seconds=nan"), ({"steps": 3, "tasks": 0}, "tasks=0"),
    ({"steps": 3, "outer_lr": -1.0}, "outer_lr=-1.0"), ({"steps": 3, "outer_lr": math.inf}, "outer_lr=inf"),
    ({"steps": 3, "shots": ()}, "shots=()"), ({"steps": 3, "shots": (-1,)}, "shots=(-1,)"),
    ({"steps": 3, "shots": (1.5,)}, "shots"), ({"steps": 3, "seed": "x"}, "seed='x'"), ({"steps": "3"}, "steps='3'"),
    ({"steps": 3, "pool": 0}, "pool=0"), ({"steps": 3, "pool": 2.5}, "pool=2.5"),
])
def test_impossible_settings_are_named(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=r"needed|either") as caught:
        TrainConfig(**settings)  # type: ignore[arg-type]
    assert word in str(caught.value)


def test_config_round_trip() -> None:
    settings = config("meta_sgd", options={"inner_lr": 0.01}, shots=(1, 2))
    assert TrainConfig.from_dict(settings.to_dict()) == settings
    with pytest.raises(ValueError, match="colour"):
        TrainConfig.from_dict({"steps": 1, "colour": "blue"})


def test_what_has_nothing_to_learn_is_refused() -> None:
    with pytest.raises(ValueError, match="scratch"):
        Trainer(small("scratch"), world(), config("scratch"))


def test_optimiser_of_another_model_is_refused() -> None:
    other = Trainer(small("maml", learned_rates=True), world(), config())
    other.step()
    trainer = Trainer(small("prior"), world(), config())
    with pytest.raises(ValueError, match="another model"):
        trainer.load_state(other.state())


def test_a_pool_of_tasks_comes_again_and_again() -> None:
    """With a pool the third step sees the tasks of the first; without one it sees new ones."""
    source = world()
    for pool, again in ((4, True), (None, False)):
        drawn = [draw_episodes(source, "train", 3, first, 2, 4, 2, pool) for first in (0, 4)]
        assert ([e.support for e in drawn[0]] == [e.support for e in drawn[1]]) is again
    names = {e.task.name for e in draw_episodes(source, "train", 3, 0, 9, 1, 1, 4)}
    assert len(names) == 4


def test_a_pool_is_learned_by_heart() -> None:
    """One task again and again: its own query turns end far below those of another task."""
    learner = small()
    config = TrainConfig(steps=60, tasks=1, query_turns=4, shots=(2,), outer_lr=0.02, word_dropout=0.0, pool=1, seed=5)
    list(meta_train(learner, world(), config))
    losses = []
    for index in (0, 1):
        (episode,) = draw_episodes(world(), "train", 5, index, 1, 2, 4)
        losses.append(float(learner.adapt(episode.support).nll(episode.query).sum(-1).mean()))
    assert losses[0] < 0.6 * losses[1]

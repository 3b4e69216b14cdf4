from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small import SIZE, Corpus, config, small, world

from metadialog_lite import tuned as tuning
from metadialog_lite import workbench
from metadialog_lite.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from metadialog_lite.evaluation import task_losses
from metadialog_lite.families.baselines import FineTune
from metadialog_lite.results import Result
from metadialog_lite.training import Record
from metadialog_lite.tuned import baseline, tuned
from metadialog_lite.workbench import Job, build_learner, evaluate_checkpoint, load_source, prepare

SETTINGS = {"steps": 4, "seconds": None, "seed": 0, "device": "cpu", "outer_lr": 0.003, "tasks": 2, "query_turns": 2,
            "shots": (0, 1)}


def job(out: Path, learner: str = "maml", *, resume: bool = False, start: str | None = None,
        options: dict[str, Any] | None = None, model: dict[str, Any] | None = None, **settings: Any) -> Job:
    return prepare(out, learner, "restaurants.en", None, start, resume, SETTINGS | settings, options or {},
                   SIZE if model is None else model, "metadialog-lite train …")


def judge(name: Path, learner: str | None = None, **more: Any) -> Result:
    arguments: dict[str, Any] = {"world": None, "corpus": None, "shots": [0, 2], "tasks": 4, "query_turns": 2,
                                 "seed": 0, "split": "test", "decode": False} | more
    return evaluate_checkpoint(str(name), learner, **arguments)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "VALIDATION_TASKS", 2)
    monkeypatch.setattr(FineTune, "STEPS", (1, 2))
    monkeypatch.setattr(FineTune, "RATES", {"sgd": (0.01, 0.3), "adam": (0.003, 0.03)})


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    out = tmp_path / "joint.safetensors"
    list(job(out, "prior").run())
    return out


def test_exactly_one_source() -> None:
    assert load_source("restaurants.en").name == "restaurants.en"
    with pytest.raises(ValueError, match="not both"):
        load_source("restaurants.en", "chitchat")
    with pytest.raises(ValueError, match="not none"):
        load_source()
    with pytest.raises(ValueError, match=r"restaurants\.fr"):
        load_source("restaurants.fr")


@pytest.mark.parametrize(("name", "options", "word"), [
    ("mammal", {}, "did you mean maml"), ("zzz", {}, "There are: hypernetwork, fast_weights"),
    ("maml", {"inner_rl": 1.0}, "did you mean inner_lr"), ("prior", {"inner_lr": 1.0}, "There are: none"),
    ("maml", {"inner_lr": "much"}, "inner_lr='much'"), ("maml", {"inner_lr": -0.1}, "above 0"),
    ("maml", {"inner_lr": float("nan")}, "above 0"), ("maml", {"inner_lr": 99}, "at most 10"),
    ("maml", {"inner_steps": 1.5}, "inner_steps=1.5"), ("maml", {"inner_steps": -1}, "from 0 to 1000"),
    ("maml", {"learned_rates": 1}, "learned_rates=1"), ("finetune", {"optimizer": "sgdd"}, "one of sgd, adam"),
])
def test_wrong_learners_and_options_are_named(name: str, options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=r"learner|opti|inner") as caught:
        build_learner(name, world(), options=options, model=SIZE)
    assert word in str(caught.value)


def test_wrong_model_sizes_are_named() -> None:
    for model, word in (({"wide": 3}, "wide.*known are width"), ({"width": -1}, "width is -1"),
                        ({"width": "big"}, "'big'"), ({"attention": 10, "heads": 4}, "multiple of heads")):
        with pytest.raises(ValueError, match=word):
            build_learner("maml", world(), model=model)


def test_a_job_writes_a_checkpoint_that_says_how_it_came_about(tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "x.safetensors"
    made = job(out, options={"inner_lr": 0.001})
    assert load_checkpoint(out).state["step"] == 0  # type: ignore[index]  # written before the first step
    records = list(made.run())
    checkpoint = load_checkpoint(out, "restaurants.en")
    assert len(records) == checkpoint.state["step"] == 4  # type: ignore[index]
    assert checkpoint.info["command"] == "metadialog-lite train …"
    assert checkpoint.info["diverged"] is False
    assert checkpoint.config.options == {"inner_lr": 0.001, "inner_steps": 3, "pace": 10.0, "boost": 10.0}


def test_stopped_and_resumed_is_the_same_as_not_stopped(tmp_path: Path) -> None:
    whole = [r.loss for r in job(tmp_path / "whole.safetensors", steps=7).run()]
    out = tmp_path / "parts.safetensors"
    run = job(out, steps=7).run()
    parts = [next(run).loss for _ in range(3)]
    run.close()  # what Ctrl-C amounts to
    parts += [r.loss for r in job(out, resume=True, steps=7).run()]
    assert parts == whole
    assert load_checkpoint(out).info["resumed"] == ["metadialog-lite train …"]
    one, other = (load_checkpoint(tmp_path / f"{n}.safetensors").learner.state_dict() for n in ("whole", "parts"))
    assert all(torch.equal(one[k], other[k]) for k in one)
    assert list(job(out, resume=True, steps=7).run()) == []  # all is done


def test_interrupted_within_a_step_keeps_what_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbench, "SAVE_EVERY_SECONDS", 0.0)
    out = tmp_path / "x.safetensors"
    made = job(out)
    run = made.run()
    next(run)
    next(run)  # the first step is in the file now

    def interrupted() -> None:
        made.trainer.learner.model.embedding.data.zero_()
        raise KeyboardInterrupt

    monkeypatch.setattr(made.trainer.optimizer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(run)
    checkpoint = load_checkpoint(out)
    assert checkpoint.state is not None
    assert checkpoint.state["step"] == 2
    assert checkpoint.learner.model.embedding.abs().sum() > 0


def test_a_diverged_run_says_so_in_its_file(tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    made = job(out, options={"inner_lr": 10.0}, shots=(2,), steps=50)
    start = load_checkpoint(out).learner.state_dict()
    *_, last = made.run()
    assert last.warning
    checkpoint = load_checkpoint(out)
    assert checkpoint.info["diverged"] is True
    assert all(torch.equal(v, start[k]) for k, v in checkpoint.learner.state_dict().items())


def test_resume_refuses_another_run(trained: Path) -> None:
    before = trained.read_bytes()
    for arguments, word in (
        ({"learner": "maml"}, "learner prior, not maml"), ({"learner": "prior", "seed": 3}, "seed 0, not 3"),
        ({"learner": "prior", "shots": (0, 8)}, r"shots \[0, 1\], not \[0, 8\]"),
        ({"learner": "prior", "tasks": 3}, "tasks 2, not 3"),
        ({"learner": "prior", "model": SIZE | {"width": 24}}, "width 16, not 24"),
    ):
        with pytest.raises(CheckpointError, match=word):
            job(trained, resume=True, **arguments)
    assert trained.read_bytes() == before


def test_resume_refuses_other_options(tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    job(out, options={"inner_lr": 0.001})
    with pytest.raises(CheckpointError, match=r"inner_lr 0.001, not 0.1"):
        job(out, resume=True, options={"inner_lr": 0.1})
    assert job(out, resume=True).trainer.config.options["inner_lr"] == 0.001


def test_what_was_there_is_kept(trained: Path) -> None:
    before = trained.read_bytes()
    job(trained, "maml")
    assert trained.with_name("joint.safetensors.old").read_bytes() == before


def test_start_from_a_joint_model(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "maml.safetensors"
    made = job(out, start=str(trained), model={})
    joint = load_checkpoint(trained)
    assert torch.equal(made.trainer.learner.model.embedding, joint.learner.model.embedding)
    list(made.run())
    info = load_checkpoint(out).info
    assert info["start"] == str(trained)
    assert info["start_cpu_seconds"] == joint.info["cpu_seconds"]
    own = load_checkpoint(out)
    assert workbench.training_seconds(own) == pytest.approx(own.info["cpu_seconds"] + joint.info["cpu_seconds"])


@pytest.mark.parametrize(("arguments", "word"), [
    ({"device": "cuda"}, "no CUDA device"), ({"device": "tpu"}, "'tpu': cpu or cuda"), ({"steps": -1}, "steps=-1"),
    ({"learner": "scratch"}, "'scratch' is not trained"), ({"learner": "bayes"}, "'bayes' is not trained"),
    ({"start": "nothing"}, "nothing: no such checkpoint"), ({"shots": (-2,)}, r"shots=\(-2,\)"),
])
def test_bad_jobs_are_refused_and_write_nothing(arguments: dict[str, Any], word: str, tmp_path: Path) -> None:
    if torch.cuda.is_available() and arguments.get("device") == "cuda":
        pytest.skip("this machine has one")
    with pytest.raises(ValueError, match=word):
        job(tmp_path / "x.safetensors", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_more_shots_than_the_corpus_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbench, "load_source", lambda *_, **__: Corpus())
    settings = SETTINGS | {"shots": (0, 8)}
    with pytest.raises(ValueError, match=r"shots is 8.*letters has at most 4"):
        prepare(tmp_path / "x.safetensors", "maml", None, "letters", None, False, settings, {}, {}, "")
    path = save_checkpoint(tmp_path / "y.safetensors", small("prior", Corpus()), "letters", config("prior"))
    with pytest.raises(ValueError, match="shots is 9"):
        judge(path, corpus="letters", shots=[9])


def test_evaluate_the_learner_itself(trained: Path) -> None:
    result = judge(trained)
    assert result.learner == "prior"
    assert result.seconds.train == load_checkpoint(trained).info["cpu_seconds"]
    assert json.loads(result.to_json())["world"] == "restaurants.en"


@pytest.mark.parametrize("name", ["finetune", "scratch", "bayes", "prior", "maml"])
def test_every_baseline_can_be_judged(name: str, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbench.LEARNERS["scratch"], "STEPS", (1, 2))
    result = judge(trained, name)
    assert result.learner == name
    if name in ("finetune", "scratch"):
        assert set(result.options["chosen"]) == {"2"}
        assert result.options["validation_tasks"] == 2
    if name == "bayes":
        assert result.row(2).regret == pytest.approx(0, abs=1e-6)
        assert result.options == {}
    json.loads(result.to_json())


def test_finetune_is_chosen_on_validation_tasks_for_each_number_of_shots(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    honest = tuning.draw_episodes

    def watched(source: Any, split: str, *rest: Any) -> Any:
        asked.append(split)
        return honest(source, split, *rest)

    monkeypatch.setattr(tuning, "draw_episodes", watched)
    start = small("prior")
    judged, options = tuned("finetune", start, world(), (0, 1, 4), 2, tasks=3)
    assert asked == ["valid"]
    assert set(judged) == {0, 1, 4}
    for shots in (1, 4):
        learner, chosen = judged[shots], options["chosen"][str(shots)]
        assert isinstance(learner, FineTune)
        assert (learner.optimizer, learner.head_only, learner.inner_lr, learner.inner_steps) == tuple(
            chosen[k] for k in ("optimizer", "head_only", "inner_lr", "inner_steps"))
        assert chosen["trials"] == 2 * 2 * 2 * 2  # optimiser, whole or head, rates, steps
        # What was chosen is the best on those validation tasks.
        tried = task_losses(learner, world(), (shots,), 3, 2, split="valid").loss.sum(-1).mean()
        assert tried == pytest.approx(chosen["loss"], rel=1e-3)
        other = baseline("finetune", start, world(), inner_lr=0.01, inner_steps=1, optimizer="sgd")
        assert tried <= task_losses(other, world(), (shots,), 3, 2, split="valid").loss.sum(-1).mean() + 1e-6


def test_each_validation_speaker_of_a_corpus_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Three(Corpus):
        def speakers(self, split: str) -> tuple[str, ...]:
            return ("ann", "bob", "eve")

    monkeypatch.setattr(tuning, "VALIDATION_TASKS", 32)
    assert tuned("finetune", small("prior", Three()), Three(), (2,), 2)[1]["validation_tasks"] == 3
    monkeypatch.setattr(tuning, "VALIDATION_TASKS", 2)
    assert tuned("finetune", small("prior", Three()), Three(), (2,), 2)[1]["validation_tasks"] == 2


def test_at_least_four_by_four_settings_for_whole_and_head() -> None:
    """DESIGN: finetune chooses rate × steps, ≥ 4 × 4. (The fixture above makes them fewer: look at the source.)"""
    source = Path(workbench.__file__).with_name("families") / "baselines.py"
    text = source.read_text(encoding="utf-8")
    assert '"sgd": (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)' in text
    assert '"adam": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03)' in text
    assert "(2, 5, 10, 20, 40)" in text


def test_bayes_needs_a_world() -> None:
    with pytest.raises(ValueError, match="'bayes': the exact reference needs a toy world, not 'letters'"):
        baseline("bayes", small("prior", Corpus()), Corpus())


def test_compared_with_a_baseline(trained: Path) -> None:
    result = judge(trained, against="finetune")
    against = result.options["against"]
    assert (against["learner"], against["checkpoint"]) == ("finetune", "joint.safetensors")
    assert against["difference"]["0"] == {"mean": 0, "low": 0, "high": 0}
    two = against["difference"]["2"]
    assert two["low"] <= two["mean"] <= two["high"]
    assert judge(trained, "finetune").row(2).loss == pytest.approx(result.row(2).loss - two["mean"], rel=1e-6)
    assert against["chosen"]["2"]["trials"] == 16
    assert against["perplexity"]["0"] == pytest.approx((result.perplexity or {})["0"])
    Result.model_validate_json(result.to_json())


def test_compared_with_another_checkpoint(trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    list(job(other, "prior", steps=9).run())
    against = judge(trained, against_checkpoint=str(other)).options["against"]
    assert (against["learner"], against["checkpoint"]) == ("prior", "other.safetensors")
    assert against["difference"]["0"]["mean"] > 0  # it was trained longer
    assert against["seconds"]["train"] == load_checkpoint(other).info["cpu_seconds"]


def test_checkpoints_that_do_not_fit(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"words of 'restaurants.zh' are unknown to its vocabulary, such as"):
        judge(trained, world="restaurants.zh")
    path = save_checkpoint(tmp_path / "own.safetensors", small("prior"), "my.world", config("prior"))
    with pytest.raises(ValueError, match=r"'my.world', which is no shipped world; give its file with --world"):
        judge(path)
    assert judge(path, world="restaurants.en").world == "restaurants.en"
    with pytest.raises(ValueError, match="split 'exam'"):
        judge(trained, split="exam")
    for wrong in ({"shots": []}, {"shots": [-1]}, {"tasks": 0}, {"query_turns": 0}):
        with pytest.raises(ValueError, match="at least 0"):
            judge(trained, **wrong)


def test_records_are_what_a_loop_gets(tmp_path: Path) -> None:
    assert all(isinstance(record, Record) for record in job(tmp_path / "x.safetensors").run())

"""The command line as a person calls it: in a process of its own where that matters, else through its functions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from small import Corpus, config, small, world
from typer.testing import CliRunner

from metadialog_lite import tuned, workbench
from metadialog_lite.checkpoints import load_checkpoint, save_checkpoint
from metadialog_lite.cli import app
from metadialog_lite.families.baselines import FineTune
from metadialog_lite.results import Result
from metadialog_lite.training import PATIENCE

TINY = ["--world", "restaurants.en", "--tasks", "1", "--query-turns", "1", "--shots", "0,1", "--model", "width=8",
        "--model", "attention=8", "--model", "mlp=8", "--model", "heads=2"]


def call(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def process(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "metadialog_lite.cli", *words], cwd=folder, capture_output=True,
                          text=True, timeout=300, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "joint.safetensors", small("prior"), world().name, config("prior"))


def test_train_and_evaluate_end_to_end(tmp_path: Path) -> None:
    name = "mein Modell 中文.safetensors"
    done = process("train", *TINY, "--learner", "maml", "--steps", "20", "--out", name, "--option", "inner_lr=0.001",
                   folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{name}: step 20, ")
    lines = done.stderr.splitlines()  # no bar in a log file, but a line every 10 %
    assert len(lines) == 10
    assert lines[0].startswith(" 10%  step     2")
    assert lines[-1].startswith("100%  step    20")
    assert load_checkpoint(tmp_path / name).info["command"].startswith("metadialog-lite train --world restaurants.en")

    done = process("evaluate", "--checkpoint", name, "--shots", "0,2", "--tasks", "2", "--query-turns", "2", "--json",
                   "--out", "out/r.json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    result = Result.model_validate_json(done.stdout)  # JSON alone
    assert result.learner == "maml"
    assert result.options["inner_lr"] == 0.001
    assert (tmp_path / "out" / "r.json").read_text(encoding="utf-8") == done.stdout

    done = process("train", *TINY, "--learner", "maml", "--steps", "24", "--out", name, "--resume", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "step    21" not in done.stdout
    assert load_checkpoint(tmp_path / name).state["step"] == 24  # type: ignore[index]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_keeps_what_was_reached(tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    words = ["train", *TINY, "--steps", "2000", "--learner", "prior", "--out", str(out)]
    running = subprocess.Popen([sys.executable, "-m", "metadialog_lite.cli", *words], stderr=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        assert running.stderr is not None
        running.stderr.readline()  # 10 % are done
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=120)
    finally:
        running.kill()
    assert running.returncode == 1
    assert "stopped; the checkpoint holds what was reached, --resume goes on" in errors
    checkpoint = load_checkpoint(out)
    assert checkpoint.state is not None
    assert 200 <= checkpoint.state["step"] < 2000


def test_a_diverged_training_is_a_failure(tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    done = call("train", *TINY, "--shots", "4", "--steps", "30", "--out", str(out), "--option", "inner_lr=10")
    assert done.exit_code == 1
    assert f"diverged at step {PATIENCE}" in done.stderr
    assert load_checkpoint(out).info["diverged"] is True


def test_full_disk_while_training_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "x.safetensors"
    honest, calls = os.replace, []

    def full(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        honest(*arguments)

    monkeypatch.setattr(os, "replace", full)
    done = call("train", *TINY, "--steps", "3", "--learner", "prior", "--out", str(out))
    assert done.exit_code == 1
    assert "No space left on device" in done.stderr
    assert load_checkpoint(out).state["step"] == 0  # type: ignore[index]


@pytest.mark.parametrize(("words", "parts"), [
    (["--learner", "mamml"], ["learner 'mamml'", "maml", "fomaml"]),
    (["--world", "restaurants.fr"], ["restaurants.fr"]),
    (["--corpus", "chitchat"], ["not both"]), (["--steps", "-3"], ["steps=-3"]),
    (["--seconds", "3"], ["steps or seconds"]),
    (["--shots", "a,b"], ["--shots 'a,b'", "0,4,16"]), (["--shots", ""], ["--shots ''"]),
    (["--shots", "-1"], ["shots=(-1,)"]),
    (["--option", "inner_lr"], ["--option 'inner_lr'", "NAME=VALUE", "inner_lr=0.0005"]),
    (["--option", "=3"], ["--option '=3'"]), (["--model", "width"], ["--model 'width'", "width=64"]),
    (["--option", "inner_lr=1", "--option", "inner_lr=2"], ["inner_lr: given twice"]),
    (["--option", "inner_rl=1"], ["did you mean inner_lr"]), (["--option", "inner_lr=-0.1"], ["inner_lr is -0.1"]),
    (["--option", "inner_lr=1e400"], ["inner_lr is inf"]), (["--option", "inner_lr=[1]"], ["inner_lr=[1]"]),
    (["--model", "wide=3"], ["wide", "known are width"]), (["--device", "abacus"], ["device 'abacus'", "cpu or cuda"]),
    (["--tasks", "0"], ["tasks=0"]), (["--query-turns", "0"], ["query_turns=0"]),
    (["--outer-lr", "nan"], ["outer_lr=nan"]),
    (["--start", "nowhere"], ["nowhere: no such checkpoint", "shipped"]), (["--threads", "0"], ["threads"]),
    (["--steps", "many"], ["--steps"]), (["--seed", "x"], ["--seed"]), (["--colour", "blue"], ["--colour"]),
])
def test_bad_input_to_train(words: list[str], parts: list[str], tmp_path: Path) -> None:
    done = call("train", *TINY, "--steps", "2", "--out", str(tmp_path / "x.safetensors"), *words)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    for part in parts:
        assert part in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_source_no_budget_no_out(tmp_path: Path) -> None:
    out = str(tmp_path / "x.safetensors")
    for words, part in ((["--steps", "2", "--out", out], "not none"),
                        (["--world", "restaurants.en", "--out", out], "steps or seconds"),
                        (["--world", "restaurants.en", "--steps", "2"], "--out")):
        done = call("train", *words)
        assert done.exit_code == 2
        assert part in done.stderr


def test_no_cuda_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = call("train", *TINY, "--steps", "2", "--out", str(tmp_path / "x.safetensors"), "--device", "cuda")
    assert done.exit_code == 2
    assert "device 'cuda': no CUDA device is available here; use cpu" in done.stderr


def test_out_in_a_place_that_cannot_be_written(saved: Path) -> None:
    before = saved.read_bytes()
    done = call("train", *TINY, "--steps", "2", "--out", str(saved / "x.safetensors"))  # a file, where a folder must be
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr
    assert saved.read_bytes() == before
    done = call("evaluate", "--checkpoint", str(saved), "--shots", "0", "--tasks", "1", "--no-decode", "--json",
                "--out", str(saved / "r.json"))
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr
    assert json.loads(done.stdout)["learner"] == "prior"  # what was computed is not lost


def test_a_message_is_not_read_as_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ValueError("pip install metadialog-lite[corpora] and [/bold]")

    monkeypatch.setattr(workbench, "load_source", missing)
    done = call("train", *TINY, "--steps", "2", "--out", str(tmp_path / "x.safetensors"))
    assert done.exit_code == 2
    assert "metadialog-lite[corpora] and [/bold]" in done.stderr


@pytest.mark.parametrize(("words", "part"), [
    (["--shots", "x"], "--shots 'x'"), (["--tasks", "0"], "tasks 0"), (["--split", "exam"], "split 'exam'"),
    (["--learner", "mamml"], "did you mean maml"), (["--against", "finetun"], "did you mean finetune"),
    (["--world", "restaurants.zh"], "unknown to its vocabulary"), (["--world", "no.yaml"], "no.yaml"),
    (["--corpus", "gossip"], "chitchat"), (["--checkpoint", "nothing"], "nothing: no such checkpoint"),
    (["--against-checkpoint", "nothing"], "nothing: no such checkpoint"),
])
def test_bad_input_to_evaluate(words: list[str], part: str, saved: Path) -> None:
    done = call("evaluate", "--checkpoint", str(saved), "--tasks", "1", "--shots", "0", "--no-decode", "--json", *words)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert part in done.stderr


def test_truncated_checkpoint(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:1000])
    for words in (["evaluate", "--checkpoint", str(saved)], ["train", *TINY, "--steps", "9", "--learner", "prior",
                                                             "--out", str(saved), "--resume"]):
        done = call(*words)
        assert done.exit_code == 2
        assert "joint.safetensors: is damaged" in done.stderr
    assert saved.stat().st_size == 1000


def test_more_shots_than_the_corpus_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbench, "load_source", lambda *_, **__: Corpus())
    path = save_checkpoint(tmp_path / "c.safetensors", small("prior", Corpus()), "letters", config("prior"))
    done = call("evaluate", "--checkpoint", str(path), "--corpus", "letters", "--shots", "0,8", "--query-turns", "2")
    assert done.exit_code == 2
    assert "shots is 8" in done.stderr
    done = call("evaluate", "--checkpoint", str(path), "--corpus", "letters", "--shots", "0,4", "--query-turns", "2")
    assert done.exit_code == 0
    assert "response perplexity per token (vocabulary 14): " in done.stdout


def test_the_table_and_the_comparison(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuned, "VALIDATION_TASKS", 2)
    monkeypatch.setattr(FineTune, "STEPS", (1, 2))
    done = call("evaluate", "--checkpoint", str(saved), "--tasks", "3", "--shots", "0,2", "--query-turns", "2",
                "--against", "finetune")
    assert done.exit_code == 0, done.output
    for part in ("prior on restaurants.en, 3 held-out tasks (test, seed 0); nats per turn", "gap closed",
                 "joint goal accuracy, gold previous state: ", "joint goal accuracy, own state carried: ",
                 "act accuracy: ", "(exact reference ", "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:",
                 "prior − finetune (from joint.safetensors), nats per turn, paired 95 % interval over speakers:",
                 "   0 shots: +0.000 [+0.000, +0.000] no difference shown", "   2 shots: ", "finetune used "):
        assert part in done.stdout


@pytest.mark.parametrize(("kind", "parts", "absent"), [
    ("style=1.0", ["training prior", "shift of restaurants.en: Bayes is the informed optimum", "it may be beaten"],
     ["told", "undefined"]),
    ("lexicon", ["Bayes is the informed optimum", "prior of the world trained on is undefined"], ["may be beaten"]),
    ("noise=0.2", ["Bayes is told which support segments were replaced", "learners are not told"], ["informed"]),
])
def test_what_bayes_is_under_a_shift_or_with_noise(
    kind: str, parts: list[str], absent: list[str], saved: Path
) -> None:
    words = ["evaluate", "--checkpoint", str(saved), "--world", f"restaurants.en+{kind}", "--tasks", "2",
             "--shots", "0,2", "--query-turns", "2", "--no-decode"]
    done = call(*words)
    assert done.exit_code == 0, done.output
    assert all(part in done.stdout for part in parts)
    assert not any(part in done.stdout for part in absent)
    fields = json.loads(call(*words, "--json").stdout)
    assert (fields["rows"][-1]["bayes_training_prior"] is not None) == (kind == "style=1.0")
    assert (fields["reference_label"] is not None) == (kind == "noise=0.2")
    assert fields["shift_of"] == (None if kind == "noise=0.2" else "restaurants.en")


def test_training_on_noisy_support(tmp_path: Path) -> None:
    out = str(tmp_path / "x.safetensors")
    done = call("train", *TINY[2:], "--world", "restaurants.en+noise=0.2", "--learner", "maml", "--steps", "2",
                "--out", out)
    assert done.exit_code == 0, done.output
    assert load_checkpoint(out).source == "restaurants.en+noise=0.2"
    done = call("evaluate", "--checkpoint", out, "--tasks", "1", "--shots", "0,2", "--query-turns", "1", "--json")
    fields = json.loads(done.stdout)
    assert fields["world"] == "restaurants.en+noise=0.2"
    assert fields["shift_of"] is None
    assert fields["reference_label"] == "told which support segments were replaced"


def test_nan_in_adapting_is_a_failure(saved: Path) -> None:
    path = save_checkpoint(saved.with_name("wild.safetensors"), small("maml", inner_lr=10.0, inner_steps=200),
                           world().name, config())
    done = call("evaluate", "--checkpoint", str(path), "--tasks", "1", "--shots", "8", "--no-decode")
    assert done.exit_code in (0, 1)  # a huge loss is a number as well
    assert "Traceback" not in done.output


def test_world_is_part_of_it() -> None:
    done = call("world", "sample", "restaurants.en", "-n", "1", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["world"] == "restaurants.en"
    assert call("world", "check", "no.yaml").exit_code == 2


def test_help_is_quick_and_needs_no_torch() -> None:
    code = "import sys, metadialog_lite.cli; sys.exit('torch' in sys.modules)"
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert time.monotonic() - began < 60

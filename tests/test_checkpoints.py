from __future__ import annotations

import errno
import importlib.util
import json
import os
import shlex
import stat
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from small import SIZE, config, small, world

from metadialog_lite import checkpoints
from metadialog_lite.checkpoints import (
    FORMAT,
    CheckpointError,
    effective_options,
    initialise_from,
    load_checkpoint,
    save_checkpoint,
)
from metadialog_lite.families import make_learner
from metadialog_lite.training import Trainer


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    trainer = Trainer(small("meta_sgd", inner_lr=0.004), world(), config("meta_sgd"))
    trainer.step()
    return save_checkpoint(tmp_path / "a b 中.safetensors", trainer.learner, world().name, trainer.config,
                           trainer.state(), {"command": "made by hand"})


def rewritten(path: Path, tensors: dict[str, Any] | None = None, **header: Any) -> Path:
    """The file with some tensors or header fields changed; a field set to None is left out."""
    with safe_open(str(path), "pt") as file:
        metadata = file.metadata()
        old = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    fields = {k: v for k, v in (json.loads(metadata["header"]) | header).items() if v is not None}
    new = {k: v for k, v in (old | (tensors or {})).items() if v is not None}
    save_file(new, path, {"format": FORMAT, "header": json.dumps(fields)})
    return path


def header_of(path: Path) -> dict[str, Any]:
    with safe_open(str(path), "pt") as file:
        header: dict[str, Any] = json.loads(file.metadata()["header"])
    return header


@pytest.mark.parametrize(("name", "options"), [
    ("prior", {}), ("maml", {"learned_rates": True, "inner_steps": 2}), ("fomaml", {}), ("reptile", {}), ("anil", {}),
    ("meta_sgd", {"inner_lr": 0.02}), ("finetune", {"optimizer": "sgd", "head_only": True}),
])
def test_round_trip(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    learner, settings = small(name, seed=5, **options), config(name, options=options)
    path = save_checkpoint(tmp_path / "x.safetensors", learner, world().name, settings, info={"why": "test"})
    loaded = load_checkpoint(str(path), world().name)
    assert (loaded.learner.name, loaded.source, loaded.config) == (name, world().name, settings)
    assert (loaded.state, loaded.info, loaded.path) == (None, {"why": "test"}, path)
    assert effective_options(loaded.learner) == effective_options(learner)
    assert options.items() <= effective_options(learner).items()
    assert loaded.learner.vocabulary.tokens == learner.vocabulary.tokens
    assert loaded.learner.state_dict().keys() == learner.state_dict().keys()
    assert all(torch.equal(v, loaded.learner.state_dict()[k]) for k, v in learner.state_dict().items())


def test_defaults_of_today_are_written_down(tmp_path: Path) -> None:
    learner = small("maml")
    path = save_checkpoint(tmp_path / "x.safetensors", learner, world().name, config())
    assert header_of(path)["options"] == {"inner_lr": learner.inner_lr, "inner_steps": 3, "pace": 10.0, "boost": 10.0}


def test_a_file_of_an_earlier_trainer_still_resumes(saved: Path) -> None:
    """Before explosions were compared with recent losses, the state had no ``recent`` and no ``bad_steps``."""
    state = header_of(saved)["state"]
    rewritten(saved, state={k: state[k] for k in ("step", "cpu_seconds", "highest")})
    checkpoint = load_checkpoint(saved)
    trainer = Trainer(checkpoint.learner, world(), checkpoint.config)
    assert checkpoint.state is not None
    trainer.load_state(checkpoint.state)
    assert trainer.step().step == 2


def test_anyone_may_read_it_as_any_new_file(saved: Path) -> None:
    other = saved.with_name("other")
    other.touch()
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)
    other.unlink()
    assert os.listdir(saved.parent) == [saved.name]  # no temporary file is left


@pytest.mark.parametrize(("content", "word"), [
    (b"", "damaged"), (b"Dear diary", "damaged"), (b"\x80\x04\x95pickle", "damaged"), (None, "damaged"),
])
def test_damaged_files(saved: Path, content: bytes | None, word: str) -> None:
    saved.write_bytes(saved.read_bytes()[: saved.stat().st_size // 2] if content is None else content)
    with pytest.raises(CheckpointError, match=word) as caught:
        load_checkpoint(saved)
    assert saved.name in str(caught.value)


def test_file_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.ones(2)}, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match="another program"):
        load_checkpoint(path)
    save_file({"weight": torch.ones(2)}, path, {"format": FORMAT})
    with pytest.raises(CheckpointError, match="header"):
        load_checkpoint(path)
    save_file({"weight": torch.ones(2)}, path, {"format": FORMAT, "header": "[1, 2]"})
    with pytest.raises(CheckpointError, match="lacks learner"):
        load_checkpoint(path)
    save_file({"weight": torch.ones(2)}, path, {"format": FORMAT, "header": "{"})
    with pytest.raises(CheckpointError, match="foreign"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", checkpoints.HEADER)
def test_missing_header_fields(saved: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=f"lacks {name}"):
        load_checkpoint(rewritten(saved, **{name: None}))


@pytest.mark.parametrize(("header", "word"), [
    ({"learner": "nobody"}, "nobody"), ({"options": {"colour": 1}}, "colour"), ({"options": 3}, "mapping"),
    ({"model": {"vocabulary": 173, **SIZE, "width": 10**6}}, "configuration says"),
    ({"model": {"vocabulary": 173, **SIZE, "max_length": 10**7}}, "configuration says"),
    ({"model": {"vocabulary": 10**7, **SIZE}}, "10000000"), ({"model": {"size": 3}}, "size"),
    ({"vocabulary": ["a", "b"]}, "special tokens"), ({"vocabulary": 3}, "damaged"),
    ({"config": {"steps": -1}}, "steps=-1"),
    ({"config": {"colour": 1}}, "colour"), ({"config": "x"}, "damaged"),
    ({"state": {"step": "x", "cpu_seconds": 0}}, "'x'"),
    ({"state": {"cpu_seconds": 0}}, "lacks 'step'"), ({"state": 3}, "damaged"),
])
def test_wrong_header_fields(saved: Path, header: dict[str, Any], word: str) -> None:
    with pytest.raises(CheckpointError, match=word) as caught:
        load_checkpoint(rewritten(saved, **header))
    assert saved.name in str(caught.value)


@pytest.mark.parametrize(("tensors", "word"), [
    ({"learner.model.embedding": torch.ones(3, 3)}, r"learner.model.embedding.*\(3, 3\).*\(173, 16\)"),
    ({"learner.model.embedding": None}, "learner.model.embedding"),
    ({"learner.rates.embedding": None}, "rates.embedding"),
    ({"learner.model.norm_bias": torch.full((16,), torch.nan)}, "norm_bias.*NaN"),
    ({"learner.more": torch.ones(1)}, "more"),
    ({"optimizer.0.exp_avg": torch.full((173, 16), torch.inf)}, "optimizer.0.exp_avg.*infinity"),
])
def test_wrong_tensors(saved: Path, tensors: dict[str, Any], word: str) -> None:
    with pytest.raises(CheckpointError, match=word):
        load_checkpoint(rewritten(saved, tensors))


def test_wrong_source_missing_file_and_folder(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"trained on 'restaurants.en', not on 'restaurants.zh'"):
        load_checkpoint(saved, "restaurants.zh")
    with pytest.raises(CheckpointError, match=r"no such checkpoint.*shipped"):
        load_checkpoint(saved.with_name("nothing.safetensors"))
    with pytest.raises(CheckpointError, match="is a folder"):
        load_checkpoint(saved.parent)


def test_start_from_another_learner(saved: Path) -> None:
    checkpoint = load_checkpoint(saved)
    twin, cousin = small("meta_sgd", seed=9), small("maml", seed=9)
    initialise_from(twin, checkpoint)
    assert all(torch.equal(v, checkpoint.learner.state_dict()[k]) for k, v in twin.state_dict().items())
    initialise_from(cousin, checkpoint)
    assert torch.equal(cousin.model.embedding, checkpoint.learner.model.embedding)


def test_start_with_the_learned_rates_of_another_learner(saved: Path) -> None:
    """The same α for every parameter, in whatever unit and pace; an untied head begins with the embedding's."""
    checkpoint = load_checkpoint(saved)
    with torch.no_grad():
        for value in checkpoint.learner.rates.values():
            value.add_(0.01 * torch.randn(value.shape, generator=torch.Generator().manual_seed(1)))
    cousin = make_learner("parameters", checkpoint.learner.model.config, checkpoint.learner.vocabulary, inner_lr=0.007,
                          pace=3.0)
    initialise_from(cousin, checkpoint, rates=True)
    ours, theirs = ({name: alpha.detach() for name, alpha in x.inner_rates(x.phi(), x.theta_0(x.phi())).items()}
                    for x in (cousin, checkpoint.learner))
    for name, alpha in theirs.items():
        torch.testing.assert_close(ours[name], alpha, rtol=1e-4, atol=0)
    torch.testing.assert_close(0.007 * (3.0 * cousin.rates["output_embedding"]).exp(), theirs["embedding"], rtol=1e-4,
                               atol=0)
    with pytest.raises(CheckpointError, match="'hypernetwork' has no learned inner rates"):
        initialise_from(make_learner("hypernetwork", cousin.model.config, cousin.vocabulary), checkpoint, rates=True)
    maml = make_learner("maml", cousin.model.config, cousin.vocabulary, learned_rates=True)
    with pytest.raises(CheckpointError, match=r"'embedding' have shape .* learner 'maml' has"):
        initialise_from(maml, checkpoint, rates=True)


def test_start_with_other_words_or_sizes(saved: Path) -> None:
    from small import Corpus

    checkpoint = load_checkpoint(saved)
    with pytest.raises(CheckpointError, match="vocabulary differs in"):
        initialise_from(small("maml", Corpus()), checkpoint)
    other = small("maml")
    object.__setattr__(other.model.config, "mlp", 17)
    with pytest.raises(CheckpointError, match="mlp=17"):
        initialise_from(other, checkpoint)


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["save_file", "replace", "half"])
def test_a_failed_save_touches_nothing(saved: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()
    if where == "replace":
        monkeypatch.setattr(os, "replace", full_disk)
    elif where == "save_file":
        monkeypatch.setattr(checkpoints, "save_file", full_disk)
    else:
        def half(tensors: object, path: Path, metadata: object) -> None:
            path.write_bytes(b"half")
            full_disk()
        monkeypatch.setattr(checkpoints, "save_file", half)
    with pytest.raises(CheckpointError, match=r"No space left.*choose a folder"):
        save_checkpoint(saved, small(), world().name, config())
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_interrupted_save_leaves_no_rest(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(saved, small(), world().name, config())
    assert os.listdir(saved.parent) == [saved.name]


def test_unwritable_places(saved: Path) -> None:
    for place in (saved / "x.safetensors", saved.parent):  # a file in the place of the folder; a folder of that name
        with pytest.raises(CheckpointError, match="cannot be written"):
            save_checkpoint(place, small(), world().name, config())
    assert os.listdir(saved.parent) == [saved.name]
    new = save_checkpoint(saved.parent / "new" / "deep" / "x.safetensors", small(), world().name, config())
    assert load_checkpoint(new).learner.name == "maml"


def test_nan_is_never_written(saved: Path) -> None:
    before, learner = saved.read_bytes(), small()
    learner.model.norm_bias.data[0] = torch.nan
    with pytest.raises(CheckpointError, match=r"not written: tensor 'learner.model.norm_bias' holds NaN"):
        save_checkpoint(saved, learner, world().name, config())
    assert saved.read_bytes() == before


def test_there_is_no_pickle() -> None:
    text = Path(checkpoints.__file__).read_text(encoding="utf-8")
    assert "pickle" not in text
    assert "torch.load" not in text


def test_a_shipped_checkpoint_holds_no_optimizer_and_no_folders(saved: Path, tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("ship", Path(__file__).parent.parent / "scripts/ship_checkpoint.py")
    assert spec is not None
    assert spec.loader is not None
    ship = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ship)
    monkeypatch.setattr(ship, "data_dir", lambda: tmp_path)
    rewritten(saved, info={"command": f"metadialog-lite train --out {shlex.quote(str(saved))}", "start": str(saved)})
    target = ship.ship(saved, "x.y")
    header, shipped = header_of(target), load_checkpoint(target)
    assert str(saved.parent) not in json.dumps(header)
    assert header["info"]["command"].endswith(f"--out '{saved.name}'")
    assert shipped.state is None
    assert target.stat().st_size < saved.stat().st_size / 2
    for name, value in load_checkpoint(saved).learner.state_dict().items():
        assert torch.equal(value, shipped.learner.state_dict()[name])

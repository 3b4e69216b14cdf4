"""What notebook 04 needs: its parameters, its panel without a browser, its figures, and its stored results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from metadialog_lite.episodes import Vocabulary
from metadialog_lite.evaluation import evaluate, task_losses
from metadialog_lite.families import make_learner
from metadialog_lite.families.base import Learner
from metadialog_lite.families.masks import SubNetworks, parts, places, sub_networks
from metadialog_lite.lab import StructurePanel, structure_figure
from metadialog_lite.lab.parameters import ParameterError, parameters
from metadialog_lite.lab.parameters_04 import STRUCTURES, StructureSettings
from metadialog_lite.lab.structure_numbers import described, left_out, readable_worlds, runs, watch
from metadialog_lite.lab.structure_stored import OFF, ON, capability_table, switched, switched_text
from metadialog_lite.model import ModelConfig
from metadialog_lite.world import load_world

WORLD = load_world("restaurants.en")
SIZE = ModelConfig(len(Vocabulary.of(WORLD)), width=8, attention=8, mlp=8, layers=1, heads=2)
GATES = 12


def shaken(name: str = "structure_parameters", seed: int = 1, **options: Any) -> Learner:
    """Untrained, but its gates depend on the support (phi begins with zeros)."""
    learner = make_learner(name, SIZE, Vocabulary.of(WORLD), **options)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, value in learner.named_parameters():
            value += 0.3 * torch.randn(value.shape, generator=random)
            if key.startswith("structure.layer"):
                value.copy_(torch.randn(value.shape, generator=random))
    return learner


# Parameters ----------------------------------------------------------------------------------------------------------


def test_parameters_of_this_notebook() -> None:
    p = parameters(None, StructureSettings)
    assert (p.learner, p.options["sparsity"], p.options["inner_steps"]) == ("structure_parameters", 0.3, 1)
    assert str(p) == "structure_parameters on restaurants.en: 16 shots, 20 meta-steps, sparsity 0.3, seed 0, cpu"
    for name in STRUCTURES:
        options = parameters(None, StructureSettings, learner=name).options
        assert make_learner(name, SIZE, Vocabulary.of(WORLD), **options).name == name


@pytest.mark.parametrize(("values", "words"), [
    ({"learner": "parameters"}, "learner: got 'parameters': unknown learner; did you mean 'structure_parameters'"),
    ({"sparsity": -1}, "sparsity: got -1"),
    ({"sparsity": float("nan")}, "sparsity: got nan"),
    ({"corpus": "chitchat"}, "corpus: there is no such parameter"),
    ({"shots": 33}, "shots: got 33"),
])
def test_wrong_parameters_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parameters(None, StructureSettings, **values)
    assert words in str(caught.value)


# Worlds that phi can read ------------------------------------------------------------------------------------------


def test_readable_worlds_have_no_word_that_the_model_does_not_know() -> None:
    found = readable_worlds(WORLD)
    assert list(found) == ["restaurants.en", "restaurants.en+style=1.0", "restaurants.en+lexicon"]
    for world in found.values():
        assert Vocabulary.of(WORLD).unknown(world.tokens) == []
    assert list(readable_worlds(load_world("restaurants.en,travel.en"))) == ["restaurants.en", "travel.en"]
    without_other_words = load_world(Path(__file__).parent / "worlds" / "brute.yaml")
    assert list(readable_worlds(without_other_words)) == ["brute", "brute+style=1.0"]


# A network turn by turn ----------------------------------------------------------------------------------------------


def test_watching_a_task_begins_with_the_network_of_nobody_in_particular() -> None:
    learner = shaken()
    one, other = (watch(learner, WORLD, 0, index, 4, query_turns=4) for index in (0, 1))
    assert one.gates.relaxed.shape == one.gates.open.shape == (5, GATES)
    assert len(one.loss) == len(one.floor) == len(one.relaxed) == 5
    assert torch.equal(one.gates.relaxed[0], other.gates.relaxed[0])
    assert not torch.equal(one.gates.relaxed[4], other.gates.relaxed[4])
    assert torch.equal(one.gates.relaxed > 0.5, one.gates.open)
    there = learner.adapt(one.support).nll(WORLD.task("test", 0, 0).query(4)).sum(-1).mean()
    assert one.loss[4]["total"] == pytest.approx(float(there), rel=1e-5)
    assert one.text(0).startswith("No support turn yet: ")
    text = one.text(1)
    assert text.startswith("After 1 support turn: ")
    assert "the last turn changed" in text
    assert "With relaxed gates it would be" in text


def test_a_mask_in_words() -> None:
    mask = torch.ones(GATES, dtype=torch.bool)
    assert left_out(mask, SIZE) == "nothing"
    assert described(mask, SIZE).startswith("2 of 2 heads, 8 of 8 units, 2 of 2 blocks are kept, 392 of 392 parameters")
    mask[[1, 2, 4, 5, 6]] = False
    assert left_out(mask, SIZE) == "head 2; units 1, 3–5"
    mask[places(SIZE)[0]["blocks"]] = False
    assert "head 2; units 1, 3–5; attention block; MLP block" in left_out(mask, SIZE)
    assert described(mask, SIZE).startswith("0 of 2 heads, 0 of 8 units, 0 of 2 blocks are kept, 0 of 392")
    assert runs([1, 2, 5, 7, 8, 9]) == "1–2, 5, 7–9"


# The panel and its figure --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_panel_at_its_ends(name: str) -> None:
    panel = StructurePanel(shaken(name), WORLD, shots=3)
    panel._seen()
    assert panel.result is None
    assert panel.figure is not None
    assert len(panel.figure.traces) == len(panel.picture()[0])
    panel.turns_slider.value = 3
    assert panel.wait()
    assert panel.error.value == ""
    assert panel.says.value.startswith("Task 0. After 3 support turns: ")
    assert "Closed when made hard" in panel.closed_line.value
    changes, _ = panel.picture()
    assert len(changes) == len(panel.figure.traces)
    gates = next(change for change in changes if "marker.color" in change)
    assert gates["marker.color"] == panel.result.gates.relaxed[3].double().numpy().round(3).tolist()
    assert gates["text"][0].startswith("head 1: relaxed ")
    panel.hard_button.value = True
    gates = next(change for change in panel.picture()[0] if "marker.color" in change)
    assert set(gates["marker.color"]) <= {0.0, 1.0}
    panel.turns_slider.value = 0
    assert "No support turn yet" in panel.says.value
    assert "Move the slider" in panel.turn_line.value
    panel.next_task()
    assert panel.wait()
    assert panel.says.value.startswith("Task 1.")
    panel.world_choice.value = "restaurants.en+lexicon"
    assert panel.wait()
    assert panel.error.value == ""
    panel.turns_slider.value = 1
    assert WORLD.text(panel.result.support[0].user) in panel.turn_line.value


def test_a_panel_whose_learner_comes_later_draws_after_the_first_reading() -> None:
    panel = StructurePanel(lambda: shaken(), WORLD, shots=2)
    panel.guard.views = 1
    assert panel.figure is None
    panel.read()
    assert panel.wait()
    assert panel.error.value == ""
    assert panel.figure is not None
    assert panel.plot.children == (panel.figure,)


def test_the_panel_says_what_it_needs() -> None:
    for wrong in (0, 33, True, 2.5):
        with pytest.raises(ValueError, match="shots: got"):
            StructurePanel(shaken(), WORLD, shots=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a toy world is needed"):
        StructurePanel(shaken(), "restaurants.en")  # type: ignore[arg-type]
    for learner, words in ((shaken("parameters"), "learner 'parameters' has no gates"),
                           (shaken(gates=False), "with gates=False has no gates"), (lambda: None, "no learner yet")):
        panel = StructurePanel(learner, WORLD)
        panel.read()
        assert panel.wait()
        assert words in panel.error.value.replace("&#x27;", "'")
        assert panel.says.value == ""


@pytest.mark.parametrize("layers", [1, 2])
def test_an_edge_for_every_open_gate_and_none_for_a_closed_one(layers: int) -> None:
    size = ModelConfig(30, width=8, attention=8, mlp=5, layers=layers, heads=2)
    names = parts(size)
    strength = torch.linspace(0.01, 1, len(names))
    opened = torch.ones(len(names), dtype=torch.bool)
    for where in places(size):
        strength[where["blocks"]] = 1.0
    lines = structure_figure.edges(strength.numpy(), size)
    assert sum(x.count(None) for x, _ in lines) == len(names) - 2 * layers
    assert lines[0][0].count(None) >= 1  # weak ones in the first trace, strong ones further back
    assert lines[-2][0].count(None) >= 1
    strength[0], opened[0] = 0, False
    assert sum(x.count(None) for x, _ in structure_figure.edges(strength.numpy(), size)) == len(names) - 2 * layers - 1
    strength[places(size)[0]["blocks"].start] = 0  # attention of the first layer is closed: no head speaks
    lines = structure_figure.edges(strength.numpy(), size)
    assert sum(x.count(None) for x, _ in lines) == len(names) - 2 * layers - 2
    x, y = structure_figure.positions(size)
    assert len({*zip(x.tolist(), y.tolist(), strict=True)}) == len(names)  # nothing lies on something else
    figure = structure_figure.network(strength, opened, names, size, "a title")
    crosses = [trace for trace in figure.data if trace.marker.symbol == "x-thin"]
    assert [len(trace.x) for trace in crosses] == [1]


def test_barcodes_show_every_task() -> None:
    learner = shaken()
    groups = {name: sub_networks(learner, [world.task("test", 0, i).support(2) for i in range(3)])
              for name, world in readable_worlds(WORLD).items()}
    figure = structure_figure.barcodes(groups, "masks")
    rows = [row for row in figure.data[0].z if row[0] is not None]
    assert len(rows) == 9
    assert sorted(sum(row) for row in rows) == sorted(float(m.sum()) for g in groups.values() for m in g.open)
    mask = torch.tensor([[True, False, True, False]])
    one = structure_figure.barcodes({"a": SubNetworks(torch.rand(1, 4), mask)}, "t")
    assert list(one.data[0].z[0]) == [1, 1, 0, 0]


# Stored results -----------------------------------------------------------------------------------------------------


def test_stored_pairs_are_paired_task_by_task(tmp_path: Path) -> None:
    assert switched("restaurants.en", tmp_path) == []
    assert "nothing is claimed" in switched_text([], 4)
    losses = {}
    for name, gates in ((ON, True), (OFF, False)):
        learner = shaken(gates=gates)
        found = task_losses(learner, WORLD, (4,), 5, 2)
        result = evaluate(learner, WORLD, (4,), 5, 2, decode=False, losses=found)
        losses[name] = found.loss[:, 0].sum(-1)
        result.options |= {"per_task": {"4": losses[name].tolist()}, "recipe": name, "training_seed": 3}
        result.seconds.train = 12.0
        result.write(tmp_path / f"restaurants.en.{name}.seed3.json")
    (pair,) = switched("restaurants.en", tmp_path)
    assert pair.seed == 3
    assert pair.difference(4).mean == pytest.approx((losses[ON] - losses[OFF]).mean())
    text = switched_text([pair], 4)
    assert "training seed 3, 5 held-out tasks" in text
    assert "structure on − structure off" in text
    assert f"{pair.on.parameters:,} and {pair.off.parameters:,} parameters, 12 and 12 CPU seconds" in text
    (tmp_path / f"restaurants.en.{OFF}.seed3.json").unlink()
    assert switched("restaurants.en", tmp_path) == []


def test_capabilities_above_the_floor_come_from_files_only(tmp_path: Path) -> None:
    assert "No results of this family are stored" in capability_table("restaurants.en", 4, tmp_path).data
    result = evaluate(shaken(), WORLD, (4,), 5, 2, decode=False)
    result.write(tmp_path / "one.json")
    text = capability_table("restaurants.en", 4, tmp_path).data
    assert "| structure_parameters | shipped | – | 0 |" in text
    assert f"| {result.row(4, 'act').regret:.3f} |" in text
    assert "No results" in capability_table("restaurants.en", 8, tmp_path).data

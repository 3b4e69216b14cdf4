"""The panels without a browser: every control at its ends, the worker's flags, and what the curves are said to say."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from metadialog_lite.episodes import Vocabulary
from metadialog_lite.families import make_learner
from metadialog_lite.lab import AdaptationPanel, ChatPanel, GradientMicroscope, TrainingPanel, figures, outer_gradients
from metadialog_lite.lab.curve import Curve, curve_text, moving_average, trend
from metadialog_lite.lab.live_plot import LivePlot
from metadialog_lite.lab.session import Session
from metadialog_lite.lab.settings import Settings
from metadialog_lite.model import ModelConfig
from metadialog_lite.paths import notebooks_dir
from metadialog_lite.results import Result, Row
from metadialog_lite.world import load_world

WORLD = load_world("restaurants.en")
SIZE = ModelConfig(len(Vocabulary.of(WORLD)), width=8, attention=8, mlp=8, layers=1, heads=2)


def small(name: str = "maml", **options: Any) -> Any:
    return make_learner(name, SIZE, Vocabulary.of(WORLD), **({"inner_lr": 0.1, "inner_steps": 2} | options))


@pytest.fixture
def panel() -> Iterator[TrainingPanel]:
    made = TrainingPanel(WORLD, inner_steps=1, shots=1, model=SIZE)
    yield made
    made.pause()
    assert made.session.wait(60)


def until(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


# The curve and its words ---------------------------------------------------------------------------------------------


def records(losses: list[float], floor: float | None = 1.0) -> list[Any]:
    def parts(total: float) -> dict[str, float]:
        return {"state": total * 0.6, "act": total * 0.1, "response": total * 0.3, "total": total}

    return [SimpleNamespace(step=i + 1, loss=parts(loss), bayes=None if floor is None else parts(floor))
            for i, loss in enumerate(losses)]


def test_words_of_a_falling_curve() -> None:
    text = curve_text(Curve(records([1.4 + 3 * math.exp(-i / 30) for i in range(120)])))
    assert text.startswith("After 120 steps the loss is 1.4")
    assert "above the Bayes floor; still falling." in text
    assert "Most is left to learn in state tracking" in text


@pytest.mark.parametrize(("losses", "floor", "words"), [
    ([], 1.0, "No step has been taken yet."),
    ([2.0], 1.0, "After 1 step the loss is 2.00 nats/turn, 1.00 above the Bayes floor; too short to see"),
    ([2.0 + 0.3 * (-1) ** i for i in range(100)], 1.0, "level within its noise"),
    ([2.0 + i / 50 for i in range(100)], 1.0, "rising"),
    ([0.9 + 0.01 * (-1) ** i for i in range(60)], 1.0, "below the Bayes floor by the luck of the draw"),
    ([3.0 - i / 50 for i in range(100)], None, "nats/turn; still falling."),
    ([math.nan] * 3, 1.0, "no longer a number"),
])
def test_words_of_other_curves(losses: list[float], floor: float | None, words: str) -> None:
    text = curve_text(Curve(records(losses, floor)))
    assert words in text
    assert (floor is None) <= ("Bayes" not in text)


def test_words_do_not_see_a_trend_in_noise() -> None:
    random = np.random.default_rng(0)
    wrong = sum(trend(random.normal(2, 0.3, 40)) != "level" for _ in range(200))
    assert wrong <= 20  # two standard errors: about 5 %


def test_words_see_a_slow_fall_in_a_long_run() -> None:
    random = np.random.default_rng(0)
    losses = list(3 - np.arange(1500) / 1500 + random.normal(0, 0.3, 1500))
    assert "still falling" in curve_text(Curve(records(losses)))


def test_words_say_that_words_are_hidden() -> None:
    some = records([2.0] * 60)
    for i, record in enumerate(some):
        record.hidden = max(0.0, 0.25 * (1 - i / 40))
    assert "hides 13 % of the user's words from the model" in curve_text(Curve(some[:30]))
    assert "hides" not in curve_text(Curve(some))


def test_moving_average_leaves_holes_out() -> None:
    values = np.array([1.0, np.nan, 3.0, 5.0, 7.0])
    assert moving_average(values, 2).tolist() == [1.0, 1.0, 3.0, 4.0, 6.0]
    assert moving_average(values, 100)[-1] == 4.0
    assert moving_average(np.zeros(0), 3).size == 0


def test_long_curves_are_decimated_to_float32() -> None:
    drawn = Curve(records([2.0] * 5000)).drawn("total", 20, most=300)
    assert len(drawn.step) <= 300
    assert drawn.step[0] == 1
    assert drawn.step[-1] == 5000
    assert {array.dtype.name for array in (drawn.step, drawn.raw, drawn.mean, drawn.floor)} == {"float32"}


def test_learning_curve_shows_every_part_with_its_floor() -> None:
    figure, text = figures.learning_curve(records([3.0 - i / 50 for i in range(100)]))
    assert len(figure.data) == 12
    assert [a.text for a in figure.layout.annotations] == [
        "<b>total</b>", "<b>state tracking</b>", "<b>choice of act</b>", "<b>response</b>"]
    assert len({(t.line.color, t.line.dash, t.marker.symbol) for t in figure.data[1::3]}) == 4  # told apart thrice
    assert len({t.line.dash for t in figure.data[1::3]}) == 4
    assert "Bayes floor" in text


def test_adaptation_curve_has_bands_and_says_who_is_best() -> None:
    def result(name: str, losses: list[float]) -> Result:
        rows = [Row(shots=k, capability="total", loss=loss, bayes=1.0, low=loss - 0.1, high=loss + 0.1)
                for k, loss in zip((0, 4, 16), losses, strict=True)]
        return Result(learner=name, seed=0, split="test", tasks=2, query_turns=2, rows=rows)

    figure, text = figures.adaptation_curve([result("finetune", [3, 2.5, 2]), result("maml", [3, 2, 1.5])])
    assert sum(t.fill == "toself" for t in figure.data) == 2
    assert text.index("maml goes from 3.00 to 1.50") < text.index("finetune")
    assert "0.50 above the Bayes floor" in text
    assert figures.adaptation_text([]) == "There is no result to show."


def test_show_gives_text_and_a_figure_without_a_picture(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    monkeypatch.delenv("METADIALOG_TWINS", raising=False)
    figure, text = figures.learning_curve(records([2.0] * 10))
    figures.show(figure, text)
    assert shown[0]["text/plain"] == text
    assert "application/vnd.plotly.v1+json" in shown[0]
    assert "image/png" not in shown[0]
    printed = capsys.readouterr().out
    assert text.split() == printed.split()
    assert max(map(len, printed.splitlines())) <= figures.WIDTH


# The worker and its flags --------------------------------------------------------------------------------------------


class Fake:
    """A trainer whose steps take as long as a test wants."""

    def __init__(self, fail_at: int = 0, diverge_at: int = 0, last: int = 10**9) -> None:
        self.learner, self.n = "a learner", 0
        self.fail_at, self.diverge_at, self.last = fail_at, diverge_at, last
        self.threads: set[int] = set()

    @property
    def finished(self) -> bool:
        return self.n >= self.last

    def step(self) -> Any:
        self.n += 1
        self.threads.add(threading.get_ident())
        time.sleep(0.002)
        if self.n == self.fail_at:
            raise RuntimeError("out of memory")
        warning = "diverged at step 3: try less" if self.n == self.diverge_at else None
        one = records([2.0])[0]
        return SimpleNamespace(step=self.n, loss=one.loss, bayes=one.bayes, cpu_seconds=0.1 * self.n, warning=warning)


def test_start_twice_is_one_worker() -> None:
    fake = Fake()
    session = Session(lambda: fake)  # type: ignore[arg-type, return-value]
    before = threading.active_count()
    for _ in range(5):
        session.start()
    assert threading.active_count() == before + 1
    until(lambda: len(session.records) > 5)
    session.pause()
    assert session.wait(5)
    assert session.state == "paused"
    assert len(fake.threads) == 1
    assert [r.step for r in session.records] == list(range(1, len(session.records) + 1))


def test_reset_while_training_throws_the_step_away() -> None:
    made: list[Fake] = []

    def make() -> Any:
        made.append(Fake())
        return made[-1]

    session = Session(make)
    session.start()
    until(lambda: len(session.records) > 2)
    session.reset()
    assert session.wait(5)
    assert (session.state, session.records, len(session.curve), session.learner()) == ("idle", [], 0, None)
    session.start()
    session.reset()
    session.start()  # before the worker noticed
    until(lambda: len(session.records) > 2)
    assert session.state == "running"
    assert session.records[0].step == 1
    session.pause()
    assert session.wait(5)


def test_step_takes_one_and_means_nothing_while_running() -> None:
    session = Session(Fake)  # type: ignore[arg-type]
    session.step()
    assert session.wait(5)
    assert (session.state, len(session.records)) == ("paused", 1)
    session.step()
    session.step()
    assert session.wait(5)
    assert len(session.records) == 3
    session.start()
    session.step()
    until(lambda: len(session.records) > 6)
    session.pause()
    assert session.wait(5)


def test_pause_before_start_and_after_the_end() -> None:
    session = Session(lambda: Fake(last=3))  # type: ignore[arg-type, return-value]
    session.pause()
    assert session.state == "idle"
    session.start()
    assert session.wait(5)
    assert (session.state, len(session.records)) == ("done", 3)
    session.start()
    assert session.wait(5)
    assert len(session.records) == 3
    assert "press Reset" in session.note


@pytest.mark.parametrize(("fake", "state", "words"), [
    (Fake(fail_at=3), "error", "out of memory"), (Fake(diverge_at=3), "diverged", "diverged at step 3")])
def test_trouble_is_kept_for_the_panel(fake: Fake, state: str, words: str) -> None:
    session = Session(lambda: fake)  # type: ignore[arg-type, return-value]
    session.start()
    assert session.wait(5)
    assert session.state == state
    assert words in session.note
    fake.fail_at = fake.diverge_at = 0
    session.reset()
    assert (session.state, session.note) == ("idle", "")


def test_starting_one_session_pauses_the_others() -> None:
    first, second = Session(Fake), Session(Fake)  # type: ignore[arg-type]
    first.start()
    until(lambda: first.records)
    second.start()
    assert first.wait(5)
    assert first.state == "paused"
    assert "another panel" in first.note
    second.pause()
    assert second.wait(5)


def test_updates_are_at_most_ten_a_second() -> None:
    calls: list[float] = []
    session = Session(Fake, lambda: calls.append(time.monotonic()))  # type: ignore[arg-type]
    session.start()
    time.sleep(1.05)
    session.pause()
    assert session.wait(5)
    assert len(session.records) > 50
    assert len(calls) <= 14  # ten, and one for each of: start, pause, end


# The live plot --------------------------------------------------------------------------------------------------------


class Wire(LivePlot):
    """A live plot whose messages a test reads."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        super().__init__([{"type": "scatter"}], {"height": 200, "template": "plotly_white"})

    def send(self, content: Any, buffers: Any = None) -> None:
        self.messages.append((content, buffers))


def test_live_plot_waits_for_the_browser() -> None:
    plot, drawn = Wire(), []

    def make(value: float) -> Any:
        drawn.append(value)
        return [{"x": np.array([1, 2], np.float32), "y": np.array([value, np.nan])}], {"yaxis.range": [0, 1]}

    plot.draw(lambda: make(1))
    assert plot.messages == []  # nobody looks
    plot._heard(plot, {"ready": True}, [])
    assert len(plot.messages) == 1
    for value in (2, 3, 4):  # faster than the browser answers
        plot.draw(lambda value=value: make(value))  # type: ignore[misc]
    assert len(plot.messages) == 1
    plot._heard(plot, {"drawn": 1}, [])
    assert len(plot.messages) == 2  # the last one only
    assert drawn[-1] == 4
    content, buffers = plot.messages[1]
    assert content["traces"] == [{"x": {"at": 0, "length": 2}, "y": {"at": 2, "length": 2}}]
    assert np.frombuffer(buffers[0], np.float32)[:3].tolist() == [1, 2, 4]
    plot._heard(plot, {"drawn": 2}, [])
    assert len(plot.messages) == 2
    plot._heard(plot, {"want": "library"}, [])
    assert b"plotly.js" in plot.messages[-1][1][0][:100]
    assert len(str(plot.get_state())) < 10_000  # what a saved notebook would hold


# The training panel --------------------------------------------------------------------------------------------------


def test_showing_a_panel_makes_nothing_heavy(panel: TrainingPanel) -> None:
    threads = threading.active_count()
    data = panel._repr_mimebundle_()
    assert data["text/plain"].startswith("[TrainingPanel: maml on restaurants.en")
    assert len(data["text/plain"]) < 110
    assert panel.figure is None
    assert panel.learner is None
    assert threading.active_count() == threads
    assert sum(len(str(w.get_state())) for w in _everything(panel)) < 60_000  # what a saved notebook would hold


def _everything(widget: Any) -> list[Any]:
    return [widget, *(found for child in getattr(widget, "children", ()) for found in _everything(child))]


def test_every_control_has_a_name(panel: TrainingPanel) -> None:
    panels = [panel, AdaptationPanel(small(), WORLD), ChatPanel(small(), WORLD), GradientMicroscope(small(), WORLD)]
    for control in (w for p in panels for w in _everything(p) if hasattr(w, "description") or hasattr(w, "disabled")):
        if type(control).__name__ != "HTML":
            assert control.description.strip(), control


def test_training_panel_trains_and_draws(panel: TrainingPanel) -> None:
    panel._seen()
    panel.start()
    until(lambda: len(panel.records) >= 12)
    panel.pause()
    assert panel.session.wait(30)
    assert panel.state == "paused"
    assert len(panel.figure.data) == 12
    assert len(panel.figure.data[0]["x"]) == len(panel.records)
    assert panel.figure.data[0]["y"].dtype == np.float32
    assert "Bayes floor" in panel.says.value
    assert "paused" in panel.status.value
    assert panel.error.value == ""
    snapshot = panel.snapshot()
    before = {name: value.clone() for name, value in snapshot.phi().items()}
    panel.step()
    assert panel.session.wait(30)
    assert all(torch.equal(before[name], value) for name, value in snapshot.phi().items())
    panel.reset()
    assert panel.state == "idle"
    assert len(panel.figure.data[0]["x"]) == 0


def test_training_panel_controls_at_their_ends(panel: TrainingPanel) -> None:
    panel._seen()
    panel.step()
    assert panel.session.wait(30)
    for slider in (panel.steps_slider, panel.smooth_slider):
        default = slider.value
        for value in (slider.min, slider.max, default):
            slider.value = value
    for box in (panel.rate_slider, panel.learner_box, panel.shots_box):
        for value in (box.options[0], box.options[-1]):
            box.value = value[1] if isinstance(value, tuple) else value
    assert "take effect after Reset" in panel.hint.value
    assert panel.settings().inner_lr == 10
    panel.steps_slider.value = 0
    panel.shots_box.value = 0
    panel.reset()
    panel.step()
    assert panel.session.wait(30)
    assert (panel.state, panel.error.value) == ("paused", "")


def test_order_belongs_to_the_learner(panel: TrainingPanel) -> None:
    panel.order_box.value = 1
    assert panel.learner_box.value == "fomaml"
    panel.order_box.value = 2
    assert panel.learner_box.value == "maml"
    panel.learner_box.value = "reptile"
    assert panel.order_box.value == 1
    assert panel.order_box.disabled
    panel.learner_box.value = "meta_sgd"
    assert panel.order_box.value == 2
    assert TrainingPanel(WORLD, order=1).learner_box.value == "fomaml"


def test_a_learner_brings_a_rate_that_it_bears() -> None:
    panel = TrainingPanel(WORLD, learner="meta_sgd", inner_lr=0.001, inner_steps=1)
    panel.learner_box.value = "fomaml"
    assert panel.settings().inner_lr == 0.0005
    panel.learner_box.value = "reptile"
    assert panel.settings().inner_lr == 0.001
    panel.rate_slider.value = 0.01  # the reader's own choice stays
    panel.learner_box.value = "fomaml"
    assert panel.settings().inner_lr == 0.01


def test_divergence_is_shown(panel: TrainingPanel) -> None:
    panel.rate_slider.value = 10
    panel.steps_slider.value = 20
    panel.shots_box.value = 8
    panel._seen()
    panel.start()
    until(lambda: panel.state != "running")
    assert panel.session.wait(30)
    assert panel.state == "diverged"
    assert "diverged at step" in panel.error.value
    assert panel.error.layout.display == ""
    panel.reset()
    assert panel.error.layout.display == "none"


def test_an_older_error_does_not_follow_a_reset(panel: TrainingPanel) -> None:
    session = panel.session
    session.state, session.note = "error", "old trouble"
    panel._say()
    assert "old trouble" in panel.error.value
    session._worker = threading.Thread()  # as if the worker were still on its way out
    panel.reset()
    panel._say()  # its last words
    assert panel.error.value == ""
    session._worker = None
    panel.reset()
    assert panel.state == "idle"


@pytest.mark.parametrize(("wrong", "words"), [
    ({"inner_lr": -1}, "inner_lr: got -1"), ({"inner_lr": 0}, "inner_lr: got 0"),
    ({"inner_lr": 1e9}, "inner_lr: got 1000000000.0"), ({"inner_lr": float("nan")}, "inner_lr: got nan"),
    ({"inner_lr": "0.1"}, "inner_lr: got '0.1'"),
    ({"inner_steps": 2.5}, "inner_steps: got 2.5"), ({"shots": 33}, "shots: got 33"),
    ({"shots": True}, "shots: got True"), ({"learner": "mamel"}, "learner: got 'mamel'; choose one of maml"),
    ({"order": 3}, "order: got 3"), ({"seconds": 0}, "seconds: got 0"), ({"seed": 1.5}, "seed: got 1.5")])
def test_wrong_settings_are_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        TrainingPanel(WORLD, **wrong)


def test_a_missing_checkpoint_is_an_error_in_the_panel() -> None:
    panel = TrainingPanel(WORLD, start="nowhere.safetensors")
    panel.start()
    assert panel.session.wait(30)
    assert panel.state == "error"
    assert "nowhere.safetensors" in panel.error.value


def test_papermill_command_names_real_parameters(panel: TrainingPanel) -> None:
    panel.copy_button.click()
    command = panel.command_field.value
    assert command.startswith("papermill notebooks/05_meta_optimization.ipynb out.ipynb -p world restaurants.en")
    assert "-p learner maml -p inner_lr 0.0003 -p inner_steps 1 -p shots 1" in command
    notebook = notebooks_dir() / panel.notebook
    if notebook.exists():
        papermill = pytest.importorskip("papermill")
        known = set(papermill.inspect_notebook(str(notebook)))
        assert set(re.findall(r"-p (\w+)", command)) <= known


def test_settings_in_words() -> None:
    assert Settings(inner_steps=1, shots=1).text() == "maml with inner rate 0.0003, 1 inner step and 1 shot"


# The other panels ----------------------------------------------------------------------------------------------------


def test_adaptation_panel_at_its_ends() -> None:
    panel = AdaptationPanel(small(), WORLD, shots=4, most_steps=4)
    panel._seen()
    assert panel.result is None
    for shots in (0, 32, 4):
        panel.shots_slider.value = shots
        panel.adapt()
        assert panel.wait()
        assert panel.error.value == ""
        assert len(panel.result.support) == shots
        for step in (0, panel.steps_slider.max):
            panel.steps_slider.value = step
            assert f"after {step} inner step" in panel.says.value
            assert panel.figure.data[2]["x"].tolist() == [step]
    assert len(panel.result.loss) == 5
    first = panel.result.loss[0]
    assert first["total"] == pytest.approx(first["state"] + first["act"] + first["response"])
    assert "▼" in panel.chips.value
    panel.lexicon_button.value = True
    speaker = WORLD.task("test", 0, 0)
    assert f"zesty = {speaker.lexicon['food']['zesty']}" in re.sub("</?b>|✓", "", panel.lexicon.value)
    panel.next_turn()
    panel.next_speaker()
    assert panel.wait()
    assert panel.says.value.startswith("Speaker 1:")


def test_tokens_of_the_example_sum_to_its_loss() -> None:
    panel = AdaptationPanel(small(), WORLD, shots=4, most_steps=3)
    panel.adapt()
    assert panel.wait()
    turn = panel.result.query[0]
    for step, adapted in enumerate(panel.result.adapted):
        assert sum(one.loss[step] for one in panel._tokens) == pytest.approx(float(adapted.nll([turn]).sum()), abs=1e-3)


def test_adaptation_of_a_learner_that_is_not_there_yet(panel: TrainingPanel) -> None:
    adaptation = AdaptationPanel(panel, WORLD, shots=2)
    adaptation.adapt()
    assert adaptation.wait()
    assert "press Start in the training panel first" in adaptation.error.value
    panel.step()
    assert panel.session.wait(30)
    adaptation.adapt()
    assert adaptation.wait()
    assert adaptation.error.value == ""
    assert adaptation.result is not None


def test_chat_answers_twice_and_reports_unknown_words() -> None:
    chat = ChatPanel(small(), WORLD, shots=2)
    chat.suggestions.children[1].click()
    assert chat.wait()
    chat.entry.value = "Something ZESTY, xyzzy <b>"
    assert chat.wait()
    assert len(chat.history) == 2
    assert "never seen: xyzzy" in chat.says.value
    assert "<b>Something" in chat.columns.value
    assert "&lt;b&gt;" in chat.columns.value
    chat.entry.value = "something " * 100
    assert chat.wait()
    assert "tokens" in chat.error.value
    chat.next_speaker()
    chat.lexicon_button.value = True
    chat.say("hello there")
    assert chat.wait()
    assert chat.error.value == ""
    assert len(chat.history) == 1


def test_microscope_tells_second_order_from_first() -> None:
    result = GradientMicroscope(small(), WORLD, shots=2, query_turns=2).measure(directions=10)
    assert result["error"][outer_gradients.FULL] < 1e-6
    assert result["cosine"][outer_gradients.FD][outer_gradients.FULL] > 1 - 1e-6
    assert result["cosine"][outer_gradients.FD][outer_gradients.FIRST] < 0.999
    assert result["error"][outer_gradients.FIRST] > 1e-3
    assert result["megabytes"][outer_gradients.FULL] > result["megabytes"][outer_gradients.FIRST]


@pytest.mark.parametrize("name", ["fomaml", "reptile", "anil", "meta_sgd"])
def test_microscope_on_other_learners(name: str) -> None:
    result = GradientMicroscope(small(name), WORLD, shots=2, query_turns=2).measure(directions=3)
    assert result["error"][outer_gradients.FULL] < 1e-6


def test_microscope_without_inner_steps_and_on_the_wrong_learner() -> None:
    scope = GradientMicroscope(small(inner_steps=0), WORLD, shots=1, query_turns=2)
    scope._seen()
    scope.begin()
    assert scope.wait()
    assert scope.error.value == ""
    assert "nothing to differentiate through" in scope.says.value
    assert "cosine to finite differences" in scope.table.value
    other = GradientMicroscope(make_learner("prior", SIZE, Vocabulary.of(WORLD)), WORLD)
    other.begin()
    assert other.wait()
    assert "takes no inner gradient steps" in other.error.value
    with pytest.raises(ValueError, match="directions: got 0"):
        scope.measure(directions=0)

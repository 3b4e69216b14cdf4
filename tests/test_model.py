"""The dialogue model: causality, padding, tasks side by side, decoding, chat."""

from __future__ import annotations

import math

import pytest
import torch
from test_episodes import Source
from tiny import CONFIG, VOCABULARY, make_tasks, make_tiny

from metadialog_lite.decoding import Chat, Reply, decode, parse_reply, words_of
from metadialog_lite.episodes import ACT, EOS, PAD, SPECIALS, SYS, UNK, Vocabulary, encode_turns, stack_tasks
from metadialog_lite.model import DialogueModel, ModelConfig, untie_head
from metadialog_lite.turns import Turn


@pytest.fixture
def model() -> DialogueModel:
    return make_tiny("prior").model


def test_a_later_token_never_changes_an_earlier_prediction(model):
    tokens = encode_turns(make_tasks(1, 6)[0], VOCABULARY).tokens
    before = model(tokens)
    for place in range(1, tokens.shape[1]):
        changed = tokens.clone()
        changed[:, place] = (changed[:, place] + 3) % len(VOCABULARY)
        after = model(changed)
        assert torch.equal(after[:, :place], before[:, :place])
        assert not torch.equal(after[:, place], before[:, place])


def test_without_the_causal_mask_the_causality_test_would_go_red(model):
    tokens = encode_turns(make_tasks(1, 2)[0], VOCABULARY).tokens
    model.future.zero_()
    before = model(tokens)
    changed = tokens.clone()
    changed[:, -1] = (changed[:, -1] + 3) % len(VOCABULARY)
    assert not torch.equal(model(changed)[:, 0], before[:, 0])


def test_padding_does_not_matter(model):
    turns = make_tasks(1, 5)[0]
    short = model.nll(model.theta(), encode_turns(turns, VOCABULARY))
    long = model.nll(model.theta(), encode_turns(turns, VOCABULARY, length=24))
    alone = torch.cat([model.nll(model.theta(), encode_turns([turn], VOCABULARY)) for turn in turns])
    torch.testing.assert_close(short, long, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(short, alone, rtol=1e-12, atol=1e-12)


def test_nll_is_minus_log_softmax_summed_over_each_segment(model):
    batch = encode_turns(make_tasks(1, 4)[0], VOCABULARY)
    surprise = -model(batch.tokens).log_softmax(-1)[:, :-1].gather(-1, batch.tokens[:, 1:, None]).squeeze(-1)
    expected = torch.stack([(surprise * (batch.segment[:, 1:] == s)).sum(-1) for s in (1, 2, 3)], -1)
    torch.testing.assert_close(model.nll(model.theta(), batch), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        model.token_nll(model.theta(), batch).sum(-1), expected.sum(-1), rtol=1e-12, atol=1e-12
    )


def test_a_capability_that_a_source_lacks_costs_nothing(model):
    batch = encode_turns([Turn((), ("w1",), (), (), ("w2", "w3"))], VOCABULARY)
    state, act, response = model.nll(model.theta(), batch)[0].tolist()
    assert state == act == 0
    assert response > 0


def test_tasks_side_by_side_never_mix(model):
    """Stacked theta and stacked turns give what each task gives alone."""
    tasks = make_tasks(3, 4)
    stacked = stack_tasks(tasks, VOCABULARY)
    thetas = [{k: v * (1 + 0.1 * i) for k, v in model.theta().items()} for i in range(3)]
    together = model.nll({k: torch.stack([theta[k] for theta in thetas]) for k in thetas[0]}, stacked)
    for i, theta in enumerate(thetas):
        alone = model.nll(theta, encode_turns(tasks[i], VOCABULARY))
        torch.testing.assert_close(together[i], alone, rtol=1e-12, atol=1e-12)
    one = model.logits(model.theta(), stacked.tokens[0, 0])
    torch.testing.assert_close(one, model(stacked.tokens)[0, 0], rtol=1e-12, atol=1e-12)


def test_untying_the_head_changes_nothing_by_itself(model):
    tokens = encode_turns(make_tasks(1, 2)[0], VOCABULARY).tokens
    assert torch.equal(model.logits(untie_head(model.theta()), tokens), model(tokens))


def test_default_size_keeps_the_budget():
    config = ModelConfig(vocabulary=180)
    model = DialogueModel(config)
    outside = sum(p.numel() for name, p in model.named_parameters() if name != "embedding")
    assert outside == config.body_parameters <= 30_000


def test_a_fresh_model_knows_nothing():
    model = DialogueModel(CONFIG)
    nll = model.token_nll(model.theta(), encode_turns(make_tasks(1, 20)[0], VOCABULARY))
    assert abs(nll[nll > 0].mean().item() - math.log(len(VOCABULARY))) < 0.7


def test_seeds_decide_the_initialisation():
    first, same, other = (DialogueModel(CONFIG, seed).embedding for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"width": 0}, "width is 0"), ({"heads": 3}, "not a multiple of heads=3"), ({"layers": 1.5}, "whole number")],
)
def test_impossible_sizes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**{"vocabulary": 9, "attention": 8, **change})


def test_too_long_a_sequence_is_refused(model):
    with pytest.raises(ValueError, match="25 tokens exceeds max_length=24"):
        model(torch.zeros(1, 25, dtype=torch.long))


# ---- decoding and chat ----


def test_greedy_decoding_takes_the_most_probable_token(model):
    prompt = encode_turns(make_tasks(1, 1)[0], VOCABULARY).tokens[0, :6].tolist()
    [tail] = decode(model, model.theta(), [prompt])
    for i, token in enumerate(tail):
        scores = model(torch.tensor(prompt + tail[:i]))[-1].clone()
        scores[[PAD, UNK]] = -torch.inf
        assert token == int(scores.argmax())
    assert len(prompt) + len(tail) <= CONFIG.max_length
    if len(prompt) + len(tail) < CONFIG.max_length:
        assert int(model(torch.tensor(prompt + tail))[-1].argmax()) in (EOS, PAD, UNK)


def test_decoding_several_prompts_is_decoding_each(model):
    prompts = [[2, 9, 8, 3, 10, 2], [2, 9, 8, 3, 10, 11, 12, 2], [3, 7, 5]]
    assert decode(model, model.theta(), prompts) == [decode(model, model.theta(), [p])[0] for p in prompts]


def test_temperature_draws_and_a_seed_repeats_it(model):
    drawn = [decode(model, model.theta(), [[2, 9, 8, 3, 10, 2]], temperature=1.5, seed=s)[0] for s in range(5)]
    again = [decode(model, model.theta(), [[2, 9, 8, 3, 10, 2]], temperature=1.5, seed=s)[0] for s in range(5)]
    assert drawn == again
    assert len({tuple(tail) for tail in drawn}) > 1
    with pytest.raises(ValueError, match="temperature is -1"):
        decode(model, model.theta(), [[2]], temperature=-1)


def test_parsing_a_reply():
    w = VOCABULARY.encode
    prompt = [*w(["<state>"]), *w(["w1"])]
    full = [*w(["w1", "w2"]), ACT, *w(["w3"]), SYS, *w(["w4", "w5"])]
    assert parse_reply(prompt, full, VOCABULARY) == Reply(("w1", "w2"), ("w3",), ("w4", "w5"))
    assert parse_reply(prompt, w(["w1"]), VOCABULARY) == Reply(("w1",), (), ())
    assert parse_reply(w(["<usr>", "<sys>"]), w(["w4"]), VOCABULARY) == Reply((), (), ("w4",))


def test_words_of_typed_text():
    english = Vocabulary((*SPECIALS, "hello", ",", "a", "table", "?"))
    assert words_of("Hello, a pizza table?!", english) == ["hello", ",", "a", "pizza", "table", "?", "!"]
    chinese = Vocabulary((*SPECIALS, "市中心", "市", "中", "在", "，"))
    assert words_of("在市中心，吗", chinese) == ["在", "市中心", "，", "吗"]


class Echo:
    """Answers with a fixed state and remembers what it was asked."""

    def __init__(self, state: tuple[str, ...]) -> None:
        self.state, self.prompts = state, []

    def reply(self, prompt: Turn, temperature: float = 0.0, seed: int = 0) -> Reply:
        self.prompts.append(prompt)
        return Reply(self.state, ("w1",), ("w2", "w3"))


def test_chat_carries_its_own_state_and_reports_unknown_words():
    echo = Echo(("w5", "w6"))
    chat = Chat(echo, VOCABULARY, Source())
    reply = chat.say("w1 pizza W2")
    assert reply.unknown == ("pizza",)
    assert reply.text == "w2 w3"
    chat.say("w3")
    assert [prompt.previous_state for prompt in echo.prompts] == [("-", "-"), ("w5", "w6")]
    assert echo.prompts[0].user == ("w1", "pizza", "w2")
    chat.reset()
    assert chat.state == ("-", "-")
    assert chat.transcript == []


def test_chat_does_not_carry_a_malformed_state():
    chat = Chat(Echo(("w5",)), VOCABULARY, Source())
    chat.say("w1")
    assert chat.state == ("-", "-")


def test_chat_refuses_what_does_not_fit_and_goes_on():
    chat = Chat(make_tiny("prior").adapt([]), VOCABULARY, Source())
    with pytest.raises(ValueError, match=r"30 words cannot be answered, say it in fewer.*max_length is 24"):
        chat.say("w1 " * 30)
    with pytest.raises(ValueError, match="at least one word"):
        chat.say("  ")
    assert chat.transcript == []
    assert isinstance(chat.say("w1 w2"), Reply)


def test_chat_hears_the_end_of_a_long_message_and_says_so():
    class Cutting(Source):
        """A corpus: it makes prompts itself, and keeps the last three words of a long message."""

        def pieces(self, text: str) -> tuple[str, ...]:
            return tuple(text.split())

        def prompt(self, text: str) -> Turn:
            return Turn((), self.pieces(text)[-3:], (), (), ())

    echo = Echo(("w5", "w6"))
    chat = Chat(echo, VOCABULARY, Cutting())
    reply = chat.say("w1 w2 w3 w4 w5")
    assert echo.prompts[0].user == ("w3", "w4", "w5")
    assert reply.heard == "w3 w4 w5"
    assert chat.transcript[0][0] == "w1 w2 w3 w4 w5"
    assert chat.say("w1 w2").heard == ""
    with pytest.raises(ValueError, match="at least one word"):
        chat.say(" ")

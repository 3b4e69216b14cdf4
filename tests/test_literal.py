"""Meta-Data Generation read literally: a translator in front of a frozen model. Gradients, alignment, what stays."""

from __future__ import annotations

import pytest
import torch
from small import small, world
from test_gradients import largest_error
from test_meta_networks import assert_batched_equals_looped, shaken
from tiny import VOCABULARY, make_batches, make_tasks

from metadialog_lite.decoding import Reply
from metadialog_lite.episodes import encode_turns
from metadialog_lite.families.literal import ReadsGenerated, together
from metadialog_lite.training import TrainConfig, meta_train
from metadialog_lite.turns import Turn


def test_outer_gradient_is_the_derivative_of_the_outer_loss():
    """EQ-LIT-1 and EQ-LIT-2 against finite differences along 24 random unit directions, and each half on its own."""
    learner = shaken("literal")
    support, query = make_batches()
    gradient, _ = learner.outer_gradient(support, query)
    assert largest_error(learner, gradient, support, query) <= 1e-6
    for own in ("translate.", "soft."):
        assert largest_error(learner, gradient, support, query, own) <= 1e-6


def test_without_support_nothing_is_to_be_learned():
    """f reads the turn as it stands: the outer loss does not depend on g, and a training goes on over such a step."""
    learner = shaken("literal")
    support, query = make_batches(shots=0)
    gradient, losses = learner.outer_gradient(support, query)
    assert {name: float(value.abs().max()) for name, value in gradient.items()} == dict.fromkeys(learner.phi(), 0.0)
    assert losses.isfinite().all()
    records = list(meta_train(small("literal"), world(), TrainConfig("literal", steps=2, tasks=2, shots=(0,))))
    assert [record.warning for record in records] == [None, None]


def test_batched_equals_looped():
    assert_batched_equals_looped(shaken("literal"))


def test_theta_is_frozen_and_all_that_is_learned_is_g():
    """EQ-LIT-1: theta is the same before and after reading, and no outer gradient reaches it."""
    learner, turns = shaken("literal"), make_tasks(1, 4)[0]
    assert not any(name.startswith("model.") for name in learner.phi())
    adapted = learner.adapt(turns)
    for name, value in learner.model.theta().items():
        assert torch.equal(adapted.theta[name], value)
    query = make_tasks(1, 3, seed=9)[0]
    plain = learner.model.nll(learner.model.theta(), encode_turns(query, VOCABULARY)).detach()
    assert float((adapted.nll(query) - plain).abs().max()) > 1e-3
    torch.testing.assert_close(learner.adapt([]).nll(query), plain, rtol=1e-12, atol=1e-12)


def test_the_support_is_a_set():
    learner, turns = shaken("literal"), make_tasks(1, 5)[0]
    query = make_tasks(1, 3, seed=9)[0]
    there, back = (learner.adapt(some).nll(query) for some in (turns, turns[::-1]))
    torch.testing.assert_close(there, back, rtol=1e-10, atol=1e-12)
    assert float((there - learner.adapt(turns[:3]).nll(query)).abs().max()) > 1e-4


def test_a_translated_word_is_another_input_and_nothing_else():
    """With one word at each place of the translation and no soft words, f reads the turn with that word in it."""
    learner = shaken("literal", front=0)
    batch = encode_turns(make_tasks(1, 4)[0], VOCABULARY)
    data = learner.generate(learner.phi(), batch)
    embedding = learner.model.theta()["embedding"]
    said, other = VOCABULARY.encode(["w3", "w5"])
    words = embedding.clone()
    words[said] = embedding[other]
    model = ReadsGenerated(learner.model, data._replace(words=words))
    turn = Turn(("-", "w3"), ("w1", "w3", "w2"), ("w3", "-"), ("w3",), ("w4", "w3"))
    changed = turn._replace(user=("w1", "w5", "w2"))  # the word in states, act and response stays
    theta = learner.model.theta()
    torch.testing.assert_close(model.nll(theta, encode_turns([turn], VOCABULARY)),
                               learner.model.nll(theta, encode_turns([changed], VOCABULARY)), rtol=1e-12, atol=1e-12)


def test_soft_words_do_not_move_the_turn():
    """Places are counted from the markers: soft words that nobody attends to change nothing."""
    learner = shaken("literal")
    theta = {name: value.detach().clone() for name, value in learner.model.theta().items()}
    theta["layer1_key_value"].zero_()
    theta["layer0_key_value"].zero_()  # attention says nothing at all, so only places can differ
    batch = encode_turns(make_tasks(1, 3)[0], VOCABULARY)
    data = learner.generate(learner.phi(), batch)
    model = ReadsGenerated(learner.model, data._replace(words=theta["embedding"]))
    torch.testing.assert_close(model.nll(theta, batch), learner.model.nll(theta, batch), rtol=1e-10, atol=1e-10)


def test_alignment_counts_turns():
    """EQ-LIT-2: c_wv / (1 + n_w), c_wv / (1 + m_v) and what is taken, counted by hand."""
    turns = [Turn(("-", "-"), ("w1", "w2"), ("w9", "-"), ("w1",), ("w2",)),
             Turn(("w9", "-"), ("w2",), ("w9", "w8"), ("w1",), ("w2",)),
             Turn(("-", "-"), ("w1",), ("-", "w8"), ("w1",), ("w2",))]
    of_word, of_value, taken = together(encode_turns(turns, VOCABULARY), torch.zeros(len(VOCABULARY), 1))
    (one, two, eight, nine) = VOCABULARY.encode(["w1", "w2", "w8", "w9"])
    assert of_word[one, nine] == pytest.approx(1 / 3)  # said twice, once when w9 was new
    assert of_word[two, eight] == pytest.approx(1 / 3)
    assert of_value[one, nine] == pytest.approx(1 / 2)  # new once: in the second turn it is old
    assert of_value[one, eight] == pytest.approx(1 / 3)
    assert taken[nine].tolist() == taken[0].tolist()
    assert float(taken[one, nine]) == 0
    assert float(taken[0, eight]) == pytest.approx(2 / 3)
    assert not of_word[:, VOCABULARY.encode(["-"])[0]].any()


def test_counting_alone_finds_most_of_a_lexicon():
    """Before any training: the value that a heard word goes with is the most probable one for most words."""
    learner, task = small("literal"), world().task("test", 0, 0)
    support = task.support(16)
    of_word, of_value, _ = together(encode_turns(support, learner.vocabulary), learner.model.theta()["embedding"])
    best = (of_word + of_value).argmax(-1)
    heard = {word for turn in support for word in turn.user}
    meaning = {word: value for words in task.lexicon.values() for word, value in words.items() if word in heard}
    found = [learner.vocabulary.tokens[best[learner.vocabulary.encode([word])[0]]] for word in meaning]
    assert sum(a == b for a, b in zip(found, meaning.values(), strict=True)) >= 0.8 * len(meaning)


def test_what_a_person_reads():
    learner, task = small("literal"), world().task("test", 0, 0)
    found = learner.translations(task.support(8), ["zesty", "thanks"])
    assert list(found) == ["zesty", "thanks"]
    assert all(0.05 <= p <= 1 for best in found.values() for _, p in best)
    assert isinstance(learner.adapt(task.support(4)).reply(task.query(1)[0]), Reply)
    assert len(learner.trajectory(task.support(3))) == 4


def test_bad_sizes_get_a_clear_word():
    with pytest.raises(ValueError, match="front is 17"):
        shaken("literal", front=17)

"""An independent reference for the toy world: Bayes' rule by plain enumeration, on rendered tokens.

Nothing here is shared with ``metadialog_lite.world.bayes``, nor with the generator: sentences are put together
again from the spec's strings, dialogues are enumerated whole (also the turns that nobody sees), and nothing is
assumed about which latents the evidence leaves independent. For every combination of

    order of asking × lexicon of every slot × persona × template counts

the joint weight of (support tokens, query tokens) is summed over all dialogue plans (greeting, volunteered
slots, thanks), all goals, all misheard words and all sentences. Two things are used that hold by construction
of the *process*: turns of a dialogue share its plan and goal only, and a template habit is Dirichlet, so that
a sequence of templates with given counts has the Dirichlet-multinomial probability.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from metadialog_lite.turns import Turn
from metadialog_lite.world.spec import WorldSpec

ACTS = ("greet", "request", "confirm", "offer", "bye")
Outcome = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]  # state, act, response tokens


class Step(NamedTuple):
    kind: str  # "greet", "inform", "affirm" or "thank"
    before: frozenset[str]
    told: tuple[str, ...]

    @property
    def after(self) -> frozenset[str]:
        return self.before | set(self.told)


Plan = tuple[Step, ...]
Lexicon = dict[str, dict[str, str]]  # slot -> value -> word
Counts = tuple[tuple[str, int, int], ...]  # (act, template, times), sorted


class BruteForce:
    """Enumerates a world. ``noise`` and the other knobs are those of the spec.

    ``use_prompt`` and ``use_length`` switch off one part of the evidence each; a test shows that both matter.
    """

    def __init__(self, spec: WorldSpec, use_prompt: bool = True, use_length: bool = True):
        self.spec, self.use_prompt, self.use_length = spec, use_prompt, use_length
        self.names = tuple(spec.slots)
        self.knobs = spec.knobs
        self.orders = list(itertools.permutations(self.names))
        self.lexicons: list[Lexicon] = [dict(zip(self.names, choice, strict=True)) for choice in itertools.product(*(
            [dict(zip(slot.values, words, strict=True)) for words in itertools.permutations(slot.words)]
            for slot in spec.slots.values()))]
        self.personas = [dict(zip(spec.persona, facts, strict=True))
                         for facts in itertools.product(*spec.persona.values())]
        self.goals = [dict(zip(self.names, goal, strict=True))
                      for goal in itertools.product(*(slot.values for slot in spec.slots.values()))]
        self.plans = {order: list(self._plans(order)) for order in self.orders}
        self.user_probability = cache(self._user_probability)
        self.one_dialogue = cache(self._one_dialogue)
        self.phrases = cache(self._phrases)
        self.support_weights = cache(self._support_weights)
        self.query_turns = cache(self._query_turns)
        self.openings = cache(self._openings)
        self.turn_chances = cache(self._turn_chances)
        self.shown_templates = cache(self._shown_templates)
        self.style_probability = cache(self._style_probability)

    # --- the process, as DESIGN §2 and the docstrings tell it -------------------------------------------

    def _plans(self, order: tuple[str, ...]) -> Iterator[tuple[Plan, float]]:
        """All whole dialogues of a system that asks in ``order``, with their probability."""
        k = self.knobs
        everything, nothing = frozenset(self.names), frozenset[str]()
        for middle, p in self._informs(order, nothing):
            for greet, thank in itertools.product((False, True), repeat=2):
                q = p * (k.greet if greet else 1 - k.greet) * (k.thank if thank else 1 - k.thank)
                if q > 0:
                    yield (*([Step("greet", nothing, ())] * greet), *middle, Step("affirm", everything, ()),
                           *([Step("thank", everything, ())] * thank)), q

    def _informs(self, order: tuple[str, ...], filled: frozenset[str]) -> Iterator[tuple[Plan, float]]:
        missing = [s for s in order if s not in filled]
        if not missing:
            yield (), 1.0
            return
        for first in missing if not filled else missing[:1]:
            rest = [s for s in self.names if s in missing and s != first]  # mentioned in the order of the slots
            for extra in itertools.chain.from_iterable(itertools.combinations(rest, n) for n in range(len(rest) + 1)):
                v = self.knobs.volunteer
                p = v ** len(extra) * (1 - v) ** (len(rest) - len(extra)) / (1 if filled else len(missing))
                if p > 0:
                    step = Step("inform", filled, (first, *extra))
                    for tail, q in self._informs(order, step.after):
                        yield (step, *tail), p * q

    def _phrases(self, told: tuple[str, ...], heard: tuple[str, ...], opening: bool) -> Counter[tuple[str, ...]]:
        """Everything a user may say to tell ``heard`` words, each as often as there are ways to say it."""
        user, said = self.spec.user, []
        starts = user.open if opening else user.answer
        for choice in itertools.product(starts, *(self.spec.slots[s].say for s in told)):
            text = choice[0]
            for i, (phrase, word) in enumerate(zip(choice[1:], heard, strict=True)):
                link = "" if i == 0 else user.join[1] if i == len(told) - 1 else user.join[0]
                text += f" {link} {phrase.replace('{word}', word)}"
            said.append(tuple(text.split()))
        return Counter(said)

    def _user_probability(self, tokens: tuple[str, ...], step: Step, wanted: tuple[str, ...]) -> float:
        """p(user tokens | step, the words that mean the user's values), over misheard words and sentences."""
        if step.kind != "inform":
            options = [tuple(text.split()) for text in getattr(self.spec.user, step.kind)]
            return options.count(tokens) / len(options)
        total, noise = 0.0, self.knobs.word_noise
        for heard in itertools.product(*(self.spec.slots[s].words for s in step.told)):
            p = math.prod(1 - noise if h == w else noise / (len(self.spec.slots[s].words) - 1)
                          for s, h, w in zip(step.told, heard, wanted, strict=True))
            if p > 0:
                said = self.phrases(step.told, heard, not step.before)
                total += p * said[tokens] / sum(said.values())
        return total

    def act(self, step: Step, order: tuple[str, ...]) -> tuple[str, ...]:
        if step.kind != "inform":
            return ({"greet": "greet", "affirm": "offer", "thank": "bye"}[step.kind],)
        missing = [s for s in order if s not in step.after]
        return ("request", missing[0]) if missing else ("confirm",)

    def responses(self, act: tuple[str, ...], state: tuple[str, ...], persona: dict[str, str]) -> list[tuple[str, ...]]:
        """The rendered response of every template of the act."""
        fill = {**persona, **dict(zip(self.names, state, strict=True))}
        if act[0] == "request":
            fill["ask"] = self.spec.slots[act[1]].ask
        return [tuple(text.format(**fill).split()) for text in getattr(self.spec.system, act[0])]

    def state(self, filled: frozenset[str], goal: dict[str, str]) -> tuple[str, ...]:
        return tuple(goal[s] if s in filled else "-" for s in self.names)

    # --- the support ---------------------------------------------------------------------------------------

    def _support_weights(self, tokens: tuple[Any, ...]) -> dict[tuple[int, int, int, Counts], float]:
        """(order, lexicon, persona, template counts) -> p(all of it and the support's tokens), styles integrated."""
        weights: dict[tuple[int, int, int, Counts], float] = {}
        prior = 1 / (len(self.orders) * len(self.lexicons) * len(self.personas))
        for o, order in enumerate(self.orders):
            for (lexicon, persona, counts), p in self._stream(tokens, order).items():
                if p > 0:
                    weights[o, lexicon, persona, counts] = prior * p * self.style_probability(counts)
        return weights

    def _style_probability(self, counts: Counts) -> float:
        """p(one template sequence with these counts): Dirichlet-multinomial, act by act."""
        log_p, c = 0.0, self.knobs.style
        for act in ACTS:
            used = [n for a, _, n in counts if a == act]
            size = len(getattr(self.spec.system, act))
            log_p += math.lgamma(c * size) - math.lgamma(c * size + sum(used))
            log_p += sum(math.lgamma(c + n) - math.lgamma(c) for n in used)
        return math.exp(log_p)

    def _stream(self, turns: tuple[Any, ...], order: tuple[str, ...]) -> dict[tuple[int, int, Counts], float]:
        """Consecutive dialogues, the last one perhaps cut off; where each ends is summed over, not looked up."""
        if not turns:
            return {(lex, per, ()): 1.0 for lex in range(len(self.lexicons)) for per in range(len(self.personas))}
        total: dict[tuple[int, int, Counts], float] = defaultdict(float)
        for length in range(1, len(turns) + 1):
            head = self.one_dialogue(turns[:length], length == len(turns), order)
            if not head:
                continue
            by_latents = defaultdict(list)
            for (lex, per, counts), q in self._stream(turns[length:], order).items():
                by_latents[lex, per].append((counts, q))
            for (lex, per, counts), p in head.items():
                for others, q in by_latents[lex, per]:
                    total[lex, per, _merge(counts, others)] += p * q
        return total

    def _one_dialogue(self, turns: tuple[Any, ...], may_be_cut: bool,
                      order: tuple[str, ...]) -> dict[tuple[int, int, Counts], float]:
        """p(these turns are one dialogue, or begin one when ``may_be_cut`` | order, lexicon, persona), by templates."""
        total: dict[tuple[int, int, Counts], float] = defaultdict(float)
        for steps, p_steps in self.openings(order, len(turns), may_be_cut).items():
            pairs = list(zip(steps, turns, strict=True))
            if any(self.act(step, order) != turn[3] for step, turn in pairs):
                continue
            for goal in self.goals:
                if any(self.state(step.before, goal) != turn[0] or self.state(step.after, goal) != turn[2]
                       for step, turn in pairs):
                    continue
                spoken = [self._spoken(pairs, goal, lexicon) for lexicon in self.lexicons]
                shown = enumerate(self.shown_templates(turns))
                for (lex, p_user), (per, ways) in itertools.product(enumerate(spoken), shown):
                    for counts in ways if p_user > 0 else ():
                        total[lex, per, counts] += p_steps * p_user / len(self.goals)
        return dict(total)

    def _openings(self, order: tuple[str, ...], length: int, may_be_cut: bool) -> dict[Plan, float]:
        """The first ``length`` steps of a dialogue -> p(them | order), summed over whole dialogues."""
        chances: dict[Plan, float] = defaultdict(float)
        for plan, p_plan in self.plans[order]:
            if len(plan) == length or (may_be_cut and len(plan) > length):
                chances[plan[:length]] += p_plan
        return dict(chances)

    def _spoken(self, pairs: list[Any], goal: dict[str, str], lexicon: Lexicon) -> float:
        p = 1.0
        for step, turn in pairs:
            p *= self.user_probability(turn[1], step, tuple([lexicon[s][goal[s]] for s in step.told]))
            if p == 0.0:
                return p
        return p

    def _shown_templates(self, turns: tuple[Any, ...]) -> list[list[Counts]]:
        """For each persona all ways to assign templates to the responses that give these very tokens."""
        ways = []
        for persona in self.personas:
            fitting = []
            for turn in turns:
                rendered = self.responses(turn[3], turn[2], persona)
                fitting.append([(turn[3][0], t) for t, tokens in enumerate(rendered) if tokens == turn[4]])
            ways.append([_counts(choice) for choice in itertools.product(*fitting)])
        return ways

    # --- the query turn ----------------------------------------------------------------------------------------

    def joint(self, support: Sequence[Turn], prompt: Turn) -> dict[Outcome, float]:
        """Every possible (state, act, response) -> p(support, prompt, it), the prompt's turn being chosen uniformly."""
        weights = self.support_weights(tuple(turn[:5] for turn in support))
        by_order: dict[int, list[tuple[int, int, Counts, float]]] = defaultdict(list)
        for (o, lex, per, counts), w in weights.items():
            by_order[o].append((lex, per, counts, w))
        urn = cache(lambda counts, act, t: self.style_probability(_merge(counts, ((act, t, 1),)))
                    / self.style_probability(counts))
        result: dict[Outcome, float] = defaultdict(float)
        for o, rows in by_order.items():
            outcomes = self.query_turns(prompt[:2], self.orders[o])
            for lex, per, counts, w in rows:
                for (state, act), per_lexicon in outcomes.items():
                    if not per_lexicon[lex]:
                        continue
                    for t, response in enumerate(self.responses(act, state, self.personas[per])):
                        result[state, act, response] += w * per_lexicon[lex] * urn(counts, act[0], t)
        return dict(result)

    def _query_turns(self, prompt: Any, order: tuple[str, ...]) -> dict[Any, list[float]]:
        """(state, act) -> for each lexicon p(prompt, state, act | order, lexicon), over whole dialogues."""
        total: dict[Any, list[float]] = defaultdict(lambda: [0.0] * len(self.lexicons))
        orders = [order] if self.use_prompt else self.orders
        for step, p_turn in ((step, p) for o in orders for step, p in self.turn_chances(o).items()):
            for goal in self.goals:
                if self.state(step.before, goal) != prompt[0]:
                    continue
                row = total[self.state(step.after, goal), self.act(step, order)]
                for lex, lexicon in enumerate(self.lexicons):
                    wanted = tuple([lexicon[s][goal[s]] for s in step.told])
                    row[lex] += p_turn * self.user_probability(prompt[1], step, wanted) / len(self.goals)
        if not self.use_prompt:  # the mistake: each order counts the same, however well it explains the prompt
            mass = sum(map(sum, total.values()))
            return {key: [x / mass for x in row] for key, row in total.items()}
        return {key: row for key, row in total.items() if any(row)}

    def _turn_chances(self, order: tuple[str, ...]) -> dict[Step, float]:
        """Step -> p(it is the uniformly chosen turn of a dialogue | order), summed over whole dialogues."""
        chances: dict[Step, float] = defaultdict(float)
        for plan, p_plan in self.plans[order]:
            for step in plan:
                chances[step] += p_plan / len(plan) if self.use_length else p_plan
        return dict(chances)

    def nll(self, joint: dict[Outcome, float], turn: Turn) -> tuple[float, float, float]:
        """−ln p of the turn's state, act and response, each given what stands before it."""
        masses = [sum(p for outcome, p in joint.items() if outcome[:n] == turn[2:2 + n]) for n in range(4)]
        state, act, response = (math.log(a / b) for a, b in itertools.pairwise(masses))
        return state, act, response


def _counts(choice: Sequence[tuple[str, int]]) -> Counts:
    return tuple(sorted((act, t, n) for (act, t), n in Counter(choice).items()))


def _merge(a: Counts, b: Counts) -> Counts:
    both: Counter[tuple[str, int]] = Counter()
    for act, t, n in (*a, *b):
        both[act, t] += n
    return tuple(sorted((act, t, n) for (act, t), n in both.items()))

"""An independent reference for the toy world: Bayes' rule by plain enumeration, on rendered tokens.

Nothing here is shared with ``metadialog_lite.world.bayes``, nor with the generator: ``brute_process.py`` tells the
process again, dialogues are enumerated whole (also the turns that nobody sees), and nothing is assumed about
which latents the evidence leaves independent. For every combination of

    order of asking × lexicon of every slot × persona × template counts

the joint weight of (support tokens, query tokens) is summed over all dialogue plans (greeting, volunteered
slots, corrections, thanks), all goals and what corrections make of them, all misheard words and all sentences. Two
things are used that hold by construction of the *process*: turns of a dialogue share its plan and goal only, and a
template habit is Dirichlet, so that a sequence of templates with given counts has the Dirichlet-multinomial
probability.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from brute_process import Goal, Lexicon, Plan, Process, Step

from metadialog_lite.turns import Turn
from metadialog_lite.world.spec import WorldSpec

ACTS = ("greet", "request", "confirm", "offer", "bye")
Outcome = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]  # state, act, response tokens
Counts = tuple[tuple[str, int, int], ...]  # (act, template, times), sorted
Filled = tuple[tuple[frozenset[str], frozenset[str]], ...]  # for each turn the slots filled before and after
Path = tuple[tuple[Goal, Goal], ...]  # for each turn the goal before and after


class BruteForce(Process):
    """Enumerates a world. ``noise`` and the other knobs are those of the spec.

    ``use_prompt`` and ``use_length`` switch off one part of the evidence each; a test shows that both matter.
    """

    def __init__(self, spec: WorldSpec, use_prompt: bool = True, use_length: bool = True, inline: bool = True):
        super().__init__(spec, inline)
        self.use_prompt, self.use_length = use_prompt, use_length
        self.one_dialogue = cache(self._one_dialogue)
        self.support_weights = cache(self._support_weights)
        self.query_turns = cache(self._query_turns)
        self.openings = cache(self._openings)
        self.turn_chances = cache(self._turn_chances)
        self.changes = cache(self._changes)
        self.shown_templates = cache(self._shown_templates)
        self.style_probability = cache(self._style_probability)

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
        seen = tuple((self.filled(turn[0]), self.filled(turn[2])) for turn in turns)
        for steps, p_steps in self.openings(order, len(turns), may_be_cut).get(seen, {}).items():
            if any(self.act(step, order) != turn[3] for step, turn in zip(steps, turns, strict=True)):
                continue
            for path, p_path in self._paths(steps, turns):
                spoken = [self._spoken(steps, turns, path, lexicon) for lexicon in self.lexicons]
                shown = enumerate(self.shown_templates(turns))
                for (lex, p_user), (per, ways) in itertools.product(enumerate(spoken), shown):
                    for counts in ways if p_user > 0 else ():
                        total[lex, per, counts] += p_steps * p_path * p_user
        return dict(total)

    def filled(self, state: tuple[str, ...]) -> frozenset[str]:
        return frozenset(s for s, value in zip(self.names, state, strict=True) if value != "-")

    def _openings(self, order: tuple[str, ...], length: int, may_be_cut: bool) -> dict[Filled, dict[Plan, float]]:
        """The first ``length`` steps of a dialogue -> p(them | order), over whole dialogues, by what they fill."""
        chances: dict[Filled, dict[Plan, float]] = defaultdict(lambda: defaultdict(float))
        for plan, p_plan in self.plans[order]:
            if len(plan) == length or (may_be_cut and len(plan) > length):
                start = plan[:length]
                chances[tuple((step.before, step.after) for step in start)][start] += p_plan
        return dict(chances)

    def _paths(self, steps: Plan, turns: tuple[Any, ...]) -> Iterator[tuple[Path, float]]:
        """All goals, and what corrections make of them, that give the states seen."""
        def follow(goal: Goal, i: int) -> Iterator[tuple[Path, float]]:
            if i == len(steps):
                yield (), 1.0
            elif self.state(steps[i].before, goal) == turns[i][0]:
                for after, p in self.moves(goal, steps[i].corrected):
                    if self.state(steps[i].after, after) == turns[i][2]:
                        for rest, q in follow(after, i + 1):
                            yield ((goal, after), *rest), p * q

        for goal in self.goals:
            for path, p in follow(goal, 0):
                yield path, p / len(self.goals)

    def _spoken(self, steps: Plan, turns: tuple[Any, ...], path: Path, lexicon: Lexicon) -> float:
        p = 1.0
        for step, turn, (before, after) in zip(steps, turns, path, strict=True):
            p *= self.says(turn[1], step, before, after, lexicon)
            if p == 0.0:
                break
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
        for step, changes in (item for o in orders for item in self.turn_chances(o).items()):
            if step.before != self.filled(prompt[0]):
                continue
            for (before, after), p_turn in changes.items():
                if self.state(step.before, before) != prompt[0]:
                    continue
                row = total[self.state(step.after, after), self.act(step, order)]
                for lex, lexicon in enumerate(self.lexicons):
                    row[lex] += p_turn * self.says(prompt[1], step, before, after, lexicon)
        if not self.use_prompt:  # the mistake: each order counts the same, however well it explains the prompt
            mass = sum(map(sum, total.values()))
            return {key: [x / mass for x in row] for key, row in total.items()}
        return {key: row for key, row in total.items() if any(row)}

    def _turn_chances(self, order: tuple[str, ...]) -> dict[Step, dict[tuple[Goal, Goal], float]]:
        """Step -> (goal before, after) -> p(it is the uniformly chosen turn of a dialogue | order)."""
        chances: dict[tuple[Step, tuple[str, ...]], float] = defaultdict(float)
        for plan, p_plan in self.plans[order]:
            corrected: tuple[str, ...] = ()
            for step in plan:
                chances[step, corrected] += p_plan / len(plan) if self.use_length else p_plan
                corrected += (step.corrected,) if step.corrected else ()
        result: dict[Step, dict[tuple[Goal, Goal], float]] = defaultdict(lambda: defaultdict(float))
        for (step, corrected), p in chances.items():
            for change, q in self.changes(corrected, step.corrected).items():
                result[step][change] += p * q
        return dict(result)

    def _changes(self, earlier: tuple[str, ...], now: str) -> dict[tuple[Goal, Goal], float]:
        """(goal before, goal after) a turn that corrects ``now``, after turns that nobody saw corrected ``earlier``."""
        goals = dict.fromkeys(self.goals, 1 / len(self.goals))
        for slot in earlier:
            moved: dict[Goal, float] = defaultdict(float)
            for goal, p in goals.items():
                for after, q in self.moves(goal, slot):
                    moved[after] += p * q
            goals = moved
        return {(goal, after): p * q for goal, p in goals.items() for after, q in self.moves(goal, now)}

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

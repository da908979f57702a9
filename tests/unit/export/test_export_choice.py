"""Which rows are kept: repetitions, quotas of groups, difficulty, and what every step says of itself."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from export_traces import BAD, GOOD, LOOK, played, run_turn, submit_turn, trace
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from medcopilot.agent.render import ChatRenderer
from medcopilot.data.choose import difficulties, quotas
from medcopilot.data.funnel import Funnel
from medcopilot.data.repeats import SHINGLE, NearPrompts, work
from medcopilot.data.sft import SftOptions, sft_rows
from medcopilot.data.sources import Tokenized
from medcopilot.inventory.overlap import whole_grams


def choose(traces: list[Any], renderer: ChatRenderer, questions: dict[str, str] | None = None, **options: Any
           ) -> tuple[list[dict[str, Any]], Funnel]:
    funnel = Funnel()
    return sft_rows(traces, renderer, SftOptions(**options), funnel, questions), funnel


def test_every_step_says_what_went_in_and_out() -> None:
    funnel = Funnel()
    kept = funnel.keep("even", range(1500), lambda n: "odd" if n % 2 else "")
    kept = funnel.keep("small", kept, lambda n: "large" if n >= 10 else "", unit="pairs")
    assert kept == [0, 2, 4, 6, 8]
    assert [str(step) for step in funnel.filters] == ["even: 1,500 -> 750 episodes (odd 750)", "small: 750 -> 5 pairs (large 745)"]
    assert funnel.skipped == {"odd": 750, "large": 745}


def test_rows_out_of_a_step_go_into_the_next(renderer: ChatRenderer) -> None:
    traces = [trace(f"x{i}", LOOK, GOOD if i % 3 else BAD, task=f"t{i % 5}", question=f"Q{i % 5}?", score=float(i % 3 > 0),
                    category="ab"[i % 2]) for i in range(30)]
    rows, funnel = choose(traces, renderer, per_task=2, balance=["category"], cap=3, limit=5)
    counts = [(step.rows_in, step.rows_out) for step in funnel.filters]
    assert counts[0][0] == 30
    assert all(before[1] == after[0] for before, after in pairwise(counts))
    assert all(step.rows_in - step.rows_out == sum(step.dropped.values()) for step in funnel.filters)
    assert counts[-1][1] == len(rows)


@pytest.mark.parametrize(("temperature", "expected"), [
    (None, {"a": 19, "b": 10, "c": 1}),  # 10 each, but c has one and b ten: the rest is a's
    (1.0, {"a": 27, "b": 3, "c": 0}),  # 27.03, 2.70, 0.27: the largest remainder is rounded up
    (2.0, {"a": 22, "b": 7, "c": 1}),  # weights 10, 3.16, 1; c gives its one, 29 are shared 22.03 to 6.97
])
def test_quotas_by_hand(temperature: float | None, expected: dict[str, int]) -> None:
    assert quotas({"a": 100, "b": 10, "c": 1}, 30, temperature) == expected


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 60), min_size=1), st.integers(1, 200),
       st.one_of(st.none(), st.floats(1, 20)))
def test_quotas_add_up_and_ask_no_group_for_more_than_it_has(sizes: dict[str, int], limit: int, temperature: float | None) -> None:
    found = quotas(sizes, limit, temperature)
    assert sum(found.values()) == min(limit, sum(sizes.values()))
    assert all(0 <= found[name] <= size for name, size in sizes.items())
    assert all(found[one] >= found[other] - 1 for one in sizes for other in sizes if sizes[one] >= sizes[other])


def test_difficulty_is_how_often_a_task_was_solved() -> None:
    traces = [trace(f"{task}{i}", GOOD, task=task, score=float(mark == "+"))
              for task, marks in (("e", "++"), ("m", "+-"), ("h", "+--"), ("n", "--"), ("s", "+")) for i, mark in enumerate(marks)]
    assert difficulties(traces) == {"e": "easy", "m": "medium", "h": "hard", "n": "hard", "s": "single"}


def test_groups_are_capped_and_share_the_limit(renderer: ChatRenderer) -> None:
    traces = [trace(f"x{i}", GOOD, task=f"t{i}", question=f"Q{i}?", category="rare" if i < 3 else "common") for i in range(30)]
    rows, funnel = choose(traces, renderer, balance=["category"], limit=10)
    assert Counter(row["category"] for row in rows) == {"rare": 3, "common": 7}
    rows, _ = choose(traces, renderer, balance=["category"], limit=10, temperature=1)
    assert Counter(row["category"] for row in rows) == {"rare": 1, "common": 9}
    rows, funnel = choose(traces, renderer, balance=["category"], cap=5)
    assert Counter(row["category"] for row in rows) == {"rare": 3, "common": 5}
    assert funnel.skipped == {"cap": 22}


def test_difficulty_makes_groups_too(renderer: ChatRenderer) -> None:
    traces = [trace(f"x{i}{n}", GOOD if n == 0 or i < 8 else BAD, task=f"t{i}", question=f"Q{i}, {n}?",
                    score=float(n == 0 or i < 8)) for i in range(10) for n in range(3)]
    rows, _ = choose(traces, renderer, balance=["difficulty"], limit=6)
    assert Counter(row["difficulty"] for row in rows) == {"easy": 4, "hard": 2}


def test_balanced_choice_depends_on_the_seed_only(renderer: ChatRenderer) -> None:
    traces = [trace(f"x{i}", GOOD, task=f"t{i}", question=f"Q{i}?", category="ab"[i % 2]) for i in range(20)]
    options = {"balance": ["category"], "limit": 6}
    first, _ = choose(traces, renderer, seed=1, **options)
    assert choose(traces[::-1], renderer, seed=1, **options)[0] == first
    assert choose(traces, renderer, seed=2, **options)[0] != first


@pytest.mark.parametrize("bad", [{"balance": ["category"]}, {"temperature": 2, "limit": 5}, {"balance": ["length"], "cap": 3},
                                 {"near": 0}, {"near": 1.5}, {"temperature": 0.5, "limit": 5, "balance": ["category"]}])
def test_options_without_a_meaning_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SftOptions(**bad)


def test_of_one_task_the_same_work_is_kept_once(renderer: ChatRenderer) -> None:
    first = played("a", run_turn("x = 1 + 2"), submit_turn(answer=3))
    spaced = played("b", run_turn("x=1+2  # the sum"), submit_turn(answer=3))
    other = played("c", run_turn("x = 2 + 1"), submit_turn(answer=3))
    elsewhere = played("d", run_turn("x = 1 + 2"), submit_turn(answer=3), task="t2", question="Another?")
    assert work(first) == work(spaced) != work(other)
    rows, funnel = choose([first, spaced, other, elsewhere], renderer)
    assert len(rows) == 3
    assert funnel.skipped == {"same_program": 1}
    assert {row["task_id"] for row in rows} == {"t1", "t2"}
    assert len(choose([first, spaced, other, elsewhere], renderer, same_program=True)[0]) == 4


def test_near_equal_prompts_of_other_tasks_are_left_out(renderer: ChatRenderer) -> None:
    base = "how many patients of the ward had a fever above 38 degrees in the first week of march"
    questions = {"t1": base, "t2": base.replace("march", "april"), "t3": base.replace("patients", "nurses"),
                 "t4": "list all drugs that were given to patient 17 on the day before the operation"}
    traces = [trace(f"{task}{i}", *[LOOK] * i, GOOD, task=task, question=text)
              for task, text in questions.items() for i in range(2)]
    rows, funnel = choose(traces, renderer, questions, near=0.6)
    assert len(rows) == 4  # both episodes of the two tasks that are left
    assert funnel.skipped == {"near_prompt": 4}
    assert len({row["task_id"] for row in rows} & {"t1", "t2", "t3"}) == 1
    assert len(choose(traces, renderer, questions, near=1.0)[0]) == 8


@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=9).map(" ".join), min_size=1, max_size=12),
       st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_near_prompts_are_those_of_comparing_all_pairs(texts: list[str], threshold: float) -> None:
    questions = {f"t{i}": text for i, text in enumerate(texts)}
    episodes = [Tokenized(trace(f"x{i}", GOOD, task=task), [], [], (), False) for i, task in enumerate(questions)]
    check = NearPrompts(episodes, questions, threshold)
    found = [not check(episode) for episode in episodes]
    kept: list[set[int]] = []
    expected = []
    for text in texts:
        own = set(whole_grams(text, SHINGLE).tolist())
        expected.append(not any(len(own & other) / len(own | other) >= threshold - 1e-12 for other in kept))
        if expected[-1]:
            kept.append(own)
    assert found == expected

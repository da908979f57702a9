"""Loops: what counts as the same turn, hand cases for each period, and the detector against the definition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.loops import LONGEST_PERIOD, LoopDetector, Step, find_loops, normal_program


def steps(letters: str) -> list[Step]:
    return [Step("code_execution", f"print('{letter}')", letter, "python") for letter in letters]


def by_definition(letters: str) -> dict[int, int]:
    """A turn loops with period p when it lies in p consecutive turns that equal the p turns before them."""
    found: dict[int, int] = {}
    for period in range(LONGEST_PERIOD, 0, -1):
        for start in range(period, len(letters) - period + 1):
            if letters[start : start + period] == letters[start - period : start]:
                found.update(dict.fromkeys(range(start, start + period), period))
    return found


@pytest.mark.parametrize(("letters", "loops"), [
    ("", {}), ("a", {}), ("abc", {}), ("aba", {}),  # going back to a is no loop before b follows again
    ("aa", {1: 1}), ("aaa", {1: 1, 2: 1}), ("baac", {2: 1}),
    ("abab", {2: 2, 3: 2}), ("ababa", {2: 2, 3: 2, 4: 2}), ("abcabc", {3: 3, 4: 3, 5: 3}), ("abcab", {}),
    ("abcdabcd", {4: 4, 5: 4, 6: 4, 7: 4}), ("abcdeabcde", {}),  # period 5 is beyond the longest
    ("aaaa", {1: 1, 2: 1, 3: 1}), ("aabaab", {1: 1, 3: 3, 4: 1, 5: 3}),
])
def test_hand_cases(letters: str, loops: dict[int, int]) -> None:
    assert find_loops(steps(letters)) == loops


@given(st.text("abc", max_size=24))
def test_the_detector_agrees_with_the_definition_after_every_turn(letters: str) -> None:
    detector, before = LoopDetector(), set()
    for i, step in enumerate(steps(letters)):
        said = detector.add(step)
        assert detector.loops == by_definition(letters[: i + 1])
        assert said == detector.loops.get(i, 0)
        assert before <= set(detector.loops)  # what loops goes on looping
        before = set(detector.loops)


@given(st.text("abc", max_size=12), st.integers(0, 5))
def test_other_turns_before_a_rollout_only_shift_its_loops(letters: str, count: int) -> None:
    before = [Step("request_info", str(i), "") for i in range(count)]
    assert find_loops([*before, *steps(letters)]) == {turn + count: period for turn, period in find_loops(steps(letters)).items()}


@settings(deadline=None)
@given(before=st.integers(0, 6), period=st.integers(1, LONGEST_PERIOD), times=st.integers(2, 4), after=st.integers(0, 6),
       cut=st.integers(0, LONGEST_PERIOD - 1),
       layout=st.sampled_from(["print({})", "print( {} )", "print({})  # so", "print({},)"]))
def test_every_planted_loop_is_found_and_nothing_else(before: int, period: int, times: int, after: int, cut: int,
                                                      layout: str) -> None:
    def step(number: int, form: str = "print({})", space: str = " ") -> Step:
        return Step("code_execution", form.format(number), f"row{space}{number}", "python")

    block = [step(100 + i) for i in range(period)]
    again = [step(100 + i, layout, "\n ") for i in range(period)]
    planted = [*block, *again * (times - 1), *again[: cut % period]]
    rollout = [*(step(i) for i in range(before)), *planted, *(step(200 + i) for i in range(after))]
    assert find_loops(rollout) == dict.fromkeys(range(before + period, before + len(planted)), period)


@given(st.lists(st.text(max_size=20), unique=True, max_size=12))
def test_observations_that_differ_never_loop(observations: list[str]) -> None:
    shown = [f"{i} {text}" for i, text in enumerate(observations)]
    assert find_loops(Step("terminal", "date", text) for text in shown) == {}


@pytest.mark.parametrize(("left", "right", "language"), [
    ("x = 1\nprint(x)", "x=1 # one\n\nprint( x )", "python"),
    ("print('a')", 'print("a")', "python"),
    ("def broken(:\n  x", "def  broken(:\n\tx", "python"),
    ("SELECT a , b\nFROM t;", "select a,b from t", "sql"),
    ("ls  -l /data", "ls -l /data", ""),
])
def test_formatting_does_not_count(left: str, right: str, language: str) -> None:
    assert normal_program(left, language) == normal_program(right, language)


@pytest.mark.parametrize(("left", "right", "language"), [
    ("print('a b')", "print('a  b')", "python"),
    ("if x:\n  y()\nz()", "if x:\n  y()\n  z()", "python"),
    ("x = 1", "x = 1.0", "python"),
    ("select 'A'", "select 'a'", "sql"),
    ("select a b", "select ab", "sql"),
])
def test_meaning_does(left: str, right: str, language: str) -> None:
    assert normal_program(left, language) != normal_program(right, language)


def test_action_program_and_observation_must_all_be_the_same() -> None:
    turn = Step("code_execution", "print(1)", "<object at 0x7f0011223344>", "python")
    assert find_loops([turn, turn._replace(observation=" <object  at 0x7fffaabbccdd>\n")]) == {1: 1}
    for other in (turn._replace(action="debugging"), turn._replace(program="print(2)"), turn._replace(observation="2")):
        assert find_loops([turn, other]) == {}


@given(st.text(max_size=60), st.sampled_from(["python", "sql", ""]))
def test_any_text_has_a_normal_form(program: str, language: str) -> None:
    assert normal_program(program, language) == normal_program(f"{program}", language)
    assert find_loops([Step("x", program, program, language)] * 2) == {1: 1}


def test_hostile_programs_do_not_break_it() -> None:
    for program in ("(" * 5000, "1" + "+1" * 20_000, "\0", "\ud800", "x" * 100_000):
        assert find_loops([Step("code_execution", program, "", "python")] * 2) == {1: 1}

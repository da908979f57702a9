"""Actions: one strict object, read tolerantly, refused precisely."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from env.actions import CodeExecution, Submit, dump_action, parse_action
from env.errors import ActionError

CODE = 'x = "a\\tb"\nprint(x)'
OBJECT = json.dumps({"action": "code_execution", "params": {"code": CODE}})


@pytest.mark.parametrize("text", [
    OBJECT,
    f"I will run this.\n```json\n{OBJECT}\n```\nThen I look at it.",
    f"Plan: {{compute}} then {OBJECT} done",
    'First {"note": "not an action"} and then ' + OBJECT,
])
def test_the_object_is_found_in_what_surrounds_it(text):
    action = parse_action(text)
    assert isinstance(action, CodeExecution)
    assert action.params.code == CODE


def test_triple_quotes_and_raw_newlines_are_read():
    assert parse_action('{"action":"code_execution","params":{"code":"""a = "1"\nprint(a)"""}}').params.code == 'a = "1"\nprint(a)'
    assert parse_action('{"action":"code_execution","params":{"code":"a\nb"}}').params.code == "a\nb"


@pytest.mark.parametrize(("alias", "name"), [("validate_code", "code_execution"), ("debug", "debugging")])
def test_names_of_the_released_code_are_aliases(alias, name):
    assert parse_action(json.dumps({"action": alias, "params": {"code": "1"}})).action == name


@pytest.mark.parametrize(("text", "kind", "part"), [
    ("just words", "format", "No JSON object"),
    ('{"code": "print(1)"}', "format", 'no "action"'),
    ('{"action": "submit", "params": {"answer": 1}', "format", "could not be read"),
    ('{"action": "fly", "params": {}}', "schema", "Unknown action"),
    ('{"action": 3}', "schema", "must be a string"),
    ('{"action": "code_execution", "params": {"cod": "1"}}', "schema", "params.code"),
    ('{"action": "code_execution", "params": {"code": "1", "speed": 2}}', "schema", "params.speed"),
    ('{"action": "submit", "params": {}}', "schema", "exactly one"),
    ('{"action": "submit", "params": {"answer": 1, "abstain": true}}', "schema", "not answer and abstain"),
    ('{"action": "submit", "params": {"abstain": false}}', "schema", "abstain"),
])
def test_refusals_say_what_to_change(text, kind, part):
    with pytest.raises(ActionError, match=part) as refused:
        parse_action(text)
    assert refused.value.kind == kind


def test_null_is_an_answer_and_silence_is_not():
    submission = parse_action('{"action":"submit","params":{"answer":null}}').params.submission()
    assert (submission.kind, submission.answer) == ("answer", None)


@given(st.text())
def test_any_text_is_an_action_or_a_typed_refusal(text):
    with contextlib.suppress(ActionError):
        assert parse_action(text).action


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_submitted_json_survives_the_round_trip(answer):
    action = parse_action(json.dumps({"action": "submit", "params": {"answer": answer}}))
    assert isinstance(action, Submit)
    assert parse_action(dump_action(action)).params.submission().answer == answer

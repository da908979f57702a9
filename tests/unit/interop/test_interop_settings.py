"""What an Inspect task takes, who may see its rows, and how actions are shown. None of it needs Inspect."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from env.errors import AgreementError, UserError
from medcopilot.cli.main import app
from medcopilot.interop.arena import open_arena, read_settings
from medcopilot.interop.text import action_text, block


def under_agreement(arena):
    arena.tasks = [task.model_copy(update={"licence": "PhysioNet-credentialed"}) for task in arena.tasks]
    return arena


@pytest.fixture(autouse=True)
def _no_permission(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(tmp_path / "agreements.yaml"))


def test_lists_come_as_a_word_or_with_commas():
    assert read_settings("treqs", {"slices": "seen,unseen", "without": "debugging", "turns": None}).slices == ("seen", "unseen")
    assert read_settings("treqs", {"without": ["debugging", "terminal"]}).without == ("debugging", "terminal")


@pytest.mark.parametrize("given", [{"split": "dev"}, {"limit": 0}, {"nonsense": 1}, {"without": "submit"}])
def test_a_setting_that_does_not_fit_is_named(given):
    with pytest.raises(UserError, match=rf"-T {next(iter(given))}="):
        read_settings("treqs", given)


def test_equal_settings_have_one_arena(arena, data_folder):
    assert open_arena(arena.settings.model_copy()) is arena


def test_a_task_of_other_settings_is_refused(arena):
    with pytest.raises(UserError, match="is not among the 6 of medcalcbench"):
        arena.task("0123456789abcdef")


@pytest.mark.parametrize(("provider", "url"), [("openai", None), ("vllm", ""), ("openai-api", "https://api.example.org/v1"),
                                               ("something-new", None)])
def test_rows_under_an_agreement_go_to_no_model_elsewhere(arena, provider, url):
    with pytest.raises(AgreementError, match="endpoint"):
        under_agreement(arena).check_model(provider, url)


@pytest.mark.parametrize(("provider", "url"), [("mockllm", None), ("hf", None), ("openai", "http://127.0.0.1:8000/v1")])
def test_rows_under_an_agreement_may_go_to_a_model_of_this_machine(arena, provider, url):
    under_agreement(arena).check_model(provider, url)


def test_rows_under_an_agreement_go_into_no_log(arena):
    with pytest.raises(AgreementError, match="log_export"):
        under_agreement(arena).check_log()


def test_a_recorded_permission_lets_them_pass(arena, tmp_path):
    permission = "{dataset: medcalcbench, exit: log_export, allowed: true, who: J, date: 2026-11-03}"
    (tmp_path / "agreements.yaml").write_text(f"- {permission}\n")
    under_agreement(arena).check_log()


@given(st.text(alphabet="`ab\n", max_size=40))
def test_no_text_closes_its_block(text):
    lines = block(text).splitlines()
    fence = re.match("`+", lines[0]).group()
    assert not any(line.strip().startswith(fence) for line in lines[1:-1])
    assert lines[-1] == fence


def test_a_program_stands_in_a_block_of_its_language():
    shown = action_text("submit", {"program": "select 1", "language": "sql"})
    assert shown == "**submit**\n\n```sql\nselect 1\n```"
    assert "```bash\nls\n```" in action_text("terminal", {"command": "ls"})
    assert '"answer": 3' in action_text("submit", {"answer": 3})


def test_the_command_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["inspect", str(tmp_path), "--out", str(tmp_path / "logs")])
    assert isinstance(result.exception, UserError)
    assert "medcopilot[inspect]" in str(result.exception)

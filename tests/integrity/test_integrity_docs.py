"""What the documentation tells people to type exists."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import click
import pytest
import typer.main

from env.datasets import dataset_names
from medcopilot.cli.main import app
from medcopilot.validation.matrix import markdown

ROOT = Path(__file__).resolve().parents[2]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_CODE = re.compile(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)


def commands(path: Path, program: str) -> list[str]:
    """Command lines of `program` in a document's code blocks and code spans."""
    lines = [line.strip() for block, span in _CODE.findall(path.read_text()) for line in (block or span).splitlines()]
    return [line.removeprefix("$ ").partition(" #")[0] for line in lines if line.removeprefix("$ ").startswith(program + " ")]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_documents_exist_and_are_not_empty():
    assert all(path.stat().st_size > (50 if path.parent.name == "reference" else 300) for path in DOCS)


def test_every_page_is_in_the_sites_navigation():
    named = re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text())
    assert sorted(named) == sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_make_targets_in_the_documents_exist(path):
    wanted = {line.split()[1] for line in commands(path, "make")}
    assert wanted <= targets()


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_commands_and_options_in_the_documents_exist(path):
    root = typer.main.get_command(app)
    for line in commands(path, "medcopilot"):
        command: click.Command = root
        words = shlex.split(line)[1:]
        if words[0].startswith("-") or "|" in words:
            continue
        while words and hasattr(command, "commands"):
            if words[0] not in command.commands and "show" in command.commands:  # which it means by default
                words.insert(0, "show")
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= known | {"--help"}, line


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_table_of_the_readme_is_the_audit():
    table = re.search(r"<!-- audit -->\n(.*?)<!-- end -->", (ROOT / "README.md").read_text(), re.DOTALL)
    audit = json.loads((ROOT / "docs/results/audit.json").read_text())
    assert table is not None
    assert table[1] == markdown(audit["datasets"])
    assert [row["dataset"] for row in audit["datasets"]] == dataset_names()
    assert audit["breaches"] == 0

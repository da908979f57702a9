"""Rows under a data-use agreement pass no exit without recorded permission."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from env.agreement import EXITS, check, is_loopback, read_permissions, restricted
from env.errors import AgreementError, UserError

ALLOW = "- {{dataset: {dataset}, exit: {exit}, allowed: {allowed}, who: Jane Doe, date: 2026-11-03, note: contract}}\n"


@pytest.fixture
def record(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "agreements.yaml"
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(path))
    return path


def test_the_exits_are_these():
    assert EXITS == ("endpoint", "second_model", "hub", "tracker", "report", "log_export", "cluster")


@pytest.mark.parametrize("exit", EXITS)
@pytest.mark.parametrize("licence", ["PhysioNet-credentialed", "physionet-restricted", "Stanford-EHRSHOT", "x-credentialed-1.5",
                                     "Hospital DUA", "eICU-DUA", ""])
def test_restricted_rows_pass_no_exit(record, exit, licence):
    with pytest.raises(AgreementError) as refusal:
        check(exit, [("mimic_iii", licence)])
    assert "mimic_iii" in str(refusal.value)
    assert str(record) in str(refusal.value)
    assert exit in str(refusal.value)


@pytest.mark.parametrize("exit", EXITS)
@pytest.mark.parametrize("licence", ["synthetic", "CC-BY-4.0", "ODbL-1.0", "Apache-2.0", "individual-terms"])
def test_open_rows_pass_every_exit(record, exit, licence):
    check(exit, [licence, ("d", licence), SimpleNamespace(dataset="d", licence=licence)])


@pytest.mark.parametrize("exit", EXITS)
def test_a_permission_opens_one_exit_for_one_dataset(record, exit):
    record.write_text(ALLOW.format(dataset="mimic_iii", exit=exit, allowed="true"))
    row = SimpleNamespace(dataset="mimic_iii", licence="PhysioNet-credentialed")
    check(exit, [row, row, "synthetic"])
    for other in EXITS:
        if other != exit:
            with pytest.raises(AgreementError):
                check(other, [row])
    with pytest.raises(AgreementError, match="eicu"):
        check(exit, [row, SimpleNamespace(dataset="eicu", licence="PhysioNet-credentialed")])


def test_a_recorded_refusal_permits_nothing(record):
    record.write_text(ALLOW.format(dataset="mimic_iii", exit="endpoint", allowed="false"))
    with pytest.raises(AgreementError):
        check("endpoint", [("mimic_iii", "PhysioNet-credentialed")])


TWICE = ("- {{dataset: {}, exit: endpoint, allowed: {}, who: Jane Doe, date: {}}}\n"
         "- {{dataset: {}, exit: endpoint, allowed: {}, who: Jane Doe, date: {}}}\n")


@pytest.mark.parametrize("entries", [
    ("mimic_iii", "true", "2026-01-01", "mimic_iii", "false", "2026-06-01"),
    ("mimic_iii", "false", "2026-06-01", "mimic_iii", "true", "2026-01-01"),  # the date counts, not the line
    ("mimic_iii", "true", "2026-06-01", "mimic_iii", "false", "2026-06-01"),
    ("PhysioNet-credentialed", "true", "2026-06-01", "mimic_iii", "false", "2026-01-01"),
    ("mimic_iii", "true", "2026-06-01", "PhysioNet-credentialed", "false", "2026-01-01")])
def test_a_withdrawn_permission_permits_nothing(record, entries):
    record.write_text(TWICE.format(*entries))
    with pytest.raises(AgreementError, match=r"agreements\.yaml says that it is not allowed"):
        check("endpoint", [("mimic_iii", "PhysioNet-credentialed")])


def test_a_permission_given_again_counts(record):
    record.write_text(TWICE.format("mimic_iii", "false", "2026-01-01", "mimic_iii", "true", "2026-06-01"))
    check("endpoint", [("mimic_iii", "PhysioNet-credentialed")])


def test_a_bare_tag_is_permitted_by_tag(record):
    with pytest.raises(AgreementError):
        check("hub", ["Stanford-EHRSHOT"])
    record.write_text(ALLOW.format(dataset="Stanford-EHRSHOT", exit="hub", allowed="true"))
    check("hub", ["Stanford-EHRSHOT"])


@pytest.mark.parametrize("text", [
    "allowed: yes", "- 3", "{", "- {dataset: d, exit: endpoint, allowed: true}",
    "- {dataset: d, exit: endpoint, allowed: 'true', who: a, date: 2026-01-01}",
    "- {dataset: d, exit: mail, allowed: true, who: a, date: 2026-01-01}",
    "- {dataset: d, exit: hub, allowed: true, who: a, date: 2026-01-01, x: 1}"])
def test_a_malformed_record_permits_nothing_and_says_so(record, text):
    record.write_text(text)
    with pytest.raises(UserError, match=r"agreements\.yaml"):
        check("endpoint", [("d", "PhysioNet-credentialed")])


def test_no_record_and_an_empty_record_hold_no_permission(record):
    assert read_permissions() == []
    record.write_text("\n")
    assert read_permissions() == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "http://localhost:1/", "https://[::1]:8000/v1", "http://127.9.9.9"])
def test_loopback_is_no_exit(record, url):
    assert is_loopback(url)
    check("endpoint", [("mimic_iii", "PhysioNet-credentialed")], url=url)
    check("second_model", [("mimic_iii", "PhysioNet-credentialed")], url=url)
    with pytest.raises(AgreementError):
        check("tracker", [("mimic_iii", "PhysioNet-credentialed")], url=url)


@pytest.mark.parametrize("url", ["https://api.example.com/v1", "http://127.0.0.1.example.com", "http://localhost@example.com/",
                                 "http://example.com/?http://127.0.0.1", "http://0.0.0.0:80", "http://[::1", "127.0.0.1", "",
                                 "http://127.0.0.1\\@example.com", "http://127.0.0.1\t.example.com", "http://localhost.example.com"])
def test_what_only_looks_like_loopback_is_an_exit(record, url):
    assert not is_loopback(url)
    with pytest.raises(AgreementError):
        check("endpoint", [("mimic_iii", "PhysioNet-credentialed")], url=url)


def test_an_unknown_exit_is_a_mistake_in_our_code(record):
    with pytest.raises(ValueError, match="unknown exit"):
        check("mail", ["synthetic"])


def test_words_that_contain_the_letters_are_not_agreements():
    assert not restricted("individual-consent")
    assert restricted("PhysioNetCredentialedHealthData1.5.0")

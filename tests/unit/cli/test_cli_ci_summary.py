"""CI's closing summary: skips with reasons, tests on real data, a last line that cannot look green by mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / ".ci" / "summary.py"
FIXTURES = '<properties><property name="fixtures" value="1"/></properties>'


def summary(folder, cases, parts="make test\t0\t12\n"):
    if cases is not None:
        (folder / "junit-test.xml").write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    (folder / "parts.tsv").write_text(parts)
    return subprocess.run([sys.executable, SCRIPT, folder, "34"], capture_output=True, text=True, check=False)


def case(name, inner=""):
    return f'<testcase classname="tests.unit" name="{name}">{inner}</testcase>'


def test_all_green(tmp_path):
    done = summary(tmp_path, [case("a"), case("b", FIXTURES), case("c", '<skipped message="no GPU on this machine"/>')])
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "2 passed, 0 failed, 1 skipped in 34s"
    assert "no GPU on this machine" in done.stdout
    assert "tests.unit::c" in done.stdout
    assert "1 ran, 0 skipped" in done.stdout


def test_a_failed_test_is_named(tmp_path):
    done = summary(tmp_path, [case("a"), case("b", '<failure message="x"/>')], parts="make test\t2\t12\n")
    assert done.returncode == 1
    assert "FAILED tests.unit::b" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 passed, 1 failed, 0 skipped in 34s"


def test_skipped_fixture_tests_are_counted_apart(tmp_path):
    done = summary(tmp_path, [case("a"), case("b", FIXTURES + '<skipped message="unset"/>')])
    assert "0 ran, 1 skipped" in done.stdout


def test_a_module_skipped_as_a_whole_says_why(tmp_path):
    skipped = "<skipped message=\"collection skipped\">('tests/x.py', 3, &quot;Skipped: could not import 'vllm'&quot;)</skipped>"
    done = summary(tmp_path, [case("a"), f'<testcase classname="" name="tests.x">{skipped}</testcase>'])
    assert "    could not import 'vllm'\n      tests.x\n" in done.stdout


def test_a_failed_part_without_a_failed_test_is_a_failure(tmp_path):
    done = summary(tmp_path, [case("a")], parts="make test\t2\t12\n")
    assert done.returncode == 1
    assert "1 failed" in done.stdout.splitlines()[-1]


def test_nothing_ran_is_a_failure(tmp_path):
    assert summary(tmp_path, None).returncode == 1


def test_a_torn_file_is_a_failure(tmp_path):
    (tmp_path / "junit-slow.xml").write_text("<testsuites><tests")
    done = summary(tmp_path, [case("a")])
    assert done.returncode == 1
    assert "junit-slow.xml is torn" in done.stdout

"""The closing summary of CI, from the JUnit files and `parts.tsv` of a log folder. Standard library only.

Promises: lists every part, every failure and every skip with its reason, says how many tests ran on real data, ends with a
line in pytest's closing style, and exits with 1 when a part or a test failed or when nothing ran at all.

    python .ci/summary.py LOG_FOLDER SECONDS
"""

from __future__ import annotations

import ast
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path


class Totals:
    """What happened, over all JUnit files."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed: list[str] = []
        self.skipped: dict[str, list[str]] = defaultdict(list)
        """Reason -> tests."""
        self.fixtures_ran = 0
        self.fixtures_skipped = 0
        self.files = 0

    def add(self, path: Path) -> None:
        """Count one JUnit file.

        Raises:
            ET.ParseError: the file is torn (the test run was killed).
        """
        self.files += 1
        for case in ET.parse(path).getroot().iter("testcase"):
            name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
            on_fixtures = any(item.get("name") == "fixtures" for item in case.iter("property"))
            skip = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                self.failed.append(name)
            elif skip is not None:
                self.skipped[_reason(skip)].append(name)
            else:
                self.passed += 1
            if on_fixtures:
                self.fixtures_skipped += skip is not None
                self.fixtures_ran += skip is None


def _reason(skip: ET.Element) -> str:
    """Why a test was skipped; a module skipped as a whole has its reason in the text, as (file, line, reason)."""
    message = skip.get("message", "no reason given")
    if message == "collection skipped" and skip.text:
        try:
            return str(ast.literal_eval(skip.text)[2]).removeprefix("Skipped: ")
        except (ValueError, SyntaxError, IndexError, TypeError):
            return skip.text.strip()
    return message


def read_parts(path: Path) -> list[tuple[str, int, int]]:
    """(name, exit code, seconds) of each part that ran."""
    if not path.exists():
        return []
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    return [(name, int(code), int(seconds)) for name, code, seconds in rows]


def main(folder: Path, seconds: int) -> int:
    totals, torn = Totals(), []
    for path in sorted(folder.glob("junit-*.xml")):
        try:
            totals.add(path)
        except ET.ParseError:
            torn.append(path.name)
    parts = read_parts(folder / "parts.tsv")
    print("\n== summary")
    for name, code, took in parts:
        print(f"  {'ok    ' if code == 0 else 'FAILED'} {name} ({took}s" + (f", exit code {code})" if code else ")"))
    for name in totals.failed:
        print(f"  FAILED {name}")
    for name in torn:
        print(f"  FAILED {name} is torn: its test run was killed")
    skipped = sum(map(len, totals.skipped.values()))
    print(f"  skips: {skipped}")
    for reason, names in sorted(totals.skipped.items()):
        print(f"    {reason}")
        for name in names:
            print(f"      {name}")
    print(f"  tests on real public data (MEDCOPILOT_FIXTURES): {totals.fixtures_ran} ran, {totals.fixtures_skipped} skipped")
    broken_parts = sum(code != 0 for _, code, _ in parts)
    failed = len(totals.failed) + len(torn)
    if not failed and (broken_parts or not totals.passed):
        failed = max(broken_parts, 1)  # lint, set-up or a script failed: the closing line must not look green
    print(f"{totals.passed} passed, {failed} failed, {skipped} skipped in {seconds}s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))

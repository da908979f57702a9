"""A checkout below /tmp: its libraries stay importable although every box has a /tmp of its own."""

from __future__ import annotations

from env.sandbox import layout
from env.sandbox.base import BoxSpec, Program
from env.sandbox.bwrap import BwrapBackend


def test_libraries_below_tmp_are_seen_elsewhere(tmp_path, monkeypatch):
    site = tmp_path / "venv" / "lib" / "site-packages"
    site.mkdir(parents=True)
    (site / "hospital.py").write_text("beds = 12\n")
    tmp_path.chmod(0o755)
    for parent in (site, *site.parents):
        if parent != tmp_path and tmp_path in parent.parents:
            parent.chmod(0o755)
    layout.bound_folders.cache_clear()
    monkeypatch.setattr(layout, "site_folders", lambda: (str(site),))
    try:
        backend = BwrapBackend()
        try:
            box = backend.open(BoxSpec())
            run = box.run(Program(source="import os, hospital\nanswer = [hospital.beds, os.listdir('/tmp')]"), want_value=True)
        finally:
            backend.close()
    finally:
        layout.bound_folders.cache_clear()
    assert run.value == [12, []], run.text


def test_other_paths_stay_where_they_are():
    assert layout.seen_as("/usr/lib/python3/dist-packages") == "/usr/lib/python3/dist-packages"
    assert layout.seen_as("/tmpfiles/site-packages") == "/tmpfiles/site-packages"
    assert layout.seen_as("/tmp/a/site-packages").endswith("/tmp/a/site-packages")
    assert not layout.seen_as("/tmp/a/site-packages").startswith("/tmp")

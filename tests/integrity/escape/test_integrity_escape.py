"""Every attack fails in every kind of box, and succeeds outside one: else it would show nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from attacks import ATTACKS, PRELUDE, Attack
from hosts import REPOSITORY, REST, Host

from env.sandbox.base import Backend, Box, BoxSpec, Execution, Mount, Program
from env.task import Limits

NARROW = Limits(exec_seconds=2.0, memory_mb=256, processes=24, file_mb=16)
WIDE = Limits(exec_seconds=10.0, memory_mb=8192, processes=4000, file_mb=4096)


def play(attack: Attack, box: Box, host: Host, limits: Limits) -> tuple[list[str], Execution]:
    """What the attack got: an empty list when nothing."""
    run = box.run(Program(source=PRELUDE + host.fill(attack.source)), limits, want_value=True)
    found = host.touched()
    if REST in run.text or REST in repr(run.value):
        found.append("the secret")
    if run.value:
        found.append(f"answer = {run.value!r}"[:200])
    if attack.late:
        time.sleep(0.6)
        found += list(box.read_files(["late"], 10))
    return found, run


def spec(host: Host) -> BoxSpec:
    return BoxSpec(mounts=(Mount(name="ehr.sqlite", host=host.database),), limits=NARROW)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_it_fails_in_a_box(attack: Attack, backend: Backend, host: Host) -> None:
    backend.open(spec(host)).close()  # the first box of any data may be made in another way than the later ones
    box = backend.open(spec(host))
    other = backend.open(spec(host))
    found, run = play(attack, box, host, NARROW)
    assert not found, run
    assert run.status in ("ok", "error", "timeout_soft", "timeout_hard", "oom", "killed", "output_limit"), run
    for later in (box, other, backend.open(spec(host))):
        assert later.run(Program(source="answer = 6 * 7"), want_value=True).value == 42
        later.close()


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.control], ids=lambda attack: attack.name)
def test_it_succeeds_without_one(attack: Attack, bare: Backend, host: Host) -> None:
    if attack.root and os.geteuid():
        pytest.skip("outside a box this attack works for root only")
    box = bare.open(spec(host).model_copy(update={"limits": WIDE}))
    found, run = play(attack, box, host, WIDE)
    box.close()
    assert found, run


def test_there_are_enough_and_the_page_lists_them() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 45
    rows = [line.split("|") for line in (REPOSITORY / "docs" / "security.md").read_text().splitlines() if line.startswith("| ")]
    listed = {row[1].strip(): row[2].strip() for row in rows}
    assert {attack.name: attack.layer for attack in ATTACKS}.items() <= listed.items()


def test_a_program_cannot_prepare_the_ground_for_the_next(backend: Backend, host: Host) -> None:
    box = backend.open(spec(host))
    poison = "import sys\nopen('/workspace/caught', 'a').write(__name__ + ' ')\n"
    source = "".join(f"open('/workspace/{name}.py', 'w').write({poison!r})\n"
                     for name in ("sitecustomize", "usercustomize", "encodings", "posix", "marshal", "sqlite3"))
    assert box.run(Program(source=source)).status == "ok"
    assert box.run(Program(source="answer = 1"), want_value=True).value == 1
    assert box.run(Program(source="select 1 as x", language="sql"), want_value=True).status == "ok"
    assert box.read_files(["caught"], 100) == {}
    box.close()


@pytest.mark.parametrize("trick", [
    "os.symlink('@folder@/keys.jsonl', 'out')", "os.symlink('/proc/self/environ', 'out')", "os.mkfifo('out')", "os.mkdir('out')",
    "os.symlink('/data/ehr.sqlite', 'out')", "open('out', 'w').truncate(1 << 24)", "os.link('/data/ehr.sqlite', 'out')"])
def test_collecting_files_follows_nothing_and_waits_for_nothing(trick: str, backend: Backend, host: Host) -> None:
    box = backend.open(spec(host))
    box.run(Program(source=PRELUDE + host.fill(trick)))
    started = time.monotonic()
    assert box.read_files(["out", "../../etc/passwd", "/data/ehr.sqlite"], 1 << 20) == {}
    assert time.monotonic() - started < 15
    box.close()


def test_boxes_of_one_host_share_nothing(backend: Backend, host: Host) -> None:
    one, two = backend.open(spec(host)), backend.open(spec(host))
    leave = ("open('/tmp/left', 'w'); open('/workspace/left', 'w'); open('/dev/shm/left', 'w')\n"
             "s = socket.socket(socket.AF_UNIX); s.bind(chr(0) + 'left'); s.listen()\nif os.fork() == 0: time.sleep(1)\n")
    one.run(Program(source=PRELUDE + leave))
    find = ("answer = [os.path.exists(f'{p}/left') for p in ('/tmp', '/workspace', '/dev/shm')]\n"
            "answer.append(socket.socket(socket.AF_UNIX).connect_ex(chr(0) + 'left') == 0)")
    assert two.run(Program(source=PRELUDE + find), want_value=True).value == [False] * 4
    assert one.run(Program(source=PRELUDE + find), want_value=True).value == [True, True, True, False]
    one.close()
    two.close()


def test_nothing_of_a_box_is_on_the_hosts_disk(backend: Backend, host: Host) -> None:
    box = backend.open(spec(host))
    name = f"mark-{os.getpid()}"
    box.run(Program(source=f"open('{name}', 'w').write('x'); open('/tmp/{name}', 'w').write('x')"))
    assert not any(Path(folder, name).exists() for folder in ("/tmp", "/workspace", "/dev/shm", str(host.folder)))
    box.close()

"""The image of docker/Dockerfile, built from a base made by apt and a folder of wheels, works without a network."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NAME = f"medcopilot-test-{uuid.uuid4().hex[:12]}"
BOXES = ("--security-opt", f"seccomp={ROOT / 'docker' / 'seccomp.json'}", "--security-opt", "systempaths=unconfined",
         "--security-opt", "apparmor=unconfined", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
"""What docs/docker.md says to start containers with."""
NEEDED = 12 << 30
"""Bytes of disk: two images, what the build leaves, the wheels."""


def run(*words, seconds=300, **options):
    return subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False, **options)


def inside(*words, options=BOXES, seconds=600):
    return run("docker", "run", "--rm", "--network", "none", *options, NAME, *words, seconds=seconds)


def require(done, what):
    if done.returncode:
        pytest.skip(f"{what}: {((done.stderr or done.stdout).strip().splitlines() or ['no message'])[-1]}")
    return done.stdout.strip()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Builds it; skips where there is no engine, no way to make a base, or no index to take the packages from."""
    if shutil.which("docker") is None:
        pytest.skip("no docker command")
    place = Path(require(run("docker", "info", "--format", "{{.DockerRootDir}}", seconds=30), "no Docker engine answers"))
    if place.exists() and shutil.disk_usage(place).free < NEEDED:
        pytest.skip("less than 12 GB of disk for images")
    wheels = tmp_path_factory.mktemp("wheels")
    base = f"{NAME}-base"
    require(run("docker/base", base, cwd=ROOT, seconds=600), "no base image could be made")
    try:
        require(run("docker/wheels", str(wheels), cwd=ROOT, env={**os.environ, "PYTHON": sys.executable}, seconds=900),
                "the packages could not be fetched")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(wheels)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        arguments = {"BASE": base, "TORCH_INDEX": "", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"http://127.0.0.1:{server.server_port}/"}
        built = run("docker", "build", "--network", "host", "--file", "docker/Dockerfile", "--tag", NAME,
                    *(word for item in arguments.items() for word in ("--build-arg", "=".join(item))), ".", cwd=ROOT, seconds=1800)
        server.shutdown()
        shutil.rmtree(wheels)
        assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
        yield NAME
    finally:
        run("docker", "image", "rm", "--force", NAME, base)


@pytest.fixture
def volumes():
    """Options that keep runs and data between containers, as docs/docker.md says."""
    names = {f"{NAME}-{folder}": f"/app/{folder}" for folder in ("runs", "data")}
    yield [word for name, folder in names.items() for word in ("--volume", f"{name}:{folder}")]
    run("docker", "volume", "rm", "--force", *names)


def test_boxes_work_in_it(image):
    doctor = inside("medcopilot", "sandbox", "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "backend zygote: works" in doctor.stdout
    assert inside("id", "-u").stdout.strip() != "0"
    programs = inside("python", "-m", "pytest", "-q", "-m", "not slow", "tests/sandbox/test_sandbox_programs.py")
    assert programs.returncode == 0, programs.stdout[-2000:]


def test_without_the_options_it_says_which(image):
    doctor = inside("medcopilot", "sandbox", "doctor", options=())
    assert doctor.returncode == 2
    said = " ".join(doctor.stdout.split())
    assert "seccomp=unconfined" in said
    assert "systempaths=unconfined" in said


def test_it_is_ready_and_sets_nothing_up(image):
    setup = inside("make", "setup")
    assert setup.returncode == 0, setup.stderr
    assert "Setting up" not in setup.stdout
    tasks = inside("medcopilot", "tasks")
    assert tasks.returncode == 0
    assert "mimic_iii" in tasks.stdout
    sets = inside("make", "packages")
    assert sets.returncode == 0, sets.stderr
    assert not inside("find", "/app", "-name", "*.whl").stdout


def test_the_demo_begins_and_goes_on_in_another_container(image, volumes):
    words = ("python", "-m", "medcopilot.demo", "--scale", "tiny", "--threads", "1", "--until", "expert trajectories")
    first = inside(*words, options=(*BOXES, *volumes))
    assert first.returncode == 0, first.stdout[-2000:] + first.stderr[-2000:]
    assert "no breach" in first.stdout
    again = inside(*words, options=(*BOXES, *volumes))
    assert again.returncode == 0, again.stderr[-2000:]
    assert again.stdout.count("done before") == 3


@pytest.mark.thorough
def test_no_attack_leaves_a_box_in_it(image):
    """The controls are left out: the container itself stops some of them."""
    attacks = inside("python", "-m", "pytest", "-q", "-m", "not slow", "-k", "not it_succeeds_without_one", "tests/sandbox",
                     "tests/integrity/escape", seconds=1200)
    assert attacks.returncode == 0, attacks.stdout[-2000:]


@pytest.mark.thorough
def test_the_demo_at_its_smallest(image):
    ran = inside("sh", "-c", "python -m medcopilot.demo --scale tiny --threads 1 && test -s runs/demo/report.html", seconds=1200)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]

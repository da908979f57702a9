"""The Docker backends: zygotes in hardened containers that many boxes share (`docker`), or a container a box (`docker-strict`).

Promises: containers without network, capabilities or new privileges, with a read-only root, under a uid of their own; their
image is an empty tree made here without a registry, and the system, the interpreter and the packages of this machine are bound
into it read-only, so programs meet the same versions as with the other backends. In the pooled container each box has the
namespaces, filter and limits of the backend `zygote`; in the strict one the container is the box. Containers end, and are removed
by the engine, when their supervisor hangs up, also when it is killed.
Does not cover: the engine itself (who may talk to it is as good as root); engines on other machines.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import secrets
import select
import shutil
import socket
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from env.errors import BoxDied, SandboxUnavailable
from env.sandbox import layout, packages
from env.sandbox.backend import WorkerBackend
from env.sandbox.base import BoxSpec, Program
from env.sandbox.cgroup import OVERHEAD
from env.sandbox.process import BOOT, SPARE_PROCESSES, Worker, boot_message
from env.sandbox.seccomp import container_profile
from env.sandbox.wire import Wire, WireError
from env.sandbox.zygote import INODES, Zygote, Zygotes, fork_worker, suited, zygote_config

IMAGE = "medcopilot-sandbox"
UID_BASE = 1_700_000_000
CONTROL = "/control"
START_SECONDS = 60.0
PIDS = 8192
_CONNECT = ("import os,socket\ns=socket.socket(socket.AF_UNIX)\ns.connect('/control/s')\nos.dup2(s.fileno(),3)\nd=s.detach()\n"
            "n=os.open('/dev/null',os.O_RDWR)\nos.dup2(n,0)\nos.dup2(n,6)\n")
_POOLED = _CONNECT + ("import sys\nr,w=os.pipe()\nos.dup2(r,6)\nos.dup2(w,1)\nfor f in (3,6):os.set_inheritable(f,True)\n"
                      "os.execv(sys.argv[1],sys.argv[1:])\n")
_STRICT = _CONNECT + "os.dup2(n,1)\ns=None\n" + BOOT


class Contained:
    """A container's process, by its pid on this machine."""

    def __init__(self, client: Any, container: str) -> None:
        self._client, self._container = client, container
        self._pid = int(client.api.inspect_container(container)["State"]["Pid"])

    @property
    def pid(self) -> int:
        """As we see it."""
        return self._pid

    def kill(self) -> None:
        """SIGKILL, by the engine."""
        from docker.errors import APIError

        with suppress(APIError):  # it has ended already
            self._client.api.kill(self._container)

    def wait(self) -> None:
        """Until it is dead."""
        try:
            handle = os.pidfd_open(self._pid)
        except OSError:
            return
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        waiting.poll(10_000)
        os.close(handle)

    def orphaned(self) -> bool:
        """Never: nothing of ours stands above it."""
        return False

    def inner(self) -> int | None:
        """The same process."""
        return self._pid or None


class DockerBackend(WorkerBackend):
    """Makes boxes in containers."""

    def __init__(self, *, strict: bool = False, runtime: str | None = None) -> None:
        """Find the engine and try one box.

        Args:
            strict: one container for each box, instead of one for all boxes with the same data.
            runtime: of the engine, e.g. `runsc`; None: its own default.

        Raises:
            SandboxUnavailable: no engine, or it does not start our container; the message holds the cure.
        """
        self.strict, self.runtime = strict, runtime
        self.name = self.tier = "docker-strict" if strict else "docker"
        self._client = _connect()
        self._uids = count(os.getpid() % 4096 << 12)
        self._folder = Path(tempfile.mkdtemp(prefix="medcopilot-docker-"))
        self.zygotes = Zygotes(self._hatch, at_once=True)
        super().__init__()
        try:
            self._image = build_image(self._client)
            self._try_out()
        except BaseException:
            self.close()
            raise

    def describe(self) -> dict[str, Any]:
        """See `Backend.describe`."""
        return {"backend": self.name, "tier": self.tier, "engine": self._client.version().get("Version", "unknown"),
                "runtime": self.runtime or "default", "image": self._image, "python": platform.python_version(),
                "sqlite": sqlite3.sqlite_version, "kernel": platform.release(), "root": os.geteuid() == 0,
                "packages": packages.versions(),
                "mode": "container", "seccomp": self._filter is not None, "uid": f"{UID_BASE}+n, one per container",
                "limits": "memory and processes by the container" if self.strict else
                          "rlimits per process; memory and processes of the box watched every 50 ms"}

    def _finish(self) -> None:
        self.zygotes.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _starter(self, spec: BoxSpec) -> Callable[[], Worker]:
        layout.check_mounts(spec, "root")
        return (lambda: self._alone(spec)) if self.strict else (lambda: self._warm(spec, "base"))

    def _suitor(self, spec: BoxSpec) -> Callable[[Program], Worker | None] | None:
        return None if self.strict else suited(lambda profile: self._warm(spec, profile))

    def _warm(self, spec: BoxSpec, profile: str) -> Worker:
        zygote = self.zygotes.get(spec, profile)
        if zygote is None:
            raise BoxDied("no room for another pooled container: close boxes, or use `docker-strict`")
        return fork_worker(zygote, self._config(spec), None)

    def _hatch(self, spec: BoxSpec, profile: str) -> Zygote:
        """A container with a zygote, in bubblewrap as everywhere; the container is one more wall around it."""
        bwrap = shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin")
        if bwrap is None:
            raise BoxDied("the pooled container needs bubblewrap on this machine: install it, or use `docker-strict`")
        arguments = [*layout.static_arguments("user", zygote=True), *layout.box_arguments(spec, "user")]
        inner = [bwrap, *arguments, "--", self._python, "-S", "-s", "-P", "-X", "utf8", "-c", BOOT]
        paths = [*layout.bound_folders(), *packages.site_folders(spec.packages), *(str(mount.host) for mount in spec.mounts)]
        binds = dict(zip(paths, paths, strict=True))
        options = self._options(binds, [f"seccomp={json.dumps(container_profile())}", "apparmor=unconfined"])
        options |= {"MaskedPaths": [], "ReadonlyPaths": []}  # boxes mount a /proc of their own, with these paths covered again
        command = [layout.interpreter(), "-S", "-s", "-P", "-c", _POOLED, *inner]
        control, process = self._launch(command, options)
        config = zygote_config(self._config(spec), spec, profile, self._filter_of(spec))
        with suppress(WireError):
            Wire(control).send_boot(boot_message("zygote", config))
        return Zygote(control, process)

    def _alone(self, spec: BoxSpec) -> Worker:
        """A container that is the box."""
        limits = spec.limits
        binds = {folder: layout.seen_as(folder) for folder in (*layout.bound_folders(), *packages.site_folders(spec.packages))}
        binds |= {str(mount.host): f"/data/{mount.name}" for mount in spec.mounts}
        options = self._options(binds, [])
        room = f"rw,nosuid,nodev,exec,size={limits.file_mb << 20},nr_inodes={INODES}"
        hidden = layout.hidden_folders(layout.bound_folders(), {mount.host.parent for mount in spec.mounts})
        memory = ((limits.memory_mb + limits.file_mb) << 20) + OVERHEAD
        covers = dict.fromkeys(map(layout.seen_as, hidden), "ro,size=4k,mode=0555")
        options |= {"Tmpfs": {**covers, "/workspace": room, "/tmp": room},
                    "ShmSize": limits.file_mb << 20, "Memory": memory, "MemorySwap": memory,
                    "PidsLimit": limits.processes + SPARE_PROCESSES}
        config = {**self._config(spec), "nonce": secrets.randbits(62), "alone": True, "filter": self._filter_of(spec) or b""}
        control, process = self._launch([self._python, "-S", "-s", "-P", "-X", "utf8", "-c", _STRICT], options)
        with suppress(WireError):
            Wire(control).send_boot(boot_message("zygote", config))
        return Worker(control, process, config)

    def _options(self, binds: Mapping[str, str], security: list[str]) -> dict[str, Any]:
        """What every container has, as the engine's API names it."""
        system = {path: path for path in layout.system_paths() if path not in binds}
        bound = [f"{host}:{inside}:ro" for host, inside in {**binds, **system}.items()]
        return {"Binds": bound, "NetworkMode": "none", "ReadonlyRootfs": True, "CapDrop": ["ALL"], "IpcMode": "private",
                "SecurityOpt": ["no-new-privileges", *security], "AutoRemove": True, "PidsLimit": PIDS,
                **({"Runtime": self.runtime} if self.runtime else {})}

    def _launch(self, command: list[str], options: dict[str, Any]) -> tuple[socket.socket, Contained]:
        """Start a container that connects to us.

        Raises:
            BoxDied: it did not.
        """
        from docker.errors import APIError

        folder = Path(tempfile.mkdtemp(dir=self._folder))  # ours alone: the container gets the folder within
        inner = folder / "c"
        inner.mkdir(mode=0o755)
        container = ""
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(inner / "s"))
                os.chmod(inner / "s", 0o666)
                listener.listen(1)
                listener.settimeout(START_SECONDS)
                options = {**options, "Binds": [*options["Binds"], f"{inner}:{CONTROL}:ro"]}
                uid = UID_BASE + next(self._uids) % (1 << 24)
                container = self._client.api.create_container(
                    self._image, command, user=f"{uid}:{uid}", environment=self._environment, working_dir="/workspace",
                    hostname="box", labels={"medcopilot": str(os.getpid())}, host_config=options)["Id"]
                self._client.api.start(container)
                process = Contained(self._client, container)
                control, _ = listener.accept()
        except (APIError, OSError) as error:
            said = _last_words(self._client, container)
            raise BoxDied(f"a container could not be started: {said or error}") from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return control, process

    def _try_out(self) -> None:
        worker = None
        try:
            worker = self._starter(BoxSpec())()
            run = worker.run(Program(source="answer = 1"), BoxSpec().limits, [], True)
            if run.value != 1:
                raise WireError(run.text or run.status)
        except (BoxDied, WireError) as error:
            raise SandboxUnavailable(f"the engine does not start our container ({error}): see `docker info`, and whether user "
                                     "namespaces are allowed in containers, or use `bwrap`") from None
        finally:
            if worker is not None:
                worker.kill()


def _connect() -> Any:
    """The engine that the environment names (DOCKER_HOST), or this machine's."""
    try:
        import docker
    except ImportError:
        raise SandboxUnavailable("the Docker backend needs a client: run `pip install medcopilot[docker]`") from None
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except Exception as error:  # the client raises its own errors, those of requests, and OSError
        raise SandboxUnavailable("no Docker engine answers: start it (`systemctl start docker`), join the group `docker`, or set "
                                 f"DOCKER_HOST ({str(error)[:200]})") from None
    return client


def build_image(client: Any = None) -> str:
    """The name of the image, built from `images/box.yaml` when it is not there: an empty tree, to be filled by binds.

    Raises:
        SandboxUnavailable: no engine answers.
    """
    client = client or _connect()
    plan = yaml.safe_load((Path(__file__).parent / "images" / "box.yaml").read_text(encoding="utf-8"))
    tree = io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w") as archive:
        for name, permissions in plan["folders"].items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, int(permissions, 8)
            archive.addfile(entry)
        for path, target in layout.links().items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    digest = hashlib.blake2b(tree.getvalue(), digest_size=6).hexdigest()
    tag = f"v{plan['version']}-{platform.machine()}-{digest}"
    if not client.images.list(f"{IMAGE}:{tag}"):
        client.api.import_image_from_data(tree.getvalue(), repository=IMAGE, tag=tag)
    return f"{IMAGE}:{tag}"


def _last_words(client: Any, container: str) -> str:
    """What a container that failed has said, and its removal."""
    from docker.errors import APIError

    if not container:
        return ""
    said = ""
    with suppress(APIError):
        said = client.api.logs(container, tail=5).decode("utf-8", "replace").strip()
    with suppress(APIError):
        client.api.remove_container(container, force=True)
    return said.splitlines()[-1] if said else ""

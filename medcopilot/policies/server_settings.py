"""How a policy uses vLLM servers: addresses, deadlines, weight sync."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from env.errors import UserError
from medcopilot.train.config import Config

SyncMode = Literal["none", "gloo", "nccl", "file", "reload", "lora"]


class ServerSettings(Config):
    """Options of `medcopilot.policies.vllm_server.VllmServerPolicy`."""

    urls: tuple[str, ...] = Field(min_length=1)
    """Addresses without `/v1`, e.g. `http://127.0.0.1:8000`. Under several ranks each rank takes its own share."""
    sync: SyncMode = "none"
    """How new weights reach the servers. `none`: they never change. `gloo` (CPU) and `nccl` (GPU): broadcast into the running
    server. `file`: safetensors in `folder`, through the same routes (these three must be the server's own backend, see
    `medcopilot serve --weight-sync`). `reload`: the same files, any server in development mode. `lora`: the adapter only, under
    a new name for each version."""
    folder: Path | None = None
    """Where weights are written for servers to read; must be the same path on all machines. None: a temporary folder."""
    snapshot: bool | None = None
    """Also write the weights of each sync to `folder`, so that a server that was restarted between two syncs is given them at
    once; without it such a server waits for the next sync. None: with `gloo` yes, with `nccl` no (a large model takes long)."""
    in_flight: int = Field(64, ge=1)
    """Requests at one server at once; further ones wait here."""
    connect_seconds: float = Field(5.0, gt=0)
    turn_seconds: float = Field(300.0, gt=0)
    """Deadline of one request, whatever the server does meanwhile."""
    attempts: int = Field(3, ge=1)
    """Requests for one turn, each on another server if there is one."""
    backoff_seconds: float = Field(0.2, ge=0)
    """Wait after a failed request; doubles each time."""
    wait_seconds: float = Field(60.0, ge=0)
    """How long a turn, or a sync, waits while no server can be used."""
    sync_seconds: float = Field(300.0, gt=0)
    """Deadline of each step of a sync."""
    probe_limit: float | None = Field(None, gt=0)
    """Largest difference between a served and a trained logprob of the probe batch, in nats. None: 0.01 where both sides compute
    in float32, else 1.0."""
    api_key_env: str = ""
    """Environment variable that holds the servers' key, if they want one."""

    @field_validator("urls")
    @classmethod
    def _addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
                raise ValueError(f"{url!r} is not a server's address: write it like http://127.0.0.1:8000 (without /v1)")
        if len(set(urls)) < len(urls):
            raise ValueError("an address is given twice")
        return tuple(url.rstrip("/") for url in urls)

    @property
    def writes(self) -> bool:
        """Whether each version's weights are written to `folder`."""
        return self.sync in ("file", "reload", "lora") or bool(self.sync == "gloo" if self.snapshot is None else self.snapshot)

    def share(self, rank: int | None = None, world: int | None = None) -> ServerSettings:
        """Only the servers of one rank: each server follows exactly one rank's weights.

        Args:
            rank: default: environment variable `RANK`, as launchers set it.
            world: number of ranks; default: `WORLD_SIZE`.

        Raises:
            UserError: there are more ranks than servers.
        """
        rank = int(os.environ.get("RANK", "0")) if rank is None else rank
        world = int(os.environ.get("WORLD_SIZE", "1")) if world is None else world
        if len(self.urls) < world:
            raise UserError(f"engine.servers.urls names {len(self.urls)} servers for {world} ranks: start one server per rank")
        return self.model_copy(update={"urls": self.urls[rank::world]})

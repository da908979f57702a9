"""Replies of a text endpoint, kept in a SQLite file: the same request is not paid for twice.

Promises: the key is the whole request (address, model, messages, sampling, seed) and nothing else; several processes may share a
file; a file that cannot be used is a user's error at the start, not a failure in mid-run. A cached reply is what the endpoint
once said: at temperature 0 as much as above it.
Does not cover: policies with token ids, whose replies depend on weights that the request does not name.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

from env.errors import UserError
from medcopilot.policies.base import ChatReply


class ResponseCache:
    """Request -> reply. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Open or create.

        Raises:
            UserError: not a file of ours, or not writable.
        """
        self.hits = 0
        self._guard = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=60.0, check_same_thread=False, isolation_level=None)
            self._database.execute("pragma journal_mode = wal")
            self._database.execute("create table if not exists reply(key blob primary key, text text, prompt_tokens int, "
                                   "completion_tokens int) without rowid")
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"{path} cannot be used as a cache of replies ({error}): delete it or choose another file") from None

    @staticmethod
    def key(url: str, body: dict[str, Any]) -> bytes:
        """BLAKE2b-128 of the request."""
        whole = json.dumps([url, body], sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(whole.encode(), digest_size=16).digest()

    def get(self, key: bytes) -> ChatReply | None:
        """The reply to this request, if it is known."""
        with self._guard:
            row = self._database.execute("select text, prompt_tokens, completion_tokens from reply where key = ?",
                                         (key,)).fetchone()
            self.hits += row is not None
        return ChatReply(text=row[0], prompt_tokens=row[1], completion_tokens=row[2]) if row else None

    def put(self, key: bytes, reply: ChatReply) -> None:
        """Keep a reply; the first one stays."""
        with self._guard:
            self._database.execute("insert or ignore into reply values (?,?,?,?)",
                                   (key, reply.text, reply.prompt_tokens, reply.completion_tokens))

    def close(self) -> None:
        self._database.close()

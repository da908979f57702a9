"""The one way out: a staged folder becomes one commit on the hub.

Promises: one commit or none, through huggingface_hub's own client; private unless the caller says public, and a repository that is
public already is refused when private was meant. Running the same again goes on: what the hub has already is not sent again, and a
tree that is there changes nothing. Server errors and lost connections are retried; every failure is one sentence. The token comes
from HF_TOKEN or the login of `hf auth login` and is in no message.
Does not cover: files on the hub that are not in the tree stay there, except weights of an older form, which would be loaded too.
Large files travel by Xet where hf_xet is installed, as the client decides; HF_HUB_DISABLE_XET=1 chooses plain LFS.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import httpx
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import disable_progress_bars, validate_repo_id
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from env.errors import InfrastructureError, UserError
from medcopilot.publish.tree import File

Kind = Literal["model", "dataset"]
ATTEMPTS = 5
_WEIGHTS = (".safetensors", ".bin", ".safetensors.index.json", ".bin.index.json")
_AGAIN = {408, 409, 412, 425, 429, 500, 502, 503, 504}
"""409 and 412: somebody else's commit came between."""


class Sent(NamedTuple):
    """What came of it."""

    address: str
    """Of the commit."""
    private: bool


class HubError(InfrastructureError, UserError):
    """The hub did not take it, though nothing is wrong here: the same command goes on."""


class _TryAgain(Exception):
    """What another attempt may cure; the words are for the person."""


def check_name(repo_id: str) -> str:
    """Refuse what cannot be a repository's name.

    Raises:
        UserError: it is not `owner/name`.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        repo_id = ""
    if repo_id.count("/") != 1:
        raise UserError("--repo-id must be OWNER/NAME, in letters, digits, '-', '_' and '.': e.g. my-lab/agent-7b")
    return repo_id


def upload(folder: Path, files: list[File], repo_id: str, *, kind: Kind = "model", public: bool = False, message: str = "",
           wait: Any = None, tell: Callable[[str], None] = lambda _: None) -> Sent:
    """Make the repository if need be, and put the files there in one commit.

    Args:
        files: of `folder`, all of them and no others.
        wait: tenacity's pause between attempts; default: exponential, a minute at most.
        tell: what is going on, for a person.

    Raises:
        UserError: no token, not allowed, no such owner, or a public repository where private was meant.
        HubError: the hub cannot be reached, or failed again and again.
    """
    check_name(repo_id)
    if not get_token():
        raise UserError("no Hugging Face token: log in with `hf auth login`, or set HF_TOKEN to a token with write access")
    if not sys.stderr.isatty():
        disable_progress_bars()
    api = HfApi(library_name="medcopilot")
    attempts = Retrying(stop=stop_after_attempt(ATTEMPTS), wait=wait or wait_exponential_jitter(multiplier=2, max=60),
                        retry=retry_if_exception_type(_TryAgain), before_sleep=lambda state: tell(_again(state)), reraise=True)
    try:
        for attempt in attempts:
            with attempt:
                return _attempt(api, folder, files, repo_id, kind, public, message or f"Upload {kind} with medcopilot")
    except _TryAgain as error:
        raise HubError(f"{repo_id}: {error}, {ATTEMPTS} times: run the same command again later; it goes on where it stopped"
                       ) from None
    raise AssertionError


def _again(state: RetryCallState) -> str:
    failed = state.outcome.exception() if state.outcome else None
    return f"{failed}: trying again"


def _attempt(api: HfApi, folder: Path, files: list[File], repo_id: str, kind: Kind, public: bool, message: str) -> Sent:
    try:
        api.create_repo(repo_id, repo_type=kind, private=not public, exist_ok=True)
        there = api.repo_info(repo_id, repo_type=kind)
        if not public and not there.private:
            raise UserError(f"{repo_id} exists on the hub and is public: add --public to publish there, make it private, or choose "
                            "another --repo-id")
        names = {file.path for file in files}
        stale = [entry.rfilename for entry in there.siblings or ()
                 if kind == "model" and "/" not in entry.rfilename and entry.rfilename.endswith(_WEIGHTS)
                 and entry.rfilename not in names]
        operations = [*(CommitOperationAdd(path_in_repo=file.path, path_or_fileobj=str(folder / file.path)) for file in files),
                      *(CommitOperationDelete(path_in_repo=name) for name in sorted(stale))]
        made = api.create_commit(repo_id, operations, commit_message=message, repo_type=kind)
        return Sent(str(made.commit_url), bool(there.private))
    except UserError:
        raise
    except OfflineModeIsEnabled:
        raise UserError("HF_HUB_OFFLINE is set, so nothing can be published: unset it") from None
    except Exception as error:  # the client wraps failed uploads in RuntimeError, and its own errors have no common base
        raise _typed(error, repo_id) from None


def _typed(error: BaseException, repo_id: str) -> Exception:
    """The failure in one sentence, as something to retry or to tell."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, HfHubHTTPError | httpx.TransportError):
        cause = cause.__cause__
    if isinstance(cause, httpx.TransportError):
        return _TryAgain(f"no connection to {constants.ENDPOINT} ({type(cause).__name__})")
    if cause is None:
        if isinstance(error, ValueError):
            return UserError(f"{repo_id}: the hub does not accept what was staged ({_line(error)})")
        if isinstance(error, RuntimeError | OSError):  # as Xet's own client has it
            return _TryAgain(f"the upload broke off ({_line(error)})")
        return error if isinstance(error, Exception) else RuntimeError(_line(error))
    status = cause.response.status_code
    if status in _AGAIN:
        return _TryAgain(f"the hub answered {status}")
    if status == 401:
        return UserError(f"{repo_id}: the hub does not accept the token (401): log in again with `hf auth login`, or set HF_TOKEN "
                         "to a token with write access")
    if status in (403, 404):
        return UserError(f"{repo_id}: the token may not write there ({status}): take a token with write access to "
                         f"{repo_id.partition('/')[0]}, or another --repo-id")
    return UserError(f"{repo_id}: the hub refused ({status}: {_line(cause.server_message or cause)})")


def _line(error: object) -> str:
    """The first line of a message, short, without what stands behind a question mark in addresses: signatures, as a rule."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return re.sub(r"\?\S+", "?...", line)[:300]

"""What the verifier reads: the task, the turns, the submission, and the question whether it is correct.

Promises: a prompt is made of what the agent saw and did, never of the grade, the key or how the episode was judged; every piece
of it from outside (question, programs, output, submission) is quoted line by line and encoded with special tokens disabled, so
nothing printed in an episode can end the message, open a section or answer for the verifier; no prompt is longer than its
limit: the longest turns are cut in their middle first, then the oldest turns go, and question and submission may keep half of
the room.
Does not cover: formats other than the Qwen2.5 chat (`medcopilot.agent.render`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import jinja2

from env.errors import UserError
from medcopilot.agent.render import ChatRenderer
from medcopilot.trace import Trace
from medcopilot.verifier.episode import Episode, read_episode

MAX_TOKENS = {"full": 8192, "nano": 768}
"""Default limits of prompt and answer together, by profile."""
YES, NO = "YES", "NO"
LEAST_PER_TURN = 24
"""Tokens that a turn should keep; where there is less room, the oldest turns go."""
CUT = "[...]"


class AnswerTokens(NamedTuple):
    """The two tokens that the verifier chooses between."""

    yes: int
    no: int
    before: tuple[int, ...] = ()
    """Tokens that both answers begin with; they belong to the prompt."""


def answer_tokens(renderer: ChatRenderer) -> AnswerTokens:
    """Both answers as single tokens, with or without a space before them; else the first tokens in which they differ.

    Raises:
        UserError: the tokenizer writes both answers alike.
    """
    forms = [(renderer.encode(space + YES), renderer.encode(space + NO)) for space in ("", " ")]
    for yes, no in forms:
        if len(yes) == len(no) == 1 and yes != no:
            return AnswerTokens(yes[0], no[0])
    for yes, no in forms:
        for i, (left, right) in enumerate(zip(yes, no, strict=False)):
            if left != right:
                return AnswerTokens(left, right, tuple(yes[:i]))
    raise UserError(f"the tokenizer has no two different tokens for {YES} and {NO}: use another base model for the verifier")


class VerifierPrompt:
    """Prompts of one tokenizer, profile and limit.

    Args:
        max_tokens: longest prompt, the answer token included; None: the profile's default.

    Raises:
        UserError: an unknown profile, or a limit below what the fixed text needs.
    """

    def __init__(self, renderer: ChatRenderer, profile: str = "full", max_tokens: int | None = None) -> None:
        if profile not in MAX_TOKENS:
            raise UserError(f"unknown profile {profile!r} of the verifier's prompt: choose full or nano")
        self.renderer, self.profile = renderer, profile
        self.max_tokens = max_tokens or MAX_TOKENS[profile]
        self.answers = answer_tokens(renderer)
        bare = Episode(question=CUT, kind="program (python)", submission=CUT, parts=())
        least = 64 + len(self._encode(bare, 999))
        if self.max_tokens < least:
            raise UserError(f"max_length = {self.max_tokens} is too short for the verifier's prompt: set at least {least}, and "
                            "several times as much for whole episodes")

    def ids(self, trace: Trace) -> list[int]:
        """Token ids that end where the answer token comes, fewer than `max_tokens`."""
        episode = read_episode(trace)
        ids = self._encode(episode)
        return ids if len(ids) < self.max_tokens else self._shortened(episode)

    def _shortened(self, episode: Episode) -> list[int]:
        outer = [self._size(episode.question), self._size(episode.submission)]
        inner = [size for part in episode.parts for size in (self._size(part.said), self._size(part.seen))]
        for left_out in range(len(episode.parts) + 1):
            parts, sizes = episode.parts[left_out:], inner[2 * left_out :]
            kept = episode._replace(parts=parts)
            room = self.max_tokens - 1 - len(self._encode(_cut(kept, outer, sizes, 0, 0), left_out))
            if parts and room < 2 * LEAST_PER_TURN * len(parts):
                continue
            while True:
                outer_cap = fair_cap(outer, room // 2 if parts else room)
                inner_cap = fair_cap(sizes, room - sum(min(size, outer_cap) for size in outer))
                ids = self._encode(_cut(kept, outer, sizes, outer_cap, inner_cap), left_out)
                if len(ids) < self.max_tokens:
                    return ids
                if room <= 0:
                    break
                room = max(0, room - max(1, len(ids) + 1 - self.max_tokens))  # marks take room, and merges end at them
        raise AssertionError("the fixed text was checked to fit")

    def _size(self, text: str) -> int:
        return len(self.renderer.encode(_quoted(text)))

    def _encode(self, episode: Episode, left_out: int = 0) -> list[int]:
        text = _template(self.profile).render(question=episode.question, kind=episode.kind, submission=episode.submission,
                                              turns=episode.parts, left_out=left_out)
        return [*self.renderer.prompt([{"role": "user", "content": text}]), *self.answers.before]


def fair_cap(sizes: Sequence[int], budget: int) -> int:
    """The largest cap under which all sizes together stay within the budget: the longest are cut, the short keep what they have."""
    left = max(0, budget)
    for done, size in enumerate(ordered := sorted(sizes)):
        share = left // (len(ordered) - done)
        if size > share:
            return share
        left -= size
    return max(sizes, default=0)


def shorten(text: str, size: int, cap: int) -> str:
    """The text with its middle cut out, so that about `cap` of its `size` tokens remain."""
    keep = len(text) * cap // size if size > cap else len(text)
    if len(text) <= keep + len(CUT):
        return text
    tail = keep // 2
    head = text[: keep - tail]
    return f"{head}\n{CUT}\n{text[len(text) - tail :]}" if keep else CUT


def _cut(episode: Episode, outer: Sequence[int], inner: Sequence[int], outer_cap: int, inner_cap: int) -> Episode:
    parts = tuple(part._replace(said=shorten(part.said, inner[2 * i], inner_cap),
                                seen=shorten(part.seen, inner[2 * i + 1], inner_cap)) for i, part in enumerate(episode.parts))
    return episode._replace(question=shorten(episode.question, outer[0], outer_cap), parts=parts,
                            submission=shorten(episode.submission, outer[1], outer_cap))


def _quoted(text: str) -> str:
    """Every line marked, so that none can stand where the prompt's own lines stand."""
    return "\n".join(f"> {line}" for line in text.splitlines() or [""])


@cache
def _template(profile: str) -> jinja2.Template:
    text = (files("medcopilot.verifier") / "prompts" / f"{profile}.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True)
    environment.filters["quoted"] = _quoted
    return environment.from_string(text)

"""May this be published? What the weights or rows lead back to, against the recorded permissions.

Promises: rows under a data agreement, and everything that was trained on them, pass only with a permission for their dataset and
the exit `hub` (`env.agreement`). Weights whose origin is not recorded, and rows without a licence tag, count as restricted; the
refusal says what is missing and what to do.
Does not cover: whether a recorded permission is true, and the licences of models of the hub: the card names them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from env.agreement import agreements_file, check
from env.errors import AgreementError

if TYPE_CHECKING:  # rows are published without torch
    from medcopilot.train.provenance import Provenance


def allow_model(folder: Path, record: Provenance | None, digest: str) -> None:
    """Let a model pass, or refuse.

    Args:
        folder: for the refusal.
        record: of these weights; None: there is none, or it belongs to others.
        digest: of the weights; a permission for `checkpoint-<digest>` stands in for what is not recorded.

    Raises:
        AgreementError: it is derived from rows that may not leave, or nobody knows from what.
    """
    why = [f"{folder} has no provenance.json that belongs to its weights"] if record is None else list(record.unknown)
    if record is not None:
        why += [f"{seen.count:,} {seen.what} of {seen.stage} carry no licence tag" for seen in record.seen if not seen.licence]
        if not record.bases and not record.unknown:
            why.append("it does not say where its weights began")
    _known(f"checkpoint-{digest}", why, "train it again from rows with licence tags, which records it")
    if record is not None:
        check("hub", [(seen.dataset, seen.licence) for seen in record.seen if seen.licence])


def allow_rows(path: Path, tags: Iterable[tuple[str, str]], digest: str) -> None:
    """Let rows pass, or refuse.

    Args:
        tags: (dataset, licence) of every row.
        digest: of the files; a permission for `rows-<digest>` stands in for missing tags.

    Raises:
        AgreementError: a row may not leave, or has no tag.
    """
    tags = set(tags)
    bare = any(not licence for _, licence in tags)
    _known(f"rows-{digest}", [f"rows of {path} carry no licence tag"] if bare else [], "export them again, which tags every row")
    check("hub", [tag for tag in tags if tag[1]])


def _known(name: str, why: list[str], cure: str) -> None:
    """Refuse what is not known, unless somebody answers for it."""
    if not why:
        return
    try:
        check("hub", [(name, "")])
    except AgreementError:
        raise AgreementError(
            f"what this would publish cannot be traced back to open data ({'; '.join(dict.fromkeys(why))}): {cure}, or, if you "
            f"know that nothing in it is under an agreement, record {{dataset: {name}, exit: hub, allowed: true, who: NAME, "
            f"date: YYYY-MM-DD}} in {agreements_file()}") from None

"""A second model as the explainer of `debugging`, on top of the grounded one.

Promises: the model sees the program, what it printed and the grounded explanation, nothing else of the task; the agreement gate is
passed before the first question; when the model fails or says nothing, the grounded explanation stands.
Does not cover: which model is asked (`ask` is any function from a prompt to text) and its cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from env.agreement import check
from env.explain import Explainer, GroundedExplainer
from env.sandbox.base import Execution, Mount, Program

_PROMPT = """A program failed or found nothing. Explain the cause in at most three short sentences of plain language and say what \
to change. Do not write the corrected program. Use only the facts below.

Program ({language}):
{program}

Output ({status}):
{output}

Facts found by inspecting the data:
{facts}
"""
_OUTPUT_CHARS = 4_000


class ModelExplainer:
    """Asks a second model, and falls back to the grounded explanation."""

    def __init__(self, ask: Callable[[str], str], rows: Iterable[Any], *, url: str = "", fallback: Explainer | None = None,
                 max_chars: int = 800) -> None:
        """Pass the gate once for all episodes.

        Args:
            ask: prompt -> reply of the second model; may raise anything.
            rows: what the agreement gate looks at: licence tags, (dataset, licence) pairs, tasks.
            url: where the second model is served; a loopback address is no exit.
            fallback: whose explanation is shown to the model, and stands when the model fails.
            max_chars: longest explanation.

        Raises:
            AgreementError: rows under an agreement, and no permission for the exit `second_model`.
        """
        check("second_model", rows, url=url)
        self._ask = ask
        self._fallback = fallback or GroundedExplainer()
        self._max_chars = max_chars
        self.failures = 0
        """How often the model failed and the grounded explanation stood."""

    def explain(self, program: Program, execution: Execution, mounts: tuple[Mount, ...]) -> str:
        facts = self._fallback.explain(program, execution, mounts)
        prompt = _PROMPT.format(language=program.language, program=program.source, status=execution.status,
                                output=execution.text[-_OUTPUT_CHARS:], facts=facts)
        try:
            said = self._ask(prompt).strip()
        except Exception:
            # whatever the second model's client raises, the episode goes on with the grounded words
            said = ""
        if not said:
            self.failures += 1
            return facts
        return said if len(said) <= self._max_chars else said[: self._max_chars - 3] + "..."

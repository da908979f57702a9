"""placeholder"""
from typing import Any, Protocol


class Explainer(Protocol):
    def explain(self, program: Any, execution: Any, mounts: Any) -> str: ...
class GroundedExplainer:
    def explain(self, program: Any, execution: Any, mounts: Any) -> str:
        return execution.text

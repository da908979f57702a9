"""`python -m medcopilot.publish.vllm_scores FOLDER < rows.json`: prompt logprobs of token ids under vLLM, as JSON on the last line.

Promises: temperature 1, no sampling defaults of the folder, nothing fetched; on a CPU the corrections of `policies.vllm_cpu`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from medcopilot.policies import vllm_cpu


def scores(folder: str, rows: list[list[int]]) -> list[list[float]]:
    """Logprob of each token but the first of every row."""
    vllm_cpu.prepare_environment()
    import vllm

    vllm_cpu.apply()
    options: dict[str, Any] = {"max_model_len": max(map(len, rows)) + 8, "enforce_eager": True, "disable_log_stats": True}
    stored = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8")).get("dtype") or "auto"
    engine = vllm.LLM(model=folder, skip_tokenizer_init=True, dtype=stored, **options)  # `auto` would round float32 to 16 bits
    params = vllm.SamplingParams(temperature=1.0, max_tokens=1, prompt_logprobs=0, detokenize=False)
    outputs = engine.generate([{"prompt_token_ids": row} for row in rows], params, use_tqdm=False)
    return [[entry[token].logprob for entry, token in zip(output.prompt_logprobs[1:], row[1:], strict=True)]
            for output, row in zip(outputs, rows, strict=True)]


if __name__ == "__main__":
    print(json.dumps(scores(sys.argv[1], json.load(sys.stdin))), flush=True)

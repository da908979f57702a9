"""What a vLLM server loads of ours (entry point group `vllm.general_plugins`; vLLM calls `register` in each of its processes).

Promises: the weight-transfer backends `gloo` and `file` can be chosen on every platform; on a CPU the corrections of
`medcopilot.policies.vllm_cpu` are in force; on an accelerator nothing else changes. A second call changes nothing.
Does not cover: starting a server (`serve`, `medcopilot.policies.vllm_launch`), the trainer's side (`weight_transport`).
"""

from __future__ import annotations

ENTRY_POINT = "medcopilot"
"""Name under which the plugin is registered."""
PARENT = "MEDCOPILOT_SERVE_PARENT"
"""Environment variable: process without which a server is to end."""
BACKENDS = {"gloo": "GlooWeightTransferEngine", "file": "FileWeightTransferEngine"}


def register() -> None:
    """Called by vLLM."""
    from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory as Factory

    from medcopilot.policies import vllm_cpu

    for name, engine in BACKENDS.items():
        if name not in Factory._registry:
            Factory.register_engine(name, "medcopilot.policies.vllm_plugin.engines", engine)
    vllm_cpu.apply()

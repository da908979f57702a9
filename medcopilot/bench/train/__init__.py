"""Update steps of SFT, DPO, GRPO and PPO at real sizes with random weights: `medcopilot bench train`."""

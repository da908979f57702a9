"""Help texts that several commands share."""

WITHOUT = "ablation: take an action away (request_info, terminal, code_execution or debugging); repeat for several"
TURNS = "ablation: at most so many turns; 1: a submission without a look"
SANDBOX = "zygote, bwrap, docker or docker-strict; auto: the first of the former two that works"
LOOP_GUARD = "tell an agent that repeats itself once, then end its episode (the paper has no such guard)"
PRICES = "YAML, MODEL: {input: 2.5, output: 10}, US dollars per million tokens; without it costs are unknown"

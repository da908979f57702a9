"""Help texts that several commands share."""

SANDBOX = "zygote, bwrap, docker or docker-strict; auto: the first of the former two that works"
LOOP_GUARD = "tell an agent that repeats itself once, then end its episode (the paper has no such guard)"

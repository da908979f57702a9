"""Publishing: a checkpoint or a data set becomes a checked folder in the hub's form, and goes there when the user says so.

    gate -> source -> model_folder (verify, metrics, card) | data_folder -> hub

Nothing leaves this machine before `hub.upload`, which the command calls only with `--repo-id` and without `--dry-run`.
"""

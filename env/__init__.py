"""The gym: tasks, actions, episodes, sandboxes, grading boxes and datasets. Knows nothing of models."""

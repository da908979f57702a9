"""Other people's evaluation tools: our tasks and our traces in Inspect (`inspect_ai`, an optional extra). See docs/inspect.md."""

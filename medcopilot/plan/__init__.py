"""What a recipe needs before it is started: memory per GPU, time, and what would fit.

`recipe` reads any recipe, `architecture` counts parameters, `activations` and `memory` count bytes, `speed` estimates time,
`search` looks for changes that make it fit, `measure` compares the bytes with those of a shrunken run, `show` prints.
"""

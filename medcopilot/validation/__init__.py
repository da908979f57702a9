"""Are the graders to be trusted? Gold must earn 1.0, every exploit at most chance, every correct variant 1.0.

`battery.validate` runs it all; `attacks` and `variants` hold the two lists; `controls` proves that each attack is live.
"""

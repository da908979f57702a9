"""Programs that run *inside* a box: the worker and what its forked children use. Standard library only.

The supervisor compiles these files and sends them through the control socket, so nothing of this package lies in the box.
They run before `site`, and import as little as they can: the start of a box is mostly the start of its interpreter.
"""

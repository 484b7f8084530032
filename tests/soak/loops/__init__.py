"""One module a loop: its name is the loop's, its docstring says what it is, its `soak` runs it.

`soak(arguments)` parses its own options, prints what it finds, and returns the exit status: 0 when all bounds held.
"""

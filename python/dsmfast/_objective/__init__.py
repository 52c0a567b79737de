"""What is minimised: the table of objectives, their options, and how they reach the kernels.

`table` tells one objective from another; `options` is what a user says of one; `task` is an
objective on rows, as the kernels take it; `paths` chooses where a step is worked out; `identities`
are what the theory says of two objectives.
"""

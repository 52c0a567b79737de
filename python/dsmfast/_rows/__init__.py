"""Where rows come from: what X is, asked once, and answered by one class for each answer.

`rows` says what rows are asked for; `in_memory`, `streamed` (read a window at a time) and `sharded`
(a rank's share of them) are the three kinds there are; `options` makes one of them of what the user
handed over; `fingerprint` tells data from other data.
"""

"""Where rows come from: what X is, asked once, and answered by one class for each answer.

`rows` says what rows are asked for; `in_memory`, `streamed` (read a window at a time) and `sharded`
(a rank's share of either) are the three kinds there are; `options` makes one of them of what the
user handed over. `cut` says what the windows are, and `ahead` goes through them; `mapped` reads
files that are mapped into memory; `fingerprint` tells data from other data.
"""

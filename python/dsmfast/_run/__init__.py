"""A run of training, from options to a result.

`options` is what a user says of it; `schedules` are of sigma and of the learning rate; `start`
makes the first state, and `prepare` the run. `run` goes through the epochs: `stepper` takes their
steps, `snapshot` is what a run has come to, taken over by one assignment, `stopping` judges it,
`listeners` and `progress` tell of it, `checkpoints` keep it, and `distributed` is what differs on
several ranks.
"""

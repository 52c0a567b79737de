"""What makes an energy a density: its chains, and its normaliser.

``reduced`` the model in the directions of its weights; ``chains`` a walk of many chains, step by
step; ``annealing`` from a Gaussian to the model, and what that says of the normaliser; ``exact``
where it can be known; ``normalizer`` what is found; ``modes`` of the energy; ``draws`` of chains,
and what of x is given. All of these read W, b, c and sigma of a model.
``width`` is that of a Parzen density, by the likelihood of each row under the others;
``repeats`` are rows that stand in a sample more than once.
"""

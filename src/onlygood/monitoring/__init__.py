"""What becomes of a process after the fit: whether its images still score as those that the threshold rests on.

`drift_test` takes one score after another, `drift` the images of a folder; `score_ranks`, `bets` and `evidence` are the
test's three parts.
"""

"""How well a model does before its labels arrive, as an interval, and whether to believe that.

A classifier's own probabilities, set right on a hold-out, tell how often it will have been right; of a
regression a second model learns how large the loss of a row is. So a change of *which rows are served* is
seen at once. That the same rows now have *other labels* (concept drift) leaves no trace in outputs or inputs:
no estimate can see it, and this one does not. So each estimate is held against the labels when they
arrive, intervals are widened by how far off they were, and an estimator whose intervals do not hold what
they promise is called untrustworthy.
"""

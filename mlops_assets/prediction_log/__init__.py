"""The prediction log: what was asked, what was answered, and what turned out to be true.

A gateway's workers append to *segments*, each to its own; *compaction* turns finished segments into
Parquet, exactly once; :class:`~mlops_assets.prediction_log.log.PredictionLog` reads both as one.
"""

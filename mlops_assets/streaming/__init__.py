"""Predictions for the messages of a stream: read, answered by who serves by right, logged once each."""

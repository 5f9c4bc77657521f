"""The write-ahead commit log of a root: its bytes, its segments, its durable end.

Knows nothing of what the bytes mean: a record is a batch of pieces by key. Whoever comes after an
acknowledgement (files, recovery) reads it from here.
"""

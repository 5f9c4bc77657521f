"""The files of streams and journals: written in bulk from the log, and read by page.

`Backlog` is what the log has and the files have not yet; `Flusher` writes it there.
"""

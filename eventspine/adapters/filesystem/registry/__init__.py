"""The routing registry in files: its rows, its history, and edits by hand."""

"""Recorded chats and canvases, sent to a server and read back as proof."""

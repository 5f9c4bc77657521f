"""Blobs as files: large ones synced by themselves, small ones by way of the commit log.

`LoggedBlobs` is what the log has of blobs and no file has yet; `BlobFiles` writes it there.
"""

"""Putting the parts together: the one module that names adapters, and the supervisor tree.

    eventspine                       one_for_one
      backend filesystem:.           one_for_one; a failing disk is an outage, not a crash
        store                        opens the root, commits until it fails or the process stops
        passivation                  idle actors rest
        journals                     so do those of the other kinds of store
        heartbeats                   quiet readers get a sign of life
      backend memory:default         …
      memory sweep                   entries of the memory store expire, and it is told

A backend is started when the first route leads to it. Stopping drains right to left: readers are
told, accepted appends are committed, files are completed, the lock is released.
"""

from eventspine.bootstrap.configs import KINDS
from eventspine.bootstrap.opening import open_spine
from eventspine.bootstrap.roots import examine_root, init_root

__all__ = ["KINDS", "examine_root", "init_root", "open_spine"]

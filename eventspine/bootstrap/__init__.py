"""Putting the parts together: the one module that names adapters, and the supervisor tree.

    eventspine                       one_for_one
      backend filesystem:.           one_for_one; a failing disk is an outage, not a crash
        store                        opens the root, commits until it fails or the process stops
        passivation                  idle actors rest
        journals                     so do those of the other kinds of store
        heartbeats                   quiet readers get a sign of life
      backend memory:default         …
      route files                    edits of routes in files
        watch                        is told of them and takes them
      memory sweep                   entries of the memory store expire, and it is told
      analytics                      events that came in are put aside as Parquet
      switches                       routes that move with their data are copied and followed
      route health                   quiet backends are probed, open circuits tried again
      audit                          records that nobody waits for are written
      audit outcomes                 intents that a crash left without an outcome get one
      vector indexes                 collections too large for exact searches get an index
      upload sweep                   multipart uploads that nothing comes to are given up

A backend is started when the first route leads to it. Stopping drains right to left: readers are
told, accepted appends are committed, files are completed, the lock is released.
"""

from eventspine.bootstrap.configs import KINDS, check_route, takes_secret
from eventspine.bootstrap.opening import open_spine
from eventspine.bootstrap.roots import examine_root, init_root

__all__ = ["KINDS", "check_route", "examine_root", "init_root", "open_spine", "takes_secret"]

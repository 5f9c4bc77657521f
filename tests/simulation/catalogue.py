"""Bugs that people write into systems like this one; the simulation has to find each of them.

The first nine are those of a smaller store that was simulated before this one; the others are
what this design could get wrong.
"""

from __future__ import annotations

from eventspine.actors import host
from eventspine.actors.audience import Audience
from eventspine.actors.host import StreamHost
from eventspine.actors.stream import StreamActor
from eventspine.adapters.filesystem import event_stream
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.filesystem.lock import RootLock
from eventspine.adapters.filesystem.log.commit_log import CommitLog
from eventspine.adapters.filesystem.log.log_scan import LogScan
from eventspine.adapters.filesystem.recovery import mend
from eventspine.adapters.filesystem.streams.flusher import Flusher
from eventspine.adapters.filesystem.streams.ids import FilesystemEventIds
from eventspine.adapters.filesystem.streams.stream_files import StreamFiles
from eventspine.runtime.commit_thread import CommitThread
from eventspine.runtime.writer import Writer
from eventspine.services.appending import Appending
from tests.simulation.plant import Bug, Change


def bug(name: str, what: str, *changes: tuple[object, str, str, str], profile: str = "any") -> Bug:
    return Bug(name, what, tuple(Change(*change) for change in changes), profile)


WRITE = "code = self._disk.write_sealed(self._fd, whole, self._at, self._seal_fd, seal)"
RETRY = f"try:\n        {WRITE}\n    except OSError:\n        code = self._disk.sync_data(self._fd)"
EARLY = (
    "self._disk.write(self._fd, whole, self._at); code = self._disk.write(self._seal_fd, seal, 0)"
)
UNSEALED = "code = self._disk.write_durably(self._fd, whole, self._at)"
SYNC = "self.disk.sync_data(fd)"
SOON = "return commit.appended()"

FIRST_NINE = [
    bug(
        "ack_before_fsync",
        "a record is answered when it is written, and not yet on the disk",
        (CommitLog, "append", WRITE, EARLY),
    ),
    bug(
        "retry_fsync",
        "a sync that failed is tried again, and the second answer believed",
        (CommitLog, "append", WRITE, RETRY),
        (StreamFiles, "_sync_file", SYNC, f"{SYNC}\n    except OSError:\n        {SYNC}"),
        profile="failing log",
    ),
    bug(
        "no_dir_fsync",
        "the name of a new segment of the log is not made durable",
        (CommitLog, "_rotate", "self._disk.sync_directory(self.folder)", "pass"),
    ),
    bug(
        "keep_torn_tail",
        "a torn record stays where it is and is counted, and the log goes on behind it",
        (event_stream, "continue_log", "if scan.torn is not None:", "if False:"),
        (LogScan, "_cut", "self.torn = (segment.path, at)", "self.lsn += at > 0"),
        profile="torn tail",
    ),
    bug(
        "lost_dedupe",
        "after a restart nobody knows the ids of the events that are there",
        (FilesystemEventStreamStore, "ids", "at = index.covered", "at = head.sequence"),
    ),
    bug(
        "offset_race",
        "others run between reading the position and taking the next number",
        (Appending, "append", "if expected is None else None", "if False else None"),
        (
            StreamHost,
            "append",
            "actor, (decision, commit) = live,",
            (
                "at = live.sequence; await anyio.lowlevel.checkpoint(); live.sequence = at;"
                " actor, (decision, commit) = live,"
            ),
        ),
    ),
    bug(
        "read_uncommitted",
        "readers are told of an event when it is decided, not when it is durable",
        (
            StreamActor,
            "accept",
            "self.sequence = commit.last",
            (
                "self.sequence = self.committed = commit.last;"
                " commit.lines and self.audience is not None and"
                " self.audience.tell(commit.lines, commit.first_sequence);"
                " self.wake_readers()"
            ),
        ),
    ),
    bug(
        "no_open_fsync",
        "what a killed process has left in the page cache is believed, and not made durable",
        (LogScan, "_make_durable", "for segment in self.segments:", "for segment in []:"),
        profile="torn tail",
    ),
    bug(
        "dirsync_only_if_new",
        "a directory that is there already is taken for durable",
        (
            FilesystemEventStreamStore,
            "open",
            "disk.make_directories(folder)\n    disk.sync_directory(root)",
            "if disk.make_directories(folder):\n        disk.sync_directory(root)",
        ),
        profile="first names",
    ),
]

OF_THIS_DESIGN = [
    bug(
        "seal_not_written",
        "nothing says which record was the last that was acknowledged",
        (CommitLog, "append", WRITE, UNSEALED),
        profile="rot",
    ),
    bug(
        "checkpoint_before_files",
        "the checkpoint names events whose files are not durable",
        (Flusher, "checkpoint", "self._files.sync()", "pass"),
    ),
    bug(
        "checkpoint_too_far",
        "the checkpoint names the end of the log, not of what was flushed",
        (Flusher, "checkpoint", "at = self._flushed", "at = self._log.seal"),
        profile="checkpoint",
    ),
    bug(
        "segment_dropped_early",
        "a segment goes although a checkpoint has not come to its end",
        (CommitLog, "drop_through", "self._segments[1].first_lsn <= lsn + 1", "True"),
        profile="checkpoint",
    ),
    bug(
        "run_written_twice",
        "after a crash the flusher writes again what the files hold already",
        (StreamFiles, "_write", "part.lines[state.last + 1 - part.first :]", "part.lines"),
    ),
    bug(
        "recovery_trusts_the_cache",
        "recovery does not sync stream files that look complete",
        (event_stream, "_mend", "files.distrust(key)", "pass"),
        profile="first names",
    ),
    bug(
        "whole_sync_forgotten",
        "a checkpoint of many streams leaves their files to the page cache",
        (StreamFiles, "sync", "self.disk.sync_filesystem(self._filesystem)", "pass"),
    ),
    bug(
        "round_forgets_news",
        "what becomes durable while readers are served is never told to them",
        (Audience, "_pass", "if self._round_end != self._end:", "if False:"),
        profile="audience",
    ),
    bug(
        "kept_runs_stay_clean",
        "runs that a failed sync has marked clean are not written again",
        (mend, "_good_part", "files.disk.write(fd, piece, run.offset)", "pass"),
        profile="failing files",
    ),
    bug(
        "deleted_comes_back",
        "recovery passes over what deletes a stream",
        (
            event_stream,
            "_backlog_of",
            "backlog.add(sound, Seal",
            "backlog.add([commit for commit in sound if commit.kind < 3], Seal",
        ),
        profile="endings",
    ),
    bug(
        "close_forgotten",
        "the end of a stream does not get into its index",
        (StreamFiles, "_write", "if part.closed and not state.closed:", "if False:"),
    ),
    bug(
        "full_disk_at_the_end",
        "a stop on a full disk drops the log though the files are not complete",
        (FilesystemEventStreamStore, "close", " and not self.flusher.full", ""),
        profile="full disk",
    ),
    bug(
        "full_disk_forgets",
        "what could not be flushed is let go of",
        (
            Flusher,
            "flush",
            "if self._stop.wait(RETRY_S):",
            "self._backlog.flushed()\n        if True:",
        ),
        profile="full disk",
    ),
    bug(
        "full_disk_gives_up",
        "what could not be flushed is not tried again, and stands in the way of the next flush",
        (Flusher, "flush", "if self._stop.wait(RETRY_S):", "if True:"),
        profile="full disk",
    ),
    bug(
        "backlog_let_go_early",
        "events are in memory no more before they are in the files",
        (
            Flusher,
            "flush",
            "generation, at = self._backlog.take()",
            "generation, at = self._backlog.take(); self._backlog.flushed()",
        ),
    ),
    bug(
        "forgotten_id",
        "the last id is not put away with the others, and is forgotten with them",
        (FilesystemEventIds, "_words", "if sequence <= through", "if sequence < through"),
    ),
    bug(
        "twice_in_a_batch",
        "an id that stands twice in one batch is stored twice",
        (host, "decide", "if stored is None and event_id in new_ids:", "if False:"),
    ),
    bug(
        "duplicate_answered_early",
        "an event sent again is answered while the first is still on its way to the disk",
        (StreamHost, "append", "await self._durable(actor, max(decision.sequences))", "pass"),
        profile="checkpoint",
    ),
    bug(
        "refusal_is_an_answer",
        "a commit that was refused is answered as if it had been done",
        (
            Writer,
            "refuse",
            "self.settle_queued(batch, error)",
            "self.settle_queued(batch, None)",
        ),
        profile="no room",
    ),
    bug(
        "refusal_forgets_nothing",
        "actors go on from a position whose commit was refused",
        (Writer, "refuse", "self._on_refused(error)", "pass"),
        profile="no room",
    ),
    bug(
        "goes_on_behind_a_refusal",
        "what was decided on a refused commit is committed all the same",
        (
            CommitThread,
            "_serve",
            "refused = self._commit_one(batch, call, owner)",
            "self._commit_one(batch, call, owner)",
        ),
        profile="no room",
    ),
    bug(
        "unknown_counts",
        "a commit whose outcome nobody knows moves the stream on",
        (StreamActor, "settled", "if error is not None:", "if False:"),
        profile="no room",
    ),
    bug(
        "cells_serve_on",
        "when the disk has failed, actors stay with what they remember",
        (StreamHost, "serve", "self._forget(self.outage)", "pass"),
        profile="failing log",
    ),
    bug(
        "rests_at_work",
        "an actor is put to rest while its commit is in flight",
        (StreamActor, "may_rest", "not self.pending and ", ""),
        profile="crowd",
    ),
    bug(
        "tail_with_a_gap",
        "a reader is served from a tail that starts behind it",
        (Audience, "slice_after", "sequence + 1 < self._first or ", ""),
    ),
    bug(
        "one_alone_too_soon",
        "one event alone is answered when it is decided; the batches beside it wait",
        (Appending, "append", "await commit.ticket\n        return commit.appended()", SOON),
    ),
    bug(
        "express_out_of_turn",
        "a batch goes past the thread while the thread has one of its own",
        (Writer, "_flies", "or self._queued", ""),
        (Writer, "early", "and not self._queued", ""),
    ),
    bug(
        "compiled_too_soon",
        "the compiled way answers when it has decided, and does not wait for the disk",
        (Appending, "append", "await commit.ticket\n                answer:", "answer:"),
    ),
]

# Not planted but found: once they were in the product.
FOUND_HERE = [
    bug(
        "written_in_part_and_forgotten",
        "on a full disk, a stream written in part is taken for damaged",
        (StreamFiles, "_known_state", " or self._unfinished.get(key)", ""),
        profile="full disk",
    ),
    bug(
        "lock_left_open",
        "a lock that cannot be written stays open, and so the root locked",
        (RootLock, "__init__", "disk.close(fd)", "pass"),
        profile="failing log",
    ),
    bug(
        "segment_left_open",
        "a segment whose head cannot be written stays open",
        (CommitLog, "_rotate", "self._disk.close(fd)", "pass"),
        profile="failing log",
    ),
]

CATALOGUE = [*FIRST_NINE, *OF_THIS_DESIGN, *FOUND_HERE]

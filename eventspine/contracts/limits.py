"""Every limit of the product: its name, its default, and the error that names it.

An operator changes one in settings.toml under `[limits]`; FORMATS and PROTOCOL document them from
this model. Sizes are bytes, times are seconds, counts are counts.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    # what one request may hold: TooLarge
    body_bytes_max: int = Field(8 * 1024 * 1024, ge=1024, description="One request body.")
    event_bytes_max: int = Field(1024 * 1024, ge=256, description="One event as stored.")
    batch_events_max: int = Field(10_000, ge=1, description="Events in one append.")

    # what one answer may hold: silently lowered, the page says where to go on
    page_events_max: int = Field(10_000, ge=1, description="Largest `limit` of a page.")
    page_events_default: int = Field(100, ge=1, description="`limit` when none is asked for.")
    page_bytes_max: int = Field(8 * 1024 * 1024, ge=1024, description="Bytes of one page.")

    query_events_read_max: int = Field(
        100_000, ge=1, description="Events that one query of a stream looks at."
    )

    # waiting: Overloaded, DeadlineExceeded
    turn_waiters_max: int = Field(1024, ge=1, description="Callers waiting for one actor.")
    turn_wait_s_max: float = Field(10.0, gt=0, description="How long a caller waits for its turn.")
    commit_bytes_waiting_max: int = Field(
        64 * 1024 * 1024, ge=1024, description="Bytes waiting for the disk, all streams together."
    )
    tenant_appends_a_pass: int = Field(
        16, ge=1, description="Appends of one tenant in a row over HTTP while others append."
    )
    long_poll_s_max: float = Field(60.0, ge=0, description="Largest `wait` of a long-poll.")
    long_polls_max: int = Field(10_000, ge=1, description="Long-polls waiting at once.")

    # readers
    subscribers_max: int = Field(20_000, ge=1, description="Live readers at once.")
    heartbeat_s: float = Field(10.0, gt=0, le=15, description="A comment on a quiet SSE line.")
    reader_stall_s_max: float = Field(
        60.0, gt=0, description="A reader that takes nothing for so long is sent away."
    )
    reader_lag_bytes_max: int = Field(
        8 * 1024, ge=1024, description="Bytes kept for one reader before it has to take."
    )
    multiplex_streams_max: int = Field(16, ge=1, le=16, description="Streams on one connection.")

    # journals of the other kinds of store
    compaction_bytes_max: int = Field(
        8 * 1024 * 1024, ge=0, description="Of a journal that is written anew in one commit."
    )

    # objects: TooLarge, TooManyUploads; a page is silently lowered
    object_bytes_max: int = Field(1024 * 1024 * 1024, ge=1, description="One object.")
    object_list_max: int = Field(1000, ge=1, description="Objects in one page of a listing.")
    object_uploads_max: int = Field(1000, ge=1, description="Open uploads of one scope.")
    upload_idle_s_max: float = Field(
        86_400.0, gt=0, description="An upload that nothing comes to for so long is given up."
    )
    upload_sweep_s: float = Field(
        60.0, gt=0, description="How late that is done, at most, when all is well."
    )

    # a namespace of the memory store: MemoryFull
    memory_entries_max: int = Field(100_000, ge=1, description="Entries of one namespace.")
    memory_bytes_max: int = Field(
        64 * 1024 * 1024, ge=1024, description="Keys and values of one namespace."
    )
    memory_entries_per_tenant_max: int = Field(
        1_000_000, ge=1, description="Entries of one tenant, in all its namespaces."
    )
    memory_bytes_per_tenant_max: int = Field(
        512 * 1024 * 1024, ge=1024, description="Keys and values of one tenant, in all of them."
    )
    memory_sweep_s: float = Field(
        1.0, gt=0, description="How late an expired entry is announced, at most, when all is well."
    )

    # metrics: TooManySeries, TooLarge
    metrics_series_max: int = Field(
        10_000, ge=1, description="Series of one scope: metrics times their tags."
    )
    metrics_tags_max: int = Field(16, ge=0, description="Tags of one point.")
    metrics_raw_points_max: int = Field(
        10_000, ge=1, description="Points as they came in one answer: the newest."
    )
    metrics_windows_max: int = Field(10_000, ge=1, description="Windows in one answer.")
    metrics_buckets_read_max: int = Field(
        20_000, ge=1, description="Buckets and points looked at for one answer."
    )
    metrics_exposed_max: int = Field(
        1_000, ge=1, description="Series in one Prometheus text; it says how many are left out."
    )

    # vectors: TooLarge
    vector_dimensions_max: int = Field(
        4096, ge=1, le=4096, description="Dimensions of a collection of vectors."
    )
    vector_collection_max: int = Field(100_000, ge=1, description="Points of one collection.")
    vector_exact_max: int = Field(
        50_000, ge=1, description="Points a vector search looks at; beyond that an index helps."
    )
    vector_results_max: int = Field(1_000, ge=1, description="Largest `k` of a vector search.")

    # a switch of a route with its data: SwitchRefused
    switch_hold_s_max: float = Field(
        2.0, gt=0, description="How long a switch holds the operations of its scopes, at most."
    )

    # analytics: TooLarge; what a question costs: QueryTooExpensive, Overloaded
    analytics_properties_max: int = Field(100, ge=1, description="Properties of one event.")
    analytics_rows_max: int = Field(10_000, ge=1, description="Largest `limit` of a question.")
    analytics_query_s_max: float = Field(30.0, gt=0, description="How long a question may take.")
    analytics_query_bytes_max: int = Field(
        256 * 1024 * 1024, ge=16 * 1024 * 1024, description="Memory of one question."
    )
    analytics_queries_max: int = Field(4, ge=1, description="Questions worked on at once.")
    analytics_tenant_queries_max: int = Field(2, ge=1, description="Those of one tenant.")
    analytics_segment_events: int = Field(
        32_768, ge=1, description="Events that are put into one Parquet file."
    )

    # actors
    cells_max: int = Field(1_000_000, ge=1, description="Active actors before the oldest rest.")
    cell_idle_s_max: float = Field(300.0, gt=0, description="An actor unused so long rests.")

    # connections: closed, 408, 431 or 503
    connections_max: int = Field(32_768, ge=1, description="Connections open at once.")
    unsent_bytes_max: int = Field(
        128 * 1024, ge=4096, description="Bytes the kernel takes for a connection unsent."
    )
    unanswered_s_max: float = Field(
        60.0, gt=0, description="What was sent and nobody acknowledged for so long: cut."
    )
    header_bytes_max: int = Field(64 * 1024, ge=1024, description="All header fields of a request.")
    keep_alive_s: float = Field(75.0, gt=0, description="A connection between two requests.")
    header_s_max: float = Field(10.0, gt=0, description="From the first byte to the last header.")
    body_stall_s_max: float = Field(15.0, gt=0, description="Between two pieces of a body.")
    body_s_max: float = Field(120.0, gt=0, description="A whole body.")
    drain_s_max: float = Field(10.0, gt=0, description="A graceful stop.")

"""Every metric of the platform, declared once (CONTRACTS §10). docs/metrics.md is generated from here."""

from prometheus_client import Counter, Gauge, Histogram

_DOOR_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
AGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)  # seconds
_REC_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)

# Doors.
EVENTS_RECEIVED = Counter("millrace_events_received", "Events judged at a door", ["door", "tenant", "verdict"])
EVENTS_PUBLISHED = Counter("millrace_events_published", "Events sent to Kafka, by outcome", ["door", "outcome"])
VALIDATION_WARNINGS = Counter("millrace_validation_warnings", "Warnings given at a door", ["door", "code"])
DOOR_LATENCY = Histogram("millrace_door_latency_seconds", "Door latency", ["door", "call"], buckets=_DOOR_BUCKETS)

# Data quality, at the doors (what they reject) and in the stream. Counted and shown by schemas.quality, which bounds
# the labels; it stands in no registry by itself.
QUALITY_LABELS = ("place", "tenant", "scenario", "version", "field", "verdict")
DATA_QUALITY = Counter(
    "millrace_data_quality",
    "Events judged (field empty), and each field that had an issue, by verdict: pass, warn, reject",
    QUALITY_LABELS,
    registry=None,
)

# Tracking configs.
CONFIGS_HELD = Gauge("millrace_configs_held", "Tracking configs in force in this process")
CONFIG_FEED_UP = Gauge("millrace_config_feed_up", "1 while the config change feed is being followed")
CONFIG_STORE_UP = Gauge("millrace_config_store_up", "1 while the store of tracking configs answers")

# Streams.
EVENTS_JUDGED = Counter("millrace_events_judged", "Raw events judged by the stream", ["tenant", "verdict"])
BATCH_EVENTS = Histogram(
    "millrace_batch_events", "Events in one micro-batch", ["agent"], buckets=(1, 10, 100, 500, 1000, 2000, 5000, 10000)
)
BATCH_SECONDS = Histogram("millrace_batch_seconds", "Time to process one micro-batch", ["agent"])
FENCE_REPAIRS = Counter("millrace_fence_repairs", "Batches a fence did not let in as they were", ["consumer", "kind"])
PARTITIONS_HELD = Gauge(
    "millrace_partitions_held", "Partitions not read, as their log began anew behind their sink's fence", ["agent"]
)
SINK_RETRIES = Counter("millrace_sink_retries", "Writes retried because a store was away", ["sink"])
TENANT_PARKED = Gauge(
    "millrace_tenant_parked",
    "1 while a tenant's raw events wait because most of them were rejected, by what its breaker saw: ratio, run",
    ["agent", "tenant", "reason"],
)
# Counted and shown by schemas.ages, and the lag by schemas.lag, which bound the tenants; they stand in no registry.
EVENT_AGE = Histogram(
    "millrace_event_age_seconds",
    "Arrival at the platform until the write that shows the event; rec_cache: of a user's oldest event in the list",
    ["sink", "tenant"],
    buckets=AGE_BUCKETS,
    registry=None,
)
CONSUMER_LAG_RECORDS = Gauge(
    "millrace_consumer_lag_records", "Records a consumer group has yet to process", ["group", "tenant"], registry=None
)
CONSUMER_LAG_SECONDS = Gauge(
    "millrace_consumer_lag_seconds",
    "Age of the oldest record a consumer group has yet to process, as far as it is known: at least this",
    ["group", "tenant"],
    registry=None,
)
HEAT_CAPPED = Counter(
    "millrace_heat_capped_events", "Events of which a user's cap left something out of hot lists", ["tenant"]
)
HOT_LEFT_OUT = Counter(
    "millrace_hot_left_out_events", "Events left out of a hot list, as its tenant has as many as it may", ["tenant"]
)
LATE_EVENTS = Counter("millrace_late_events", "Events that came too late for their user's session", ["tenant"])
SESSIONS_CLOSED = Counter("millrace_sessions_closed", "Sessions closed without another event of their user", ["tenant"])
SUMMARIES_SHIPPED = Counter("millrace_summaries_shipped", "Session summaries written to Kafka", ["tenant"])
ROWS_INSERTED = Counter("millrace_rows_inserted", "Rows inserted into ClickHouse", ["table"])

# Recommendations.
REC_REQUESTS = Counter("rec_request", "Recommendation requests", ["scene", "status"])
REC_LATENCY = Histogram("rec_request_latency_seconds", "Recommendation latency", ["scene"], buckets=_REC_BUCKETS)
REC_RECALLED = Histogram(
    "rec_recall_candidate_count", "Candidates a source recalled", ["source"], buckets=(0, 1, 5, 10, 20, 50, 100, 200)
)
REC_CACHE_HIT_RATE = Gauge("rec_cache_hit_rate", "Share of requests answered from rec:cache, last 1,000 requests")
LISTS_WRITTEN = Counter("millrace_rec_lists_written", "Precomputed lists written", ["tenant"])
STAGE_FAILURES = Counter("millrace_stage_failures", "Pipeline parts left out of a run", ["stage", "why"])
STAGE_SECONDS = Histogram("millrace_stage_seconds", "Time of one pipeline part", ["stage"])

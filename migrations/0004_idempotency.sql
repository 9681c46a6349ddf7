-- Requests with an `Idempotency-Key`: who works on which, and what came of it, so that a retry gets the first answer.
--
-- A result is somebody's text. It is kept until `expires_at`, and then deleted.

-- engine: all

-- `name` is the client's own key, which is one of an API key. `request_id` is the request that has the claim, and in whose
-- receipt it was charged. A claim that runs is the replica's until `held_until`, which it moves on as long as it works.
CREATE TABLE tollgate.idempotency (
    key_id UUID NOT NULL,
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    fingerprint BYTEA NOT NULL CHECK (length(fingerprint) = 32),
    request_id UUID NOT NULL,
    replica UUID NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'kept', 'too_large')),
    held_until BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    status BIGINT CHECK (status BETWEEN 200 AND 299),
    streamed BOOLEAN CHECK (streamed IN (TRUE, FALSE)),
    content_type TEXT,
    dropped TEXT,
    cost TEXT,
    body BYTEA,
    CHECK ((state = 'kept') = (status IS NOT NULL)),
    CHECK ((state = 'kept') = (streamed IS NOT NULL)),
    CHECK ((state = 'kept') = (content_type IS NOT NULL)),
    CHECK ((state = 'kept') = (body IS NOT NULL)),
    PRIMARY KEY (key_id, name)
);
CREATE INDEX idempotency_by_end ON tollgate.idempotency (expires_at);
CREATE INDEX idempotency_running ON tollgate.idempotency (replica) WHERE state = 'running';

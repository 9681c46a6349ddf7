-- Sums of what providers bill accounts themselves, whose own keys they were called with.

-- engine: all

ALTER TABLE tollgate.rollups ADD COLUMN direct_high BIGINT NOT NULL DEFAULT 0 CHECK (direct_high >= 0);
ALTER TABLE tollgate.rollups ADD COLUMN direct_low BIGINT NOT NULL DEFAULT 0 CHECK (direct_low >= 0);

-- What there is already; gone again below.
CREATE TABLE tollgate.direct_before (
    request_id UUID NOT NULL,
    attempt BIGINT NOT NULL,
    account_id UUID NOT NULL,
    user_id UUID NOT NULL,
    key_id UUID NOT NULL,
    day BIGINT NOT NULL,
    month BIGINT NOT NULL,
    item TEXT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (request_id, attempt)
);

-- engine: sqlite

INSERT INTO direct_before (request_id, attempt, account_id, user_id, key_id, day, month, item, amount)
SELECT r.request_id, r.attempt, r.account_id, r.user_id, r.key_id, r.started_at / 86400000000,
    CAST(julianday(datetime(r.started_at / 1000000, 'unixepoch', 'start of month')) - 2440587.5 AS INTEGER),
    r.provider || '/' || r.model, CAST(json_extract(r.report, '$.route.direct') AS INTEGER)
FROM receipts r WHERE r.report LIKE '%"direct":%';

-- engine: postgres

INSERT INTO tollgate.direct_before (request_id, attempt, account_id, user_id, key_id, day, month, item, amount)
SELECT r.request_id, r.attempt, r.account_id, r.user_id, r.key_id, r.started_at / 86400000000,
    CAST(EXTRACT(EPOCH FROM date_trunc('month', to_timestamp(r.started_at / 1000000) AT TIME ZONE 'UTC')) / 86400 AS BIGINT),
    r.provider || '/' || r.model, CAST(CAST(r.report AS JSON) -> 'route' ->> 'direct' AS BIGINT)
FROM tollgate.receipts r WHERE r.report LIKE '%"direct":%';

-- engine: all

CREATE INDEX direct_before_by_account ON tollgate.direct_before (account_id, month);
CREATE INDEX direct_before_by_user ON tollgate.direct_before (user_id, day);
CREATE INDEX direct_before_by_key ON tollgate.direct_before (key_id, month);
CREATE INDEX direct_before_by_day ON tollgate.direct_before (day);
UPDATE tollgate.rollups SET
    direct_high = (SELECT CAST(SUM(d.amount / 1000000000) AS BIGINT) FROM tollgate.direct_before d WHERE d.day = rollups.day AND d.account_id = rollups.id AND d.item = rollups.item),
    direct_low = (SELECT CAST(SUM(d.amount % 1000000000) AS BIGINT) FROM tollgate.direct_before d WHERE d.day = rollups.day AND d.account_id = rollups.id AND d.item = rollups.item)
WHERE grain = 'account' AND EXISTS (SELECT 1 FROM tollgate.direct_before d WHERE d.day = rollups.day AND d.account_id = rollups.id AND d.item = rollups.item);
UPDATE tollgate.rollups SET
    direct_high = (SELECT CAST(SUM(d.amount / 1000000000) AS BIGINT) FROM tollgate.direct_before d WHERE d.day = rollups.day AND d.user_id = rollups.id AND d.item = rollups.item),
    direct_low = (SELECT CAST(SUM(d.amount % 1000000000) AS BIGINT) FROM tollgate.direct_before d WHERE d.day = rollups.day AND d.user_id = rollups.id AND d.item = rollups.item)
WHERE grain = 'user' AND EXISTS (SELECT 1 FROM tollgate.direct_before d WHERE d.day = rollups.day AND d.user_id = rollups.id AND d.item = rollups.item);
UPDATE tollgate.rollups SET
    direct_high = (SELECT CAST(SUM(d.amount / 1000000000) AS BIGINT) FROM tollgate.direct_before d WHERE d.day = rollups.day AND d.key_id = rollups.id AND d.item = rollups.item),
    direct_low = (SELECT CAST(SUM(d.amount % 1000000000) AS BIGINT) FROM tollgate.direct_before d WHERE d.day = rollups.day AND d.key_id = rollups.id AND d.item = rollups.item)
WHERE grain = 'key' AND EXISTS (SELECT 1 FROM tollgate.direct_before d WHERE d.day = rollups.day AND d.key_id = rollups.id AND d.item = rollups.item);
UPDATE tollgate.rollups SET
    direct_high = (SELECT CAST(SUM(d.amount / 1000000000) AS BIGINT) FROM tollgate.direct_before d WHERE d.month = rollups.day AND d.account_id = rollups.id),
    direct_low = (SELECT CAST(SUM(d.amount % 1000000000) AS BIGINT) FROM tollgate.direct_before d WHERE d.month = rollups.day AND d.account_id = rollups.id)
WHERE grain = 'account_month' AND EXISTS (SELECT 1 FROM tollgate.direct_before d WHERE d.month = rollups.day AND d.account_id = rollups.id);
UPDATE tollgate.rollups SET
    direct_high = (SELECT CAST(SUM(d.amount / 1000000000) AS BIGINT) FROM tollgate.direct_before d WHERE d.month = rollups.day AND d.key_id = rollups.id),
    direct_low = (SELECT CAST(SUM(d.amount % 1000000000) AS BIGINT) FROM tollgate.direct_before d WHERE d.month = rollups.day AND d.key_id = rollups.id)
WHERE grain = 'key_month' AND EXISTS (SELECT 1 FROM tollgate.direct_before d WHERE d.month = rollups.day AND d.key_id = rollups.id);
-- Which replica it was is not on a receipt: one of those of the day stands for all.
UPDATE tollgate.rollups SET
    direct_high = (SELECT CAST(SUM(d.amount / 1000000000) AS BIGINT) FROM tollgate.direct_before d WHERE d.day = rollups.day AND d.item = rollups.item),
    direct_low = (SELECT CAST(SUM(d.amount % 1000000000) AS BIGINT) FROM tollgate.direct_before d WHERE d.day = rollups.day AND d.item = rollups.item)
WHERE grain = 'house'
    AND NOT EXISTS (SELECT 1 FROM tollgate.rollups o WHERE o.grain = 'house' AND o.day = rollups.day AND o.item = rollups.item AND o.id < rollups.id)
    AND EXISTS (SELECT 1 FROM tollgate.direct_before d WHERE d.day = rollups.day AND d.item = rollups.item);

DROP TABLE tollgate.direct_before;

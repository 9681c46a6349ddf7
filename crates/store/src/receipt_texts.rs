//! What pages of receipts ask the database, in both directions: `[newest first, oldest first]`.

use crate::engine::Sql;

/// What only the row tells. `$8` and those before it are the index's.
macro_rules! rest {
    () => {
        "(user_id = $9 OR $9 IS NULL) AND (provider = $10 OR $10 = '') AND (model = $11 OR $11 = '') \
         AND (surface = $12 OR $12 = '') AND (outcome = $13 OR $13 = '' OR ($13 = 'not ok' AND outcome <> 'ok')) "
    };
}

/// The receipts of a stretch.
macro_rules! stretch {
    ($kind:ident) => {
        [stretch!(@ $kind, "<", ">=", " DESC"), stretch!(@ $kind, ">", "<=", "")]
    };
    // By the row.
    (@ rows, $beyond:literal, $until:literal, $order:literal) => {
        stretch!(@@ "", $beyond, $until, $order)
    };
    // By the row, of those that went wrong, which have an index of their own.
    (@ trouble, $beyond:literal, $until:literal, $order:literal) => {
        stretch!(@@ "AND outcome <> 'ok' ", $beyond, $until, $order)
    };
    (@@ $trouble:literal, $beyond:literal, $until:literal, $order:literal) => {
        sql!(
            "SELECT ", receipt_columns!(), " FROM tollgate.receipts WHERE account_id = $1 ",
            "AND (started_at, request_id, attempt) ", $beyond, " ($2, $3, $4) ",
            "AND (started_at, request_id, attempt) ", $until, " ($5, $6, $7) ", $trouble,
            "AND (key_id = $8 OR $8 IS NULL) AND ", rest!(), "ORDER BY started_at", $order, ", request_id", $order,
            ", attempt", $order, " LIMIT $14"
        )
    };
    // Of one key.
    (@ key, $beyond:literal, $until:literal, $order:literal) => {
        stretch!(@@@ "key_id = $8", $beyond, $until, $order)
    };
    // Of the keys of a user, which are looked up among the entries and not the entries for each of them: `IS TRUE` keeps a
    // planner from that.
    (@ user, $beyond:literal, $until:literal, $order:literal) => {
        stretch!(
            @@@ "(key_id IN (SELECT id FROM tollgate.api_keys WHERE user_id = $8 AND account_id = $1)) IS TRUE",
            $beyond, $until, $order
        )
    };
    // First by the index alone, then by the row.
    (@@@ $key:literal, $beyond:literal, $until:literal, $order:literal) => {
        sql!(
            "SELECT ", receipt_columns!(), " FROM (SELECT started_at AS began, request_id AS request, attempt AS try ",
            "FROM tollgate.receipts WHERE account_id = $1 ",
            "AND (started_at, request_id, attempt) ", $beyond, " ($2, $3, $4) ",
            "AND (started_at, request_id, attempt) ", $until, " ($5, $6, $7) AND ", $key, ") AS entries ",
            "CROSS JOIN tollgate.receipts WHERE request_id = request AND attempt = try AND ", rest!(),
            "ORDER BY began", $order, ", request", $order, ", try", $order, " LIMIT $14"
        )
    };
}

pub(crate) const ROWS_OF: [Sql; 2] = stretch!(rows);
pub(crate) const TROUBLE_OF: [Sql; 2] = stretch!(trouble);
pub(crate) const OF_KEY: [Sql; 2] = stretch!(key);
pub(crate) const OF_USER: [Sql; 2] = stretch!(user);

/// The place so many entries of the index on, if it is not beyond the end of the stretch.
macro_rules! end {
    ($trouble:literal) => {
        [end!(@ $trouble, "<", ">=", " DESC"), end!(@ $trouble, ">", "<=", "")]
    };
    (@ $trouble:literal, $beyond:literal, $until:literal, $order:literal) => {
        sql!(
            "SELECT started_at, request_id, attempt FROM tollgate.receipts WHERE account_id = $1 ",
            "AND (started_at, request_id, attempt) ", $beyond, " ($2, $3, $4) ",
            "AND (started_at, request_id, attempt) ", $until, " ($5, $6, $7) ", $trouble,
            "ORDER BY started_at", $order, ", request_id", $order, ", attempt", $order, " LIMIT 1 OFFSET $8"
        )
    };
}
pub(crate) const END: [Sql; 2] = end!("");
pub(crate) const END_OF_TROUBLE: [Sql; 2] = end!("AND outcome <> 'ok' ");

/// How many entries of the index there are in a stretch that is known to have few.
macro_rules! count {
    ($trouble:literal) => {
        [count!(@ $trouble, "<", ">="), count!(@ $trouble, ">", "<=")]
    };
    (@ $trouble:literal, $beyond:literal, $until:literal) => {
        sql!(
            "SELECT COUNT(*) FROM tollgate.receipts WHERE account_id = $1 ",
            "AND (started_at, request_id, attempt) ", $beyond, " ($2, $3, $4) ",
            "AND (started_at, request_id, attempt) ", $until, " ($5, $6, $7)", $trouble
        )
    };
}
pub(crate) const COUNT: [Sql; 2] = count!("");
pub(crate) const COUNT_OF_TROUBLE: [Sql; 2] = count!(" AND outcome <> 'ok'");

/// The next day on which there is anything of a model: not after `$3`, or not before it.
macro_rules! used {
    ($day:literal) => {
        sql!("SELECT ", $day, " $3 AND item >= $4 AND item < $5")
    };
}
pub(crate) const USED: [Sql; 2] = [
    used!("MAX(day) FROM tollgate.rollups WHERE grain = $1 AND id = $2 AND day <="),
    used!("MIN(day) FROM tollgate.rollups WHERE grain = $1 AND id = $2 AND day >="),
];

pub(crate) const BY_SIZE: Sql = sql!(
    "SELECT ",
    receipt_columns!(),
    " FROM tollgate.receipts WHERE account_id = $1 AND started_at >= $2 AND started_at < $3 ",
    "AND (CASE CAST($4 AS BIGINT) WHEN 1 THEN charge WHEN 2 THEN input_tokens ELSE output_tokens END * CAST($5 AS BIGINT), ",
    "started_at, request_id, attempt) < ($6, $7, $15, $16) ",
    "AND (key_id = $8 OR $8 IS NULL) AND ",
    rest!(),
    "ORDER BY CASE CAST($4 AS BIGINT) WHEN 1 THEN charge WHEN 2 THEN input_tokens ELSE output_tokens END * CAST($5 AS BIGINT) DESC, ",
    "started_at DESC, request_id DESC, attempt DESC LIMIT $14"
);
pub(crate) const WITHIN: Sql = sql!(
    "SELECT CAST(COALESCE(SUM(receipts), 0) AS BIGINT) FROM tollgate.rollups ",
    "WHERE grain = 'account' AND id = $1 AND day >= $2 AND day < $3"
);

-- Proof of what people do to the books: every entry of the audit log is a link of a chain, signed by whoever writes it.

-- engine: all

-- One for each entry of the audit log from here on, under its number. `wrote` has a line for each row of the books that the act has
-- written: the table, the row, and the SHA-256 of what it holds. `previous` is the hash of the link before, zeros in the first.
-- `hash` is over the entry, `wrote` and `previous`. Whoever writes without a key leaves `signature` out.
CREATE TABLE tollgate.act_proofs (
    number BIGINT NOT NULL PRIMARY KEY CHECK (number > 0),
    wrote TEXT NOT NULL,
    previous BYTEA NOT NULL CHECK (length(previous) = 32),
    hash BYTEA NOT NULL CHECK (length(hash) = 32),
    signature BYTEA CHECK (length(signature) = 64),
    public_key BYTEA CHECK (length(public_key) = 32),
    CHECK ((signature IS NULL) = (public_key IS NULL))
);

-- What else a seal vouches for: the newest link of that chain when it was made, and what of the batch the house has paid, an
-- id and a hash for each transaction. NULL in seals of before.
ALTER TABLE tollgate.seals ADD COLUMN acts BIGINT;
ALTER TABLE tollgate.seals ADD COLUMN acts_hash BYTEA;
ALTER TABLE tollgate.seals ADD COLUMN absorbed BYTEA;

-- Each batch looks for those that were set while its requests were under way.
CREATE INDEX budgets_by_age ON tollgate.budgets (created_at) WHERE removed_at IS NULL;

-- engine: sqlite

CREATE TRIGGER act_proofs_no_update BEFORE UPDATE ON act_proofs
BEGIN SELECT RAISE(ABORT, 'act_proofs is append-only'); END;
CREATE TRIGGER act_proofs_no_delete BEFORE DELETE ON act_proofs
BEGIN SELECT RAISE(ABORT, 'act_proofs is append-only'); END;

-- engine: postgres

CREATE TRIGGER act_proofs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tollgate.act_proofs
FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();

-- What is hashed of a seal, as a number: a program that meets a greater one than it knows cannot judge the seal.

-- engine: all

-- 0: of before the form was named.
ALTER TABLE tollgate.seals ADD COLUMN form BIGINT NOT NULL DEFAULT 0;

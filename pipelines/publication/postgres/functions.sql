-- What PostgreSQL does by itself: refuse, tell, chain, count, log who reads, erase.
-- Each function's search path is fixed, so that nobody's own table or operator is taken for ours.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql
SET search_path = equipoise, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'predictions' AND current_user = 'equipoise_erasure' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is only ever added to: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

-- When it happened is the server's to say: a moment of the writer's could be of another day, and
-- what readers are told that they saw would be another thing than they did.
CREATE FUNCTION say_when() RETURNS trigger LANGUAGE plpgsql
SET search_path = equipoise, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    CASE TG_TABLE_NAME
        WHEN 'audits' THEN NEW.recorded_at := clock_timestamp();
        WHEN 'publications' THEN NEW.published_at := clock_timestamp();
        WHEN 'withdrawals' THEN NEW.changed_at := clock_timestamp();
    END CASE;
    RETURN NEW;
END $$;

-- Told at commit, so that the chain's lock is held for no longer than that.
CREATE FUNCTION tell_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = equipoise, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    told text := TG_ARGV[0];
BEGIN
    IF TG_TABLE_NAME = 'withdrawals' THEN told := NEW.state; END IF;
    INSERT INTO event_log (event, study, payload) VALUES (told, NEW.study, to_jsonb(NEW)::text);
    RETURN NULL;
END $$;

CREATE FUNCTION event_hash(number bigint, event text, study text, payload text, previous text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT encode(sha256(convert_to(
        concat_ws(chr(10), number::text, event, study, payload, previous), 'UTF8')), 'hex')
$$;

-- Whatever number and hashes a row came with, it gets those that follow.
CREATE FUNCTION chain_event() RETURNS trigger LANGUAGE plpgsql
SET search_path = equipoise, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    head event_log;
BEGIN
    PERFORM pg_advisory_xact_lock(4506873122);
    SELECT * INTO head FROM event_log ORDER BY event_number DESC LIMIT 1;
    NEW.event_number := coalesce(head.event_number, 0) + 1;
    NEW.previous_sha256 := coalesce(head.event_sha256, repeat('0', 64));
    NEW.event_sha256 := event_hash(
        NEW.event_number, NEW.event, NEW.study, NEW.payload, NEW.previous_sha256);
    RETURN NEW;
END $$;

CREATE FUNCTION log_head() RETURNS TABLE (event_number bigint, event_sha256 text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = equipoise, pg_temp SET timezone = 'UTC' AS $$
    SELECT event_number, event_sha256 FROM event_log ORDER BY event_number DESC LIMIT 1
$$;

CREATE FUNCTION broken_event_numbers() RETURNS SETOF bigint
LANGUAGE sql STABLE
SET search_path = equipoise, pg_temp SET timezone = 'UTC' AS $$
    SELECT event_number FROM (
        SELECT *, row_number() OVER (ORDER BY event_number) AS place,
            coalesce(lag(event_sha256) OVER (ORDER BY event_number), repeat('0', 64)) AS before
        FROM event_log
    ) AS log
    WHERE event_number <> place OR previous_sha256 <> before
        OR event_sha256 <> event_hash(event_number, event, study, payload, previous_sha256)
$$;

-- Who adds rows to a publication of yesterday adds to what was audited: refused, by transaction.
CREATE FUNCTION require_own_publication() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = equipoise, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT generation_id FROM incoming_rows) AS added
        LEFT JOIN publications ON publications.generation_id = added.generation_id
            AND publications.xmin = pg_current_xact_id()::xid
        WHERE publications.generation_id IS NULL
    ) THEN
        RAISE EXCEPTION 'a publication gets its predictions in its own transaction'
            USING ERRCODE = 'restrict_violation';
    END IF;
    -- Not left to the end: who asks early whether a publication is whole adds no row afterwards.
    IF EXISTS (
        SELECT FROM publications
        WHERE generation_id IN (SELECT generation_id FROM incoming_rows) AND row_count < (
            SELECT count(*) FROM predictions
            WHERE predictions.generation_id = publications.generation_id
        )
    ) THEN
        RAISE EXCEPTION 'a publication has no more predictions than it says'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION require_whole_publication() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = equipoise, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    IF NEW.row_count <> (
        SELECT count(*) FROM predictions WHERE generation_id = NEW.generation_id
    ) THEN
        RAISE EXCEPTION 'a publication has all of its predictions or is none'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION granted_studies() RETURNS text[] LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = equipoise, pg_temp SET timezone = 'UTC' AS $$
    SELECT coalesce(array_agg(study_grants.study), '{}')
    FROM study_grants
    JOIN pg_catalog.pg_roles ON pg_roles.rolname = study_grants.role_name
    WHERE pg_has_role(session_user, pg_roles.oid, 'MEMBER')
$$;

-- PostgreSQL has no trigger on SELECT, so the policy of a table asks this function, once a query,
-- whose studies may be read: it writes down who asked. A reader who rolls back takes the row along,
-- but not its number from the sequence, nor the line in the server's log; a read in a transaction
-- that may write nothing is refused.
CREATE FUNCTION granted_and_told(relation text) RETURNS text[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = equipoise, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    INSERT INTO access_log (reader, relation, read_at, backend)
    VALUES (session_user, relation, clock_timestamp(), pg_backend_pid());
    RAISE LOG 'equipoise: % reads %', session_user, relation;
    RETURN granted_studies();
END $$;

-- COPY takes no table with row-level security: it fills this one, of the session alone.
CREATE FUNCTION open_incoming() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = equipoise, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    CREATE TEMPORARY TABLE incoming (LIKE equipoise.predictions) ON COMMIT DROP;
    GRANT SELECT, INSERT ON pg_temp.incoming TO equipoise_writer;
END $$;

-- HMAC-SHA256 (RFC 2104) of a text, for a key of 32 bytes; as 64 hex digits.
CREATE FUNCTION keyed_hash(key bytea, said text) RETURNS text LANGUAGE plpgsql IMMUTABLE
SET search_path = equipoise, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    inner_pad bytea := decode(repeat('36', 64), 'hex');
    outer_pad bytea := decode(repeat('5c', 64), 'hex');
BEGIN
    FOR place IN 0..31 LOOP
        inner_pad := set_byte(inner_pad, place, get_byte(key, place) # 54);
        outer_pad := set_byte(outer_pad, place, get_byte(key, place) # 92);
    END LOOP;
    RETURN encode(sha256(outer_pad || sha256(inner_pad || convert_to(said, 'UTF8'))), 'hex');
END $$;

-- Runs as a role that nobody has: ``refuse_change`` knows it by that. It hashes the subject itself,
-- with a key that it is lent and that must be the one of the study's first erasure: nobody is
-- erased under the tombstone of another, who would be left out in their place.
CREATE FUNCTION erase_subject(
    of_study text, subject bigint, tombstone_key bytea, for_ground text, by_whom text
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = equipoise, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    found bigint;
    number bigint;
    hash text := keyed_hash(tombstone_key, subject::text);
    key_hash text := encode(sha256(tombstone_key), 'hex');
BEGIN
    IF NOT granted_studies() && ARRAY[of_study, '*'] THEN
        RAISE EXCEPTION 'the study is not granted' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF length(tombstone_key) <> 32
        OR EXISTS (SELECT FROM erasures WHERE study = of_study AND key_sha256 <> key_hash) THEN
        RAISE EXCEPTION 'not the key that made the study''s tombstones'
            USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT count(*) INTO found FROM predictions WHERE study = of_study AND subject_id = subject;
    SELECT erasure_number INTO number FROM erasures
    WHERE study = of_study AND subject_hash = hash;
    IF number IS NULL THEN
        INSERT INTO erasures (
            study, subject_hash, key_sha256, ground, erased_by, login, erased_at, row_count)
        VALUES (
            of_study, hash, key_hash, for_ground, by_whom, session_user, clock_timestamp(), found)
        RETURNING erasure_number INTO number;
    END IF;
    INSERT INTO erased_rows (generation_id, commitment, study, erasure_number)
    SELECT generation_id, commitment, study, number FROM predictions
    WHERE study = of_study AND subject_id = subject;
    DELETE FROM predictions WHERE study = of_study AND subject_id = subject;
    RETURN found;
END $$;

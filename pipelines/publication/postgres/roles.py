"""Who may do what in PostgreSQL: group roles without a login, and their rights, as a table.

A person or a service logs in under a name of its own and is granted one of the group roles; an
analyst sees the studies that ``study_grants`` names for one of its roles, ``*`` being all of them.
The owner makes the schema and has no login either; ``equipoise_erasure`` is nobody's: one function
runs as it, and it alone may delete, predictions alone.

Out of scope: a superuser passes by all of this.
"""

from pipelines.publication.schema import CONTRACT, PREDICTIONS

SCHEMA = "equipoise"
OWNER = "equipoise_owner"
WRITER = "equipoise_writer"
ANALYST = "equipoise_analyst"
AUDITOR = "equipoise_auditor"
ERASER = "equipoise_eraser"
ERASURE = "equipoise_erasure"
ROLES = (OWNER, WRITER, ANALYST, AUDITOR, ERASER, ERASURE)

TABLES = tuple(table.name for table in CONTRACT)
VIEWS = (
    "publication_states",
    "predictions_published",
    "predictions_current",
    "predictions_withdrawn",
)
READ_FUNCTIONS = ("predictions_as_of(date)", "predictions_seen_at(timestamptz)")
# An analyst reads all of a prediction but what would test a guess at an erased one.
PUBLIC_COLUMNS = tuple(
    name for name in PREDICTIONS.columns if name not in ("row_key", "commitment")
)

_ADDED = ("audits", "approvals", "releases", "publications", "withdrawals")
# (role, right, table or view).
TABLE_RIGHTS: tuple[tuple[str, str, str], ...] = (
    *((WRITER, "SELECT, INSERT", table) for table in _ADDED),
    (WRITER, "INSERT", "predictions"),
    (WRITER, "SELECT", "erasures"),
    (WRITER, "SELECT", "publication_states"),
    *((ANALYST, "SELECT", table) for table in _ADDED),
    (ANALYST, f"SELECT ({', '.join(PUBLIC_COLUMNS)})", "predictions"),
    *((ANALYST, "SELECT", view) for view in VIEWS),
    *((AUDITOR, "SELECT", table) for table in (*TABLES, *VIEWS, "access_log", "study_grants")),
    (ERASURE, "SELECT, DELETE", "predictions"),
    (ERASURE, "SELECT, INSERT", "erasures"),
    (ERASURE, "INSERT", "erased_rows"),
)
# (role, right, sequence): its last number tells an auditor of reads that were taken back.
SEQUENCE_RIGHTS: tuple[tuple[str, str, str], ...] = (
    (AUDITOR, "SELECT", "access_log_read_number_seq"),
)
# (role, function).
FUNCTION_RIGHTS: tuple[tuple[str, str], ...] = (
    *((role, function) for role in (ANALYST, AUDITOR) for function in READ_FUNCTIONS),
    *((role, "granted_studies()") for role in (WRITER, ANALYST, AUDITOR, ERASER)),
    *((role, "granted_and_told(text)") for role in (ANALYST, AUDITOR)),
    *((role, "log_head()") for role in (WRITER, AUDITOR, ERASER)),
    (WRITER, "open_incoming()"),
    (AUDITOR, "broken_event_numbers()"),
    (AUDITOR, "event_hash(bigint, text, text, text, text)"),
    (ERASER, "erase_subject(text, bigint, bytea, text, text)"),
)
# Whose rows a policy lets through: (name, table, command, role, condition).
_MINE = "(SELECT equipoise.granted_studies()) && ARRAY[study::text, '*']"
_MINE_TOLD = "(SELECT equipoise.granted_and_told('predictions')) && ARRAY[study::text, '*']"
POLICIES: tuple[tuple[str, str, str, str, str], ...] = (
    *(("read_by_study", table, "SELECT", f"{WRITER}, {ANALYST}", _MINE) for table in _ADDED),
    *(
        ("audited_by_study", table, "SELECT", AUDITOR, _MINE)
        for table in TABLES
        if table != "predictions"
    ),
    *(("added_by_study", table, "INSERT", WRITER, _MINE) for table in (*_ADDED, "predictions")),
    ("left_out_by_study", "erasures", "SELECT", WRITER, _MINE),
    ("read_and_told", "predictions", "SELECT", f"{ANALYST}, {AUDITOR}", _MINE_TOLD),
    *(("counted", table, "SELECT", OWNER, "true") for table in ("publications", "predictions")),
    ("counted", "erased_rows", "SELECT", OWNER, "true"),
    ("chained", "event_log", "SELECT", OWNER, "true"),
    ("told", "event_log", "INSERT", OWNER, "true"),
    ("found", "predictions", "SELECT", ERASURE, "true"),
    ("erased", "predictions", "DELETE", ERASURE, "true"),
    ("found", "erasures", "SELECT", ERASURE, "true"),
    ("entombed", "erasures", "INSERT", ERASURE, "true"),
    ("kept", "erased_rows", "INSERT", ERASURE, "true"),
)


def role_statements() -> list[str]:
    """Make the roles that are not there yet; roles belong to the server, not to the database."""
    return [
        f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        for role in ROLES
    ]


def sequence_statements() -> list[str]:
    """The rights to sequences; granted again where they stand already, nothing changes."""
    return [
        f"GRANT {right} ON SEQUENCE {SCHEMA}.{name} TO {role}"
        for role, right, name in SEQUENCE_RIGHTS
    ]


def right_statements() -> list[str]:
    """Row-level security and grants; everything else is nobody's."""
    return [
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {', '.join(ROLES[1:])}",
        *(f"ALTER TABLE {SCHEMA}.{name} ENABLE ROW LEVEL SECURITY" for name in TABLES),
        *(f"ALTER TABLE {SCHEMA}.{name} FORCE ROW LEVEL SECURITY" for name in TABLES),
        *map(_policy, POLICIES),
        *(f"GRANT {right} ON {SCHEMA}.{name} TO {role}" for role, right, name in TABLE_RIGHTS),
        *sequence_statements(),
        f"REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA {SCHEMA} FROM PUBLIC",
        *(
            f"GRANT EXECUTE ON FUNCTION {SCHEMA}.{function} TO {role}"
            for role, function in FUNCTION_RIGHTS
        ),
        # One installation writes and audits all of its studies; an analyst is granted each.
        *(
            f"INSERT INTO {SCHEMA}.study_grants VALUES ('{role}', '*')"  # noqa: S608 - own names
            for role in (WRITER, AUDITOR, ERASER)
        ),
    ]


def reading_rights() -> list[str]:
    """The rights to what shows predictions, for views and functions that were made anew."""
    shown = (*VIEWS, "predictions")
    return [
        *(
            f"GRANT {right} ON {SCHEMA}.{name} TO {role}"
            for role, right, name in TABLE_RIGHTS
            if name in shown
        ),
        *(f"REVOKE EXECUTE ON FUNCTION {SCHEMA}.{each} FROM PUBLIC" for each in READ_FUNCTIONS),
        *(
            f"GRANT EXECUTE ON FUNCTION {SCHEMA}.{function} TO {role}"
            for role, function in FUNCTION_RIGHTS
            if function in READ_FUNCTIONS
        ),
    ]


def _policy(policy: tuple[str, str, str, str, str]) -> str:
    name, table, command, role, condition = policy
    clause = "WITH CHECK" if command == "INSERT" else "USING"
    return (
        f"CREATE POLICY {name} ON {SCHEMA}.{table} FOR {command} TO {role} {clause} ({condition})"
    )

"""The functions and triggers of PostgreSQL: what it does by itself is in ``functions.sql``."""

from importlib.resources import files

from pipelines.publication.postgres.roles import TABLES
from pipelines.publication.views import QUESTIONS

FUNCTIONS = (files("pipelines.publication.postgres") / "functions.sql").read_text("utf-8")
READ_FUNCTIONS = tuple(
    f"CREATE FUNCTION {name}({argument} {kind}) RETURNS SETOF predictions_published "
    f"LANGUAGE sql STABLE AS $$ {query} $$"
    for name, (argument, kind, query) in QUESTIONS.items()
)
_TOLD = {
    "audits": "audit",
    "approvals": "approval",
    "releases": "release",
    "publications": "publication",
    "withdrawals": "",
    "erasures": "erasure",
}
TIMED = ("audits", "publications", "withdrawals")
TRIGGERS = (
    *(
        f"CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        for table in (*TABLES, "access_log")
    ),
    *(
        f"CREATE CONSTRAINT TRIGGER told AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED "
        f"FOR EACH ROW EXECUTE FUNCTION tell_event('{event}')"
        for table, event in _TOLD.items()
    ),
    *(
        f"CREATE TRIGGER timed BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION say_when()"
        for table in TIMED
    ),
    "CREATE TRIGGER chained BEFORE INSERT ON event_log FOR EACH ROW EXECUTE FUNCTION chain_event()",
    "CREATE TRIGGER of_this_transaction AFTER INSERT ON predictions "
    "REFERENCING NEW TABLE AS incoming_rows "
    "FOR EACH STATEMENT EXECUTE FUNCTION require_own_publication()",
    "CREATE CONSTRAINT TRIGGER whole AFTER INSERT ON publications DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION require_whole_publication()",
)

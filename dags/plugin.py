"""What Airflow has to know of us beside the DAGs: it finds this by the project's entry point."""

from airflow.plugins_manager import AirflowPlugin

from dags.exchange import ExchangeTimetable


class EquipoisePlugin(AirflowPlugin):
    """Registers the timetable, or no DAG that bears it could be stored."""

    name = "equipoise"
    timetables = [ExchangeTimetable]  # noqa: RUF012 - Airflow's attribute

"""An Airflow on this machine, for development, the demo and the tests: nothing of it runs in production."""

"""What the DAG and the Airflow page are built from. Nothing in this package imports the worker.

Read in this order:

- `step`: what an operator is told to run.
- `process`: one worker command as a child process; `outcome`: what its end means to the scheduler.
- `command`: commands that a TaskFlow task runs on Airflow's machine (checks, planning).
- `backends`: where the pipeline's steps run; the protocol, the registry, and one module for each backend.
- `sensor`, `arrivals`, `notify`: the last task, the trigger for new recordings, and the message about a run's end.
- `page`: the page in Airflow's navigation.
"""

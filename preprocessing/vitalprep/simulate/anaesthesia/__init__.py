"""What is done to the body: the plan, the anaesthetist's decisions, the pumps, the surgeon."""

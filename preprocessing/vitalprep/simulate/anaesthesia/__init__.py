"""The anaesthetic: plan, anaesthetist's decisions, infusion pumps, surgical stimulus."""

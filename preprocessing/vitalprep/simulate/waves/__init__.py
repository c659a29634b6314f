"""The waves of a case at their real sample rates, driven by one sequence of heart beats and one of breaths."""

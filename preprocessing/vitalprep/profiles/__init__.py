"""Profiles of devices as data, one YAML overlay each; `vitalprep.contract.profiles` reads them."""

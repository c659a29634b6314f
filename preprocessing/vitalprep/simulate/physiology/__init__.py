"""Published models: pharmacokinetics, drug effects, and the response of brain, circulation and lungs."""

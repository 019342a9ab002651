"""A config.json becomes an Architecture, with evidence for every fact."""

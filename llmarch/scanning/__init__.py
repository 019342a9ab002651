"""Read many models: a row each, with facts, counts, findings and fingerprint."""

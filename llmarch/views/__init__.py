"""What people read, as neutral documents: models, comparisons, memory plans, evidence."""

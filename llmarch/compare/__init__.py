"""What changed between two architectures or checkpoints, and whether a build passes."""

"""What several test files share: models as files, a loopback Hub, readings of specs."""

"""Input that nobody would write by hand. ``schemathesis.toml`` is what Schemathesis is told."""

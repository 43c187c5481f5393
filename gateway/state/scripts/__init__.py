"""One ``.lua`` file per operation; ``lib/`` holds the functions that they share. See ``gateway.state.script``."""

"""Everything on one machine: a Valkey, one gateway and one worker. What `make run` starts."""

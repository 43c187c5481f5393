"""One file per resource; each says in its class what it needs and in ``blueprint`` where it answers."""

"""What a request passes before its route: proxies, origin, body size, session."""

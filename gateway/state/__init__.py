"""The contract between gateways and workers: all that they share, and the only code that issues Redis commands.

Gateways begin, follow and stop turns; workers claim, write and end them. Neither calls the other: everything goes
through the records, logs and queue named in ``keys``, and every change of a turn is one script in ``scripts/``.
"""

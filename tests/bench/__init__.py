"""What a turn and a chunk cost: the product beside yardsticks, measured in one run.

``python -m tests.bench`` (``make bench``, ``make bench-quick``) starts everything itself, on loopback, and ends it:

upstream    a stand-in Gemini, fast enough not to be the limit        client    a load client, cheap enough not to be it
naive       the relay one would write first: a yardstick              synthetic Quart and Hypercorn alone: another
feeder      a stand-in worker, to find what one gateway can hold      tap       a stand-in gateway, for one worker
product     gateways, a worker and Valkey, as they are deployed       measures/ what is measured, one file each
ledger      the figures of all rounds                                 targets   what they are held against

A machine's speed drifts while it is measured, so each round measures all systems one after the other, and only figures
of one round are ever compared.
"""

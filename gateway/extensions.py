"""What our server offers to our app beyond ASGI, by its name in a scope's ``extensions``."""

MAILBOX = "gateway.mailbox"
"""The ``gateway.mailbox.Mailbox`` in which the request arrives."""

PIPE = "gateway.pipe"
"""There from an answer's head on, if the length of its body is not known: takes the body's pieces, but for the last.
They are most of what is sent; who stands in the way of ASGI's messages has to do with the first and the last alone.
"""

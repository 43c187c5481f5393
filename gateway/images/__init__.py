"""Uploaded images: decoded whole, then written anew, so that what is kept is pixels and nothing else.

Decoders are where hostile bytes do harm, and they hold the interpreter's lock for long; so pictures are decoded in
processes of their own. On the gateway's side ``decoder`` hands pictures to a few of them, each of which is a
``child``; ``python -m gateway.images`` is such a process, with ``picture`` and ``extent`` for its work; ``frames`` are
what the two say to each other. The gateway never imports Pillow, and its children import nothing but what they need.
"""

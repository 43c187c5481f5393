"""What the HTTP API says of itself, in OpenAPI 3.1.

operation      one call as the tables put it
headers        what answers carry beside their bodies
conversation   the calls of a session            text, streams   an answer at once; an answer as it comes
service        health, pages and this document   document        all of it as OpenAPI, once, at start
page           the same for people
"""

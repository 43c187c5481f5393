"""From turn logs to browsers: one subscriber per process, many followers, each an event stream.

listener (gateway.state)  one connection that hears what is published
relay                     keeps it subscribed and alive, hands each message to the turn's followers
follower                  one reader's place in one log: live messages, the log itself where they do not suffice
stream                    a follower as the bytes of one HTTP response
sse                       what those bytes look like
"""

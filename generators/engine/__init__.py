"""How jobs travel between the gateway and the workers: one port, several engines. No torch here.

`port` says what every engine promises; `local` is the default (a child process over a private
socket); a network engine joins by implementing the same port and passing the same contract suite.
"""

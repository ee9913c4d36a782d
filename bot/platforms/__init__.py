"""Places where people meet: each turns what a member did into an `Invocation`, shows the `Reply`.

  web       the browser studio: pages, a live event stream, artifacts by permission
  discord   slash commands, buttons and modals through discord.py
  telegram  commands, inline keyboards and albums through python-telegram-bot

To add one: `platforms/x/` with a class that has `core.ports.Platform`'s three methods, a
`settings.py` that imports no client library, and an extra in `pyproject.toml`; `bot.app` builds it.
A platform knows `core` and `services`, never commands, the store or another platform. One that
needs HTTP routes (a webhook) has `routes()` and `close()` too, as `bot.http.RouteSource` says.
"""

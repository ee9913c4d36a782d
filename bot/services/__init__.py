"""Use cases, each one unit of work over the ports of core. They know no platform and no SQL.

  jobs        admission (one transaction), completion (first result wins), cancel, reading back
  dispatch    the fair order: which queued jobs go to the engine, and when; results; reconcile
  delivery    the outbox: every ended job is answered exactly once; progress updates on the way
  quota       limits, usage and estimates; reserve, settle, release
  history     one's past jobs, favourites, deletion
  moderation  whether a prompt may be worked on

`Services` is what commands get: built by `bot.app`, handed to the router.
"""

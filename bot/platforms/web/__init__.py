"""The browser studio: a chat page in which commands are typed, completed and answered live.

  platform   what `bot.app` builds: the three methods of a Platform, plus routes for `bot.http`
  guard      every request passes here: Host, Origin, visitor, size; and errors become pages
  visitors   who asks: a signed cookie makes a guest, a one-time link makes the owner
  pages, api, media, assets    the handlers: HTML, what the script calls, artifacts, static files
  uploads, pictures            files that come with a command; pictures of the history instead
  showcase, training           the models on offer; the owner's training runs, live (`runs` reads
                               them, `curves` draws the loss, `folders` hands their files out)
  hub        open tabs and what is pushed to them (server-sent events)
  turns      what was asked and answered, as the page shows it; `rendering` draws it with Jinja
  pieces     an answer's media as things made: each with its other formats and its plot
  markdown   model cards as plain values, so that nothing in them becomes markup
  forms      declared commands as JSON, for the composer's completion
  texts      every sentence of the pages, in every language

`templates/` and `static/` are served as they are: no build step.
"""

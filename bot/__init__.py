"""People and promises: the chat process. It never imports torch.

  core/       pure values (domain), what is said in chat (chat), ports, option parsing, signing
  services/   use cases, each one unit of work: jobs, dispatch, delivery, quota, moderation, history
  commands/   one `COMMAND` per file; walked, not listed
  platforms/  discord, telegram, web: each turns what a member did into an Invocation
  store/      SQL behind the ports of core, and their in-memory twin
  actions     what the buttons under every command's answers do
  router      Invocation -> command -> Reply;  http: the one web server;  app: puts it all together

To add a command, add `commands/x.py` with a `COMMAND`; to add a platform, add `platforms/x/` with a
`Platform` class and its own `settings.py`. Neither touches another file but its test.
"""

"""Discord: slash commands, buttons, menus and forms, through discord.py. It stays in this folder.

platform      what `bot.app` builds; keeps the connection up     client   discord.py as we need it
declare, sync     the core's commands as Discord declares them (`names`: in Chinese), told once
interactions      every interaction: read (`reading`), handled, shown, acknowledged in time
autocomplete, attachments    suggestions while typing; files that members send
http_mode         the same interactions over HTTP, without a gateway connection
address           where an answer goes, stored with the delivery
courier           shows answers now (`showing`) or later, tells progress (`progress`), posts, DMs;
                  `acknowledged`: whose token may be used; `wire`: the requests; `trouble`: what
                  a refusal means
rendering, drawing, components, cards, packing, modals, voice     how replies look
expressions, expression_kinds     emoji, stickers and soundboard sounds of what was made
checkup, invitation     what `atelier doctor` looks at and prints
settings          `ATELIER_DISCORD_*`; imports no client library
"""

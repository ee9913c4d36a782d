// What could come next in a line that is being typed. Pure: text in, suggestions out.
//
// A suggestion is {label, says, insert, from, to}: `insert` takes the place of from...to. `eager`
// tells whether Enter should take the first one, because the line makes no sense as it stands.

const COMMAND = /^\s*[/／]\s?(\S*)$/;
const NAMED = /^\s*[/／]\s?(\S+)/;
const LINE = /^\s*[/／]\s?(\S+)(\s)/;
const OPTION = /^([A-Za-z][\w-]*)[:：]("?)([^"]*)$/;
const NOTHING = { items: [], eager: false, hint: "" };

/** `all` asks for every option, not only those that what is typed points to. */
export function complete(text, caret, commands, { all = false } = {}) {
  const before = text.slice(0, caret);
  if (!before.trim()) return all ? completeCommand("", 0, caret, commands) : NOTHING;
  const start = before.match(COMMAND);
  if (start) return completeCommand(start[1].toLowerCase(), 0, caret, commands);
  const line = before.match(LINE);
  if (!line) return wrapWords(text, commands);
  const command = commands.find((one) => one.name === line[1].toLowerCase());
  return command ? completeOption(command, before, line[0].length, caret, all) : NOTHING;
}

/** The command that a line begins with, undefined where it names none. */
export function commandOf(text, commands) {
  const name = text.match(NAMED)?.[1].toLowerCase();
  return commands.find((one) => one.name === name);
}

function completeCommand(word, from, to, commands) {
  const starting = commands.filter((one) => one.name.startsWith(word));
  const holding = commands.filter((one) => !starting.includes(one)
    && word.length > 1 && `${one.name} ${one.summary}`.toLowerCase().includes(word));
  const exact = commands.find((one) => one.name === word);
  const items = [...starting, ...holding].map((one) => ({
    label: `/${one.name}`,
    says: one.summary,
    insert: `/${one.name} `,
    from,
    to,
  }));
  // `/ping` can be sent as it is; `/imagine` alone cannot.
  const complete = exact && !exact.options.some((option) => option.required);
  return { items, eager: !complete, hint: exact ? describe(exact) : "" };
}

// Words without a command: offer the commands that take words.
function wrapWords(text, commands) {
  const words = text.trim();
  const items = commands
    .filter((one) => one.options.some((option) => option.rest && option.required && option.type !== "image"))
    .map((one) => ({
      label: `/${one.name} ${words}`,
      says: one.summary,
      insert: `/${one.name} ${words}`,
      from: 0,
      to: text.length,
    }));
  return { items, eager: true, hint: "" };
}

function completeOption(command, before, begin, caret, all) {
  const from = wordStart(before, begin);
  const word = before.slice(from);
  const typed = word.match(OPTION);
  const option = typed && command.options.find((one) => one.name === typed[1].toLowerCase().replaceAll("-", "_"));
  if (option && !option.rest) {
    return completeValue(option, `${typed[1]}:`, typed[3], Boolean(typed[2]), from, caret);
  }
  const rest = command.options.find((one) => one.rest);
  if (rest?.choices.length) return completeValue(rest, "", word, false, from, caret);
  const used = new Set([...before.slice(begin).matchAll(/(?:^|\s)([A-Za-z][\w-]*)[:：]/g)]
    .map((match) => match[1].toLowerCase().replaceAll("-", "_")));
  const free = command.options.filter((one) => !one.rest && !used.has(one.name));
  const meant = word.length > 1 ? free.filter((one) => one.name.startsWith(word.toLowerCase())) : [];
  const shown = meant.length || !all ? meant : free;
  // Listed on request, options are put behind the word that the caret stands at.
  const at = meant.length ? from : caret;
  const space = at > 0 && !/\s/.test(before[at - 1]) ? " " : "";
  const items = shown.map((one) => ({
    label: `${one.name}:`,
    says: one.description + bounds(one),
    insert: `${space}${one.name}:`,
    from: at,
    to: caret,
  }));
  const wanting = rest && !before.slice(begin).trim();
  const hint = wanting ? `${rest.name}: ${rest.description}` : describe(command);
  return { items, eager: false, hint };
}

function completeValue(option, name, value, quoted, from, caret) {
  const choices = option.type === "boolean"
    ? [{ value: "yes", label: "yes" }, { value: "no", label: "no" }]
    : option.choices;
  const word = value.toLowerCase();
  const meant = choices.filter((one) => `${one.value} ${one.label}`.toLowerCase().includes(word));
  const exact = choices.some((one) => String(one.value).toLowerCase() === word);
  const items = meant.map((one) => {
    const text = String(one.value);
    const plain = /^[^\s"“:/][^\s]*$/.test(text);
    return {
      label: text,
      says: one.label === text ? "" : one.label,
      insert: `${name}${plain ? text : JSON.stringify(text)} `,
      from,
      to: caret,
    };
  });
  const hint = `${option.name}: ${option.description}${bounds(option)}`;
  return { items, eager: Boolean(word || quoted) && !exact && items.length > 0, hint };
}

// Where the word before the caret begins; an open quotation belongs to its word.
function wordStart(before, begin) {
  let start = begin;
  let quoted = false;
  for (let at = begin; at < before.length; at += 1) {
    if (before[at] === '"') quoted = !quoted;
    else if (!quoted && /\s/.test(before[at])) start = at + 1;
  }
  return start;
}

function describe(command) {
  const options = command.options.map((one) => (one.rest ? one.name : `${one.name}:`));
  return `/${command.name} ${options.join(" ")}`;
}

function bounds(option) {
  if (option.type === "string" || option.type === "boolean" || option.minimum === null) return "";
  return option.maximum === null ? ` (${option.minimum}…)` : ` (${option.minimum}…${option.maximum})`;
}

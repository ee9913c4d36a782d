// Begins everything that the page at hand has: each part looks for its own elements.

import { startComposer } from "./composer.js";
import { startConversation } from "./conversation.js";
import { startDialogs } from "./dialogs.js";
import { startPage } from "./page.js";
import { listen } from "./stream.js";

startPage();
startDialogs();

const conversation = startConversation();
const composer = startComposer(conversation);
if (composer) listen(conversation);

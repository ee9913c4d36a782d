// Begins everything that the page at hand has: each part looks for its own elements.

import { startComposer } from "./composer.js";
import { startConversation } from "./conversation.js";
import { startLightbox } from "./lightbox.js";
import { startPage } from "./page.js";
import { startPlayers } from "./players.js";
import { startRuns } from "./runs.js";
import { listen } from "./stream.js";
import { startUsing } from "./using.js";

startPage();
startPlayers();
startLightbox();
startRuns();

const conversation = startConversation();
const composer = startComposer(conversation);
startUsing(composer);
if (composer) listen(conversation);

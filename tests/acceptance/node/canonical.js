// Our own stream as a stranger reads it, with `eventsource-parser` over a plain `fetch`.

import { createParser } from "eventsource-parser";
import { answering } from "./answering.js";

async function frames(ask, told) {
  told.frames = [];
  told.comments = 0;
  const parser = createParser({
    onEvent: ({ id, event, data }) => told.frames.push({ id, event, data }),
    onComment: () => (told.comments += 1),
    onError: (error) => {
      throw error;
    },
  });
  const response = await fetch(ask.base, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(ask.body),
  });
  told.status = response.status;
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) parser.feed(text);
}

await answering(undefined, { frames });

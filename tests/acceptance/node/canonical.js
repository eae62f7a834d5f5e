// Our own stream as strangers read it: `eventsource-parser` over a plain `fetch`, and undici's `EventSource`, the browser's
// own kind of reader, whose GET a dispatcher turns into the POST that a message is.

import { createParser } from "eventsource-parser";
import { Agent, EventSource } from "undici";
import { answering } from "./answering.js";

const TERMINALS = ["message.completed", "message.failed", "message.canceled"];
const TYPES = [
  ...["message.started", "message.routed", "text.started", "text.delta", "text.completed", "reasoning.started"],
  ...["reasoning.delta", "reasoning.completed", "tool_call.started", "tool_call.delta", "tool_call.completed"],
  ...["tool_result", "source", "file", "data_frame", "data", "step.started", "step.completed", "input.requested", "usage"],
  ...["vendor.event", ...TERMINALS],
];

const posting = (body) =>
  new Agent().compose((dispatch) => (request, handler) => {
    const headers = { ...request.headers, "content-type": "application/json" };
    return dispatch({ ...request, method: "POST", headers, body: JSON.stringify(body) }, handler);
  });

async function events(ask, told) {
  told.frames = [];
  const dispatcher = posting(ask.body);
  const source = new EventSource(ask.base, { node: { dispatcher } });
  await new Promise((resolve, reject) => {
    source.onerror = () => reject(new Error("the stream ended before its terminal"));
    for (const type of TYPES) {
      source.addEventListener(type, ({ lastEventId, type: event, data }) => {
        told.frames.push({ id: lastEventId, event, data });
        if (TERMINALS.includes(type)) resolve();
      });
    }
  }).finally(() => source.close());
  await dispatcher.destroy();
}

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

await answering(undefined, { events, frames });

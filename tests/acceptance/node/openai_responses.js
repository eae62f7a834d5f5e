// OpenAI's own client, responses: `whole`, `plain` (the events as they come) and `helper` (its `.stream()`).
// With `keeps: "server"` only what is new is sent, with `previous_response_id`; else all that was said, as items.

import OpenAI from "openai";
import { answering } from "./answering.js";

class Responses {
  constructor(ask) {
    this.ask = ask;
    this.client = new OpenAI({ baseURL: ask.base, apiKey: ask.key ?? "none", defaultHeaders: ask.headers, timeout: 30_000 });
    this.items = [];
  }

  async say(text, turn) {
    await this.answer([{ role: "user", content: text }], turn);
  }

  async give(outputs, turn) {
    const items = outputs.map(({ id, output }) => ({
      type: "function_call_output",
      call_id: id,
      output: JSON.stringify(output),
    }));
    await this.answer(items, turn);
  }

  async answer(items, turn) {
    this.items.push(...items);
    const asked = { model: this.ask.route, input: this.items, ...this.ask.with };
    if (this.ask.keeps === "server") {
      asked.input = items;
      if (this.previous) asked.previous_response_id = this.previous;
    }
    if (this.ask.tools) asked.tools = this.ask.tools.map((tool) => ({ type: "function", strict: false, ...tool }));
    this.tell(await this[this.ask.mode](asked, turn), turn);
  }

  async whole(asked) {
    return await this.client.responses.create(asked);
  }

  async helper(asked, turn) {
    const stream = this.client.responses.stream(asked);
    stream.on("response.output_text.delta", (event) => (turn.text += event.delta));
    return await stream.finalResponse();
  }

  async plain(asked, turn) {
    let last;
    for await (const event of await this.client.responses.create({ ...asked, stream: true })) {
      if (event.type === "response.output_text.delta") turn.text += event.delta;
      last = event;
    }
    turn.last = last?.type;
    return last?.response;
  }

  tell(response, turn) {
    if (!response) return;
    const of = (type) => response.output.filter((item) => item.type === type);
    Object.assign(turn, {
      id: response.id,
      model: response.model,
      streamed: turn.text,
      text: of("message").flatMap((item) => item.content).map((part) => part.text ?? "").join(""),
      reasoning: of("reasoning")
        .flatMap((item) => [...(item.summary ?? []), ...(item.content ?? [])])
        .map((part) => part.text)
        .join(""),
      calls: of("function_call").map((call) => ({
        id: call.call_id,
        name: call.name,
        arguments: JSON.parse(call.arguments),
      })),
      sources: of("message")
        .flatMap((item) => item.content)
        .flatMap((part) => part.annotations ?? [])
        .map((note) => note.url),
      usage: response.usage && { input: response.usage.input_tokens, output: response.usage.output_tokens },
      finish: response.status,
      failed: response.error?.code ?? null,
      why: response.incomplete_details?.reason ?? null,
    });
    this.previous = response.id;
    this.items.push(...response.output);
  }
}

await answering((ask) => new Responses(ask));

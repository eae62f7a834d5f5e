// Anthropic's own client: `whole`, `plain` (the events as they come) and `helper` (its `.stream()`).

import Anthropic from "@anthropic-ai/sdk";
import { answering } from "./answering.js";

class Messages {
  constructor(ask) {
    this.ask = ask;
    this.client = new Anthropic({ baseURL: ask.base, apiKey: ask.key ?? "none", defaultHeaders: ask.headers, timeout: 30_000 });
    this.messages = [];
  }

  async say(text, turn) {
    await this.answer(text, turn);
  }

  async give(outputs, turn) {
    const results = outputs.map(({ id, output }) => ({
      type: "tool_result",
      tool_use_id: id,
      content: JSON.stringify(output),
    }));
    await this.answer(results, turn);
  }

  async answer(content, turn) {
    this.messages.push({ role: "user", content });
    const asked = { model: this.ask.route, max_tokens: 1024, messages: this.messages, ...this.ask.with };
    if (this.ask.tools) {
      asked.tools = this.ask.tools.map(({ name, description, parameters }) => ({
        name,
        description,
        input_schema: parameters,
      }));
    }
    await this[this.ask.mode](asked, turn);
  }

  async whole(asked, turn) {
    this.tell(await this.client.messages.create(asked), turn);
  }

  async helper(asked, turn) {
    const stream = this.client.messages.stream(asked);
    stream.on("text", (delta) => (turn.text += delta));
    this.tell(await stream.finalMessage(), turn);
  }

  async plain(asked, turn) {
    const blocks = [];
    for await (const event of await this.client.messages.create({ ...asked, stream: true })) {
      if (event.type === "message_start") {
        Object.assign(turn, { id: event.message.id, model: event.message.model, usage: counted(event.message.usage) });
      } else if (event.type === "content_block_start") {
        blocks[event.index] = event.content_block;
      } else if (event.type === "content_block_delta") {
        grow(blocks[event.index], event.delta, turn);
      } else if (event.type === "message_delta") {
        turn.finish = event.delta.stop_reason;
        turn.usage = counted(event.usage);
      }
    }
    for (const block of blocks) {
      if ("json" in block) block.input = JSON.parse(block.json || "{}");
      delete block.json;
      if (block.type === "tool_use") turn.calls.push({ id: block.id, name: block.name, arguments: block.input });
    }
    this.messages.push({ role: "assistant", content: blocks });
  }

  tell(message, turn) {
    const of = (type) => message.content.filter((block) => block.type === type);
    Object.assign(turn, {
      id: message.id,
      model: message.model,
      text: of("text").map((block) => block.text).join(""),
      reasoning: of("thinking").map((block) => block.thinking).join(""),
      calls: of("tool_use").map((block) => ({ id: block.id, name: block.name, arguments: block.input })),
      sources: of("text").flatMap((block) => block.citations ?? []).map((note) => note.url),
      usage: counted(message.usage),
      finish: message.stop_reason,
    });
    this.messages.push({ role: "assistant", content: message.content });
  }
}

/** What came from a cache or went into it is counted apart. */
function counted({ input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens }) {
  const cached = (cache_read_input_tokens ?? 0) + (cache_creation_input_tokens ?? 0);
  return { input: (input_tokens ?? 0) + cached, output: output_tokens };
}

function grow(block, delta, turn) {
  if (delta.type === "text_delta") {
    block.text += delta.text;
    turn.text += delta.text;
  } else if (delta.type === "thinking_delta") {
    block.thinking += delta.thinking;
    turn.reasoning += delta.thinking;
  } else if (delta.type === "signature_delta") {
    block.signature = delta.signature;
  } else if (delta.type === "input_json_delta") {
    block.json = (block.json ?? "") + delta.partial_json;
  } else if (delta.type === "citations_delta") {
    (block.citations ??= []).push(delta.citation);
    turn.sources.push(delta.citation.url);
  }
}

async function count_tokens(ask, told) {
  const client = new Anthropic({ baseURL: ask.base, apiKey: ask.key ?? "none", defaultHeaders: ask.headers });
  const messages = [{ role: "user", content: ask.text }];
  told.input = (await client.messages.countTokens({ model: ask.route, messages })).input_tokens;
}

async function models(ask, told) {
  const client = new Anthropic({ baseURL: ask.base, apiKey: ask.key ?? "none", defaultHeaders: ask.headers });
  told.models = [];
  for await (const model of client.models.list()) told.models.push(model.id);
  told.model = (await client.models.retrieve(told.models[0])).id;
}

await answering((ask) => new Messages(ask), { count_tokens, models });

// OpenAI's own client, chat completions: `whole`, `plain` (the chunks as they come) and `helper` (its `.stream()`).

import OpenAI from "openai";
import { answering } from "./answering.js";

class Completions {
  constructor(ask) {
    this.ask = ask;
    this.client = new OpenAI({ baseURL: ask.base, apiKey: ask.key ?? "none", defaultHeaders: ask.headers, timeout: 30_000 });
    this.messages = [];
  }

  async say(text, turn) {
    this.messages.push({ role: "user", content: text });
    await this.answer(turn);
  }

  async give(outputs, turn) {
    for (const { id, output } of outputs) {
      this.messages.push({ role: "tool", tool_call_id: id, content: JSON.stringify(output) });
    }
    await this.answer(turn);
  }

  async answer(turn) {
    const asked = { model: this.ask.route, messages: this.messages, ...this.ask.with };
    if (this.ask.tools) asked.tools = this.ask.tools.map((tool) => ({ type: "function", function: tool }));
    await this[this.ask.mode](asked, turn);
  }

  async whole(asked, turn) {
    this.tell(await this.client.chat.completions.create(asked), turn);
  }

  async helper(asked, turn) {
    const stream = this.client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
    stream.on("content", (delta) => (turn.text += delta));
    // The whole message keeps the last piece alone of a field that the client has no type for.
    stream.on("chunk", (chunk) => (turn.reasoning += chunk.choices[0]?.delta.reasoning_content ?? ""));
    const completion = await stream.finalChatCompletion();
    const { reasoning } = turn;
    this.tell(completion, turn);
    turn.reasoning = reasoning;
  }

  async plain(asked, turn) {
    const options = { stream: true, stream_options: { include_usage: true } };
    const calls = [];
    for await (const chunk of await this.client.chat.completions.create({ ...asked, ...options })) {
      Object.assign(turn, { id: chunk.id, model: chunk.model, usage: usage(chunk.usage) ?? turn.usage });
      for (const { delta, finish_reason } of chunk.choices) {
        turn.finish = finish_reason ?? turn.finish;
        turn.text += delta.content ?? "";
        turn.reasoning += delta.reasoning_content ?? "";
        turn.sources.push(...urls(delta.annotations));
        for (const call of delta.tool_calls ?? []) {
          calls[call.index] ??= { id: call.id, type: "function", function: { name: call.function.name, arguments: "" } };
          calls[call.index].function.arguments += call.function.arguments ?? "";
        }
      }
    }
    this.keep({ role: "assistant", content: turn.text || null, ...(calls.length > 0 && { tool_calls: calls }) }, turn);
  }

  tell(completion, turn) {
    const [{ message, finish_reason }] = completion.choices;
    Object.assign(turn, {
      id: completion.id,
      model: completion.model,
      text: message.content ?? "",
      reasoning: message.reasoning_content ?? "",
      sources: urls(message.annotations),
      usage: usage(completion.usage),
      finish: finish_reason,
    });
    this.keep(message, turn);
  }

  /** The answer goes into the history as a stranger would put it there. */
  keep(message, turn) {
    turn.calls = (message.tool_calls ?? []).map((call) => ({
      id: call.id,
      name: call.function.name,
      arguments: JSON.parse(call.function.arguments),
    }));
    this.messages.push(message);
  }
}

const urls = (annotations) => (annotations ?? []).map((note) => note.url_citation.url);
const usage = (counted) => counted && { input: counted.prompt_tokens, output: counted.completion_tokens };

async function models(ask, told) {
  const client = new OpenAI({ baseURL: ask.base, apiKey: ask.key ?? "none", defaultHeaders: ask.headers });
  told.models = [];
  for await (const model of client.models.list()) told.models.push(model.id);
  told.model = (await client.models.retrieve(told.models[0])).id;
}

await answering((ask) => new Completions(ask), { models });

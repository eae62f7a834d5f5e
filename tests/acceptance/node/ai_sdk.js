// The AI SDK's chat, in the version that is asked for (`ai5`, `ai6`, `ai`, which is 7). `turn.chunks` counts the states it went through.

import { answering } from "./answering.js";
import { chatOf } from "./chat.js";

class Conversation {
  static async open(ask, told) {
    const conversation = new Conversation();
    conversation.told = told;
    conversation.seen = 0;
    conversation.chat = await chatOf(ask.version, {
      base: ask.base,
      id: ask.id,
      headers: headersOf(ask),
      onError: (error) => (conversation.error = error),
      onFinish: ({ finishReason }) => (conversation.finish = finishReason),
    });
    return conversation;
  }

  async say(text, turn) {
    await this.chat.sendMessage({ text });
    this.tell(turn);
  }

  /** Results go into the answer that called; the chat then sends it back, and the stream goes on with it. */
  async give(outputs, turn) {
    for (const { id, name, output } of outputs) {
      await this.chat.addToolResult({ tool: name, toolCallId: id, output });
    }
    await this.chat.sendMessage();
    this.tell(turn);
  }

  tell(turn) {
    const { chat } = this;
    this.told.messages = chat.messages.map((message) => message.role);
    this.told.status = chat.status;
    const answer = chat.lastMessage?.role === "assistant" ? chat.lastMessage : { parts: [] };
    if (answer.id !== this.answering) this.seen = 0;
    this.answering = answer.id;
    read(answer.parts.slice(this.seen), turn);
    this.seen = answer.parts.length;
    Object.assign(turn, { id: answer.id, metadata: answer.metadata ?? null, finish: this.finish ?? null });
    if (this.error) throw this.error;
  }
}

function read(parts, turn) {
  turn.parts = parts.map((part) => part.type);
  for (const part of parts) {
    if (part.type === "text" || part.type === "reasoning") turn[part.type] += part.text;
    if (part.type === "source-url") turn.sources.push(part.url);
    if (part.type.startsWith("data-")) (turn.data ??= []).push(part.data);
    if (!part.toolCallId) continue;
    const name = part.type === "dynamic-tool" ? part.toolName : part.type.slice("tool-".length);
    const call = { id: part.toolCallId, name, arguments: part.input };
    if (part.state === "input-available") turn.calls.push(call);
    if (part.state === "output-available") turn.results.push({ ...call, output: part.output });
    if (part.state === "output-error") turn.results.push({ ...call, error: part.errorText });
    if (part.state === "approval-requested") (turn.approvals ??= []).push({ ...call, approval: part.approval.id });
  }
}

/** Stops as soon as there is text. */
async function stop(ask, told) {
  const chat = await chatOf(ask.version, { base: ask.base, headers: headersOf(ask) });
  const asked = chat.sendMessage({ text: ask.turns[0] });
  await seen(() => textOf(chat.lastMessage) !== "");
  await chat.stop();
  await asked;
  Object.assign(told, { text: textOf(chat.lastMessage), status: chat.status });
}

/** Says each of `turns`, approves what is then asked for, and lets the answer go on. */
async function approve(ask, told) {
  const conversation = await Conversation.open(ask, told);
  const [before, after] = [blank(), blank()];
  told.turns = [before, after];
  await conversation.say(ask.turns[0], before);
  for (const { approval } of before.approvals ?? []) {
    await conversation.chat.addToolApprovalResponse({ id: approval, approved: true });
  }
  await conversation.chat.sendMessage();
  conversation.tell(after);
}

async function resume(ask, told) {
  let failed;
  const chat = await chatOf(ask.version, { base: ask.base, id: ask.id, headers: headersOf(ask), onError: (error) => (failed = error) });
  await chat.resumeStream();
  if (failed) throw failed;
  Object.assign(told, { status: chat.status, messages: chat.messages.length });
}

const headersOf = ({ key, headers }) => ({ ...headers, ...(key && { Authorization: `Bearer ${key}` }) });

const blank = () => ({ text: "", reasoning: "", calls: [], results: [], sources: [] });

const textOf = (message) =>
  message?.role !== "assistant" ? "" : message.parts.filter((part) => part.type === "text").map((part) => part.text).join("");

async function seen(isSo) {
  const until = Date.now() + 20_000;
  while (!isSo()) {
    if (Date.now() > until) throw new Error("it never came");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

await answering(Conversation.open, { stop, approve, resume });

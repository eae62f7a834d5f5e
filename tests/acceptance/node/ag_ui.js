// AG-UI's own client, `HttpAgent`. What its subscriber is told of a run stands beside what its list of messages then holds.

import { HttpAgent } from "@ag-ui/client";
import { answering } from "./answering.js";

class Conversation {
  constructor(ask) {
    this.ask = ask;
    this.agent = new HttpAgent({
      url: ask.base,
      threadId: ask.id,
      headers: { ...ask.headers, ...(ask.key && { Authorization: `Bearer ${ask.key}` }) },
    });
    this.number = 0;
  }

  async say(text, turn) {
    this.number += 1;
    this.agent.addMessage({ id: `user-${this.number}`, role: "user", content: text });
    await this.run({}, turn);
  }

  async give(outputs, turn) {
    for (const { id, output } of outputs) {
      this.agent.addMessage({ id: `tool-${id}`, role: "tool", toolCallId: id, content: JSON.stringify(output) });
    }
    await this.run({}, turn);
  }

  /** The interrupts of the last run are answered, each as approved. */
  async resume(interrupts, payload, turn) {
    const resume = interrupts.map(({ id }) => ({ interruptId: id, status: "resolved", payload }));
    await this.run({ resume }, turn);
  }

  async run(parameters, turn) {
    const tools = this.ask.tools ?? [];
    turn.events = [];
    const { newMessages } = await this.agent.runAgent({ tools, ...parameters }, subscriber(turn));
    for (const message of newMessages) {
      if (message.role === "assistant") {
        turn.text += message.content ?? "";
        turn.calls.push(
          ...(message.toolCalls ?? []).map((call) => ({
            id: call.id,
            name: call.function.name,
            arguments: JSON.parse(call.function.arguments || "{}"),
          })),
        );
      }
      if (message.role === "reasoning") turn.reasoning += message.content;
      if (message.role === "tool") turn.results.push({ id: message.toolCallId, output: message.content });
    }
    const answered = new Set(turn.results.map(({ id }) => id));
    turn.calls = turn.calls.filter(({ id }) => !answered.has(id));
    if (turn.failed) throw Object.assign(new Error(turn.failed.message), { code: turn.failed.code });
  }
}

const subscriber = (turn) => ({
  onEvent: ({ event }) => void turn.events.push(event.type),
  onTextMessageContentEvent: ({ event }) => void (turn.streamed = (turn.streamed ?? "") + event.delta),
  onCustomEvent: ({ event }) => {
    if (event.name === "gateway.source") turn.sources.push(event.value.url);
    else (turn.data ??= []).push(event.value);
  },
  onRunErrorEvent: ({ event }) => void (turn.failed = event),
  onRunFinishedEvent: ({ event, outcome, pendingToolCallIds, interrupts }) => {
    const [usage] = event.usage ?? [];
    Object.assign(turn, {
      finish: outcome,
      pending: pendingToolCallIds ?? [],
      interrupts: interrupts ?? [],
      usage: usage ? { input: usage.inputTokens, output: usage.outputTokens } : null,
    });
  },
});

/** Says the first of `turns`, and resolves the interrupts that end its run. */
async function approve(ask, told) {
  const conversation = new Conversation(ask);
  const turns = [blank(), blank()];
  told.turns = turns;
  await conversation.say(ask.turns[0], turns[0]);
  await conversation.resume(turns[0].interrupts, ask.payload, turns[1]);
}

/** Aborts as soon as there is text. */
async function stop(ask, told) {
  const agent = new HttpAgent({ url: ask.base, headers: ask.headers });
  agent.addMessage({ id: "user-1", role: "user", content: ask.turns[0] });
  told.text = "";
  await agent.runAgent(
    {},
    {
      onTextMessageContentEvent: ({ event }) => {
        told.text += event.delta;
        agent.abortRun();
      },
    },
  );
}

const blank = () => ({ text: "", reasoning: "", calls: [], results: [], sources: [] });

await answering((ask) => new Conversation(ask), { approve, stop });

// A chat server as the AI SDK's manual has it, `streamText` behind POST /chat, with a mock model that obeys a word:
// `think`, `cite`, `tool` (for the client to run), `server-tool`, `break` (an error in mid-stream); else it repeats.

import { createServer } from "node:http";
import {
  convertToModelMessages,
  isStepCount,
  jsonSchema,
  pipeUIMessageStreamToResponse,
  streamText,
  toUIMessageStream,
  tool,
} from "ai";
import { MockLanguageModelV4, simulateReadableStream } from "ai/test";

const order = jsonSchema({ type: "object", properties: { orderId: { type: "string" } }, required: ["orderId"] });
const tools = {
  lookUp: tool({ description: "Looks up an order.", inputSchema: order }),
  lookUpHere: tool({ description: "The same.", inputSchema: order, execute: async () => ({ state: "shipped" }) }),
};

const text = (...deltas) => [
  { type: "text-start", id: "t" },
  ...deltas.map((delta) => ({ type: "text-delta", id: "t", delta })),
  { type: "text-end", id: "t" },
];
const call = (toolName) => [
  { type: "tool-input-start", id: "call-1", toolName },
  { type: "tool-input-delta", id: "call-1", delta: '{"orderId":' },
  { type: "tool-input-delta", id: "call-1", delta: '"42"}' },
  { type: "tool-input-end", id: "call-1" },
  { type: "tool-call", toolCallId: "call-1", toolName, input: '{"orderId":"42"}' },
];
const thought = [
  { type: "reasoning-start", id: "r" },
  { type: "reasoning-delta", id: "r", delta: "Greet." },
  { type: "reasoning-end", id: "r" },
];
const source = { type: "source", sourceType: "url", id: "s", url: "https://example.com/a", title: "A" };

function parts(prompt) {
  const last = prompt.at(-1);
  if (last.role === "tool") return text("It is ", last.content[0].output.value.state, ".");
  const asked = last.content.map((part) => part.text ?? "").join("");
  switch (asked) {
    case "think":
      return [...thought, ...text("Hel", "lo!")];
    case "cite":
      return [source, ...text("See A.")];
    case "tool":
      return call("lookUp");
    case "server-tool":
      return call("lookUpHere");
    case "break":
      return [...text("Let me").slice(0, 2), { type: "error", error: new Error("the model broke") }];
    default:
      return text("You said: ", asked, ", after ", `${prompt.length - 1} messages.`);
  }
}

const model = new MockLanguageModelV4({
  doStream: async ({ prompt }) => {
    const said = parts(prompt);
    const unified = said.some((part) => part.type === "tool-call") ? "tool-calls" : "stop";
    const usage = { inputTokens: { total: 12, noCache: 12 }, outputTokens: { total: 3, text: 3 } };
    const chunks = [
      { type: "stream-start", warnings: [] },
      ...said,
      { type: "finish", finishReason: { unified, raw: unified }, usage },
    ];
    return { stream: simulateReadableStream({ chunks }) };
  },
});

const server = createServer(async (request, response) => {
  if (request.method !== "POST") return response.writeHead(405).end();
  let body = "";
  for await (const piece of request) body += piece;
  const { messages } = JSON.parse(body);
  const result = streamText({
    model,
    tools,
    messages: await convertToModelMessages(messages),
    stopWhen: isStepCount(3),
    onError: () => {},
  });
  const stream = toUIMessageStream({
    stream: result.stream,
    tools,
    originalMessages: messages,
    sendSources: true,
    generateMessageId: () => crypto.randomUUID(),
    messageMetadata: ({ part }) => (part.type === "finish" ? { usage: part.totalUsage } : undefined),
    onError: (error) => error.message,
  });
  await pipeUIMessageStreamToResponse({ response, stream });
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })}\n`);
});

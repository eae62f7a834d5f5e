// The AI SDK's chat as a page has it, without a page: its own `AbstractChat` and transport, with a plain state.

export async function chatOf(version, { base, id, headers, ...options }) {
  const sdk = await import(version);
  const state = {
    status: "ready",
    error: undefined,
    messages: [],
    pushMessage: (message) => state.messages.push(message),
    popMessage: () => state.messages.pop(),
    replaceMessage: (index, message) => (state.messages[index] = message),
    snapshot: structuredClone,
  };
  class Chat extends sdk.AbstractChat {}
  const transport = new sdk.DefaultChatTransport({ api: base, headers });
  return new Chat({ id: id ?? sdk.generateId(), transport, state, ...options });
}

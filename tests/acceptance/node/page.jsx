// A chat page as the AI SDK's manual has it, against the endpoint that stands in its address: ?api=URL

import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { useState } from "react";
import { createRoot } from "react-dom/client";

const api = new URLSearchParams(location.search).get("api");
const transport = new DefaultChatTransport({ api });

function Part({ part }) {
  if (part.type === "text") return <span data-part="text">{part.text}</span>;
  if (part.type === "source-url") return <a href={part.url}>{part.title}</a>;
  if (!part.toolCallId) return null;
  return (
    <code data-part="tool" data-state={part.state}>
      {part.toolName ?? part.type.slice("tool-".length)} {JSON.stringify(part.input)}
    </code>
  );
}

function Page() {
  const { messages, sendMessage, stop, status, error } = useChat({ transport });
  const [input, setInput] = useState("");
  const send = (event) => {
    event.preventDefault();
    sendMessage({ text: input });
    setInput("");
  };
  return (
    <main data-status={status}>
      <ol>
        {messages.map((message) => (
          <li key={message.id} data-role={message.role}>
            {message.parts.map((part, index) => (
              <Part key={index} part={part} />
            ))}
          </li>
        ))}
      </ol>
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={send}>
        <input name="message" value={input} onChange={(event) => setInput(event.target.value)} />
        <button type="submit">Send</button>
        <button type="button" onClick={stop}>
          Stop
        </button>
      </form>
    </main>
  );
}

createRoot(document.getElementById("root")).render(<Page />);

// Headless Chromium with the chat page, served from an origin of its own. Each ask opens the page anew:
//   {"asks": "chat", "api": URL, "turns": [TEXT, ...], "screenshot"?: FILE}   says each, waiting for the answer
//   {"asks": "stop", "api": URL, "turns": [TEXT]}                             stops as soon as there is text

import { createServer } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { answering } from "./answering.js";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-proxy-server",
];

const bundle = await build({
  entryPoints: [join(import.meta.dirname, "page.jsx")],
  bundle: true,
  write: false,
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
});
const html = `<!doctype html><title>Chat</title><div id="root"></div><script type="module" src="/page.js"></script>`;
const server = createServer((request, response) => {
  const isScript = request.url === "/page.js";
  response.setHeader("Content-Type", isScript ? "text/javascript; charset=utf-8" : "text/html; charset=utf-8");
  response.end(isScript ? bundle.outputFiles[0].text : html);
});
await new Promise((resolve) => server.listen(Number(process.env.PAGE_PORT ?? 0), "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

const folder = await mkdtemp(join(tmpdir(), "chromium-"));
const browser = await chromium.launchPersistentContext(folder, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: FLAGS,
});

async function opened(ask, told) {
  const page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  told.console = [];
  page.on("console", (line) => line.type() === "error" && told.console.push(line.text()));
  page.on("pageerror", (error) => told.console.push(String(error)));
  await page.goto(`${origin}/?api=${encodeURIComponent(ask.api)}`);
  return page;
}

async function say(page, text) {
  await page.fill("input[name=message]", text);
  await page.click("button[type=submit]");
}

const settled = (page, answers) =>
  page.waitForFunction(
    (count) =>
      ["ready", "error"].includes(document.querySelector("main").dataset.status) &&
      document.querySelectorAll("li[data-role=user]").length === count,
    answers,
  );

async function shown(page, told) {
  const seen = await page.evaluate(() => ({
    status: document.querySelector("main").dataset.status,
    messages: [...document.querySelectorAll("li")].map((item) => ({
      role: item.dataset.role,
      text: [...item.querySelectorAll("[data-part=text]")].map((part) => part.textContent).join(""),
      tools: [...item.querySelectorAll("[data-part=tool]")].map((part) => [part.dataset.state, part.textContent]),
      sources: [...item.querySelectorAll("a")].map((link) => link.href),
    })),
    alert: document.querySelector("[role=alert]")?.textContent ?? null,
  }));
  Object.assign(told, seen);
}

async function chat(ask, told) {
  const page = await opened(ask, told);
  for (const [index, text] of ask.turns.entries()) {
    await say(page, text);
    await settled(page, index + 1);
  }
  await shown(page, told);
  if (ask.screenshot) await page.screenshot({ path: ask.screenshot });
  await page.close();
}

async function stop(ask, told) {
  const page = await opened(ask, told);
  await say(page, ask.turns[0]);
  await page.waitForFunction(() => document.querySelector("li[data-role=assistant] [data-part=text]")?.textContent);
  await page.click("button[type=button]");
  await settled(page, 1);
  await shown(page, told);
  await page.close();
}

await answering(undefined, { chat, stop });
await browser.close();
server.close();
await rm(folder, { recursive: true, force: true });

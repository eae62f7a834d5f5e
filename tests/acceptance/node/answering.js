// A client as a program, as tests/acceptance/clients/answering.py says: each line of its input is a conversation to have,
// and one line of its output what came of it.

import { createInterface } from "node:readline";

/** `open(ask)` begins a conversation that can `say` and `give`; `others` is what else can be asked, by name. */
export async function answering(open, others = {}) {
  for await (const line of createInterface({ input: process.stdin })) {
    const ask = JSON.parse(line);
    const told = {};
    try {
      if (ask.asks) await others[ask.asks](ask, told);
      else await converse(ask, told, await open(ask, told));
    } catch (error) {
      told.error = described(error);
    }
    process.stdout.write(`${JSON.stringify(told)}\n`);
  }
}

async function converse(ask, told, chat) {
  told.turns = [];
  for (const text of ask.turns) {
    let turn = opened(told);
    await chat.say(text, turn);
    while (turn.calls.length > 0 && ask.outputs) {
      const outputs = turn.calls.map(({ id, name }) => ({ id, name, output: ask.outputs[name] }));
      turn = opened(told);
      await chat.give(outputs, turn);
    }
  }
}

function opened(told) {
  const turn = { text: "", reasoning: "", calls: [], results: [], sources: [], usage: null, finish: null };
  told.turns.push(turn);
  return turn;
}

export function described(error) {
  const { status = null, message, code = null } = error;
  return { kind: error.constructor?.name, status, message, code };
}

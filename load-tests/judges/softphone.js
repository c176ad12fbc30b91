// A telephone in a browser: JsSIP of npm in a Chromium without a window. It registers, asks for OPTIONS,
// calls, is called, and registers again when its connection broke. Prints what it is told, a line each.
//
// The page is one of the switch itself, so that its origin may open the WebSocket. Chromium is driven over
// its pipes; JsSIP comes as modules for node, and is put into one script here.

"use strict";

const { spawn } = require("node:child_process");
const { mkdirSync, readFileSync } = require("node:fs");
const { createRequire } = require("node:module");

const PATIENCE_MS = 35000;
const asked = JSON.parse(readFileSync(process.argv[2], "utf8"));

// All modules that one needs, as an expression that gives what it exports.
function bundle(name) {
  const modules = {};
  const visit = (file) => {
    if (modules[file] !== undefined) return;
    const text = readFileSync(file, "utf8");
    const needs = {};
    modules[file] = { text: file.endsWith(".json") ? `module.exports = ${text}` : text, needs };
    if (file.endsWith(".json")) return;
    const forBrowsers = { debug: "debug/src/browser.js", events: "events/events.js" };
    for (const [, wanted] of text.matchAll(/require\(['"]([^'"]+)['"]\)/g)) {
      needs[wanted] = createRequire(file).resolve(forBrowsers[wanted] ?? wanted);
      visit(needs[wanted]);
    }
  };
  const entry = require.resolve(name);
  visit(entry);
  const own = Object.entries(modules).map(([file, { text, needs }]) => {
    const body = `function (module, exports, require) {\n${text}\n}`;
    return `${JSON.stringify(file)}: [${body}, ${JSON.stringify(needs)}]`;
  });
  return `((modules, entry) => {
    const made = {};
    const need = (file) => {
      if (!made[file]) {
        const module = (made[file] = { exports: {} });
        const [run, needs] = modules[file];
        run.call(module.exports, module, module.exports, (name) => need(needs[name]));
      }
      return made[file].exports;
    };
    return need(entry);
  })({${own.join(",\n")}}, ${JSON.stringify(entry)})`;
}

// Runs in the page. Each thing that the telephone hears of is told by its name.
function phone({ ws, uri, password, callee }) {
  const tell = (event, more) => globalThis.tell(JSON.stringify({ event, ...more }));
  const socket = new globalThis.JsSIP.WebSocketInterface(ws);
  const ua = new globalThis.JsSIP.UA({
    sockets: [socket],
    uri,
    password,
    connection_recovery_min_interval: 1,
    connection_recovery_max_interval: 2,
  });
  const media = { mediaConstraints: { audio: true, video: false } };
  const why = ({ cause, message }) => ({
    cause,
    status: message?.status_code,
    reason: message?.getHeader?.("Reason"),
  });
  let rung = 0;
  let called;
  const hasCalled = new Promise((resolve) => (called = resolve));
  for (const event of ["disconnected", "registered", "registrationFailed"]) {
    ua.on(event, (data) => tell(event, { cause: data?.cause }));
  }
  ua.on("newRTCSession", ({ originator, session }) => {
    if (originator !== "remote") return;
    rung += 1;
    tell("rung");
    session.on("failed", (end) => tell("not answered", why(end)));
    // Before it rings it would be answered without ringing.
    const declines = rung > 1;
    session.once("progress", async () => {
      if (!declines) return session.answer(media);
      await hasCalled;
      session.terminate({ status_code: 486, reason_phrase: "Busy Here" });
    });
  });
  ua.once("registered", () => {
    ua.sendOptions(callee, null, {
      eventHandlers: {
        succeeded: ({ response }) => tell("options", { status: response.status_code }),
        failed: (end) => tell("options", why(end)),
      },
    });
    const failed = (end) => {
      tell("call failed", why(end));
      called();
    };
    ua.call(callee, { ...media, eventHandlers: { failed, accepted: () => tell("call accepted") } });
  });
  ua.start();
}

// Chromium with a profile of its own, and how it is asked.
function browser({ chromium, profile }, onEvent) {
  const flags = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    `--user-data-dir=${profile}`,
    "--remote-debugging-pipe",
    "about:blank",
  ];
  // What it leaves behind goes with its profile.
  mkdirSync(profile, { recursive: true });
  const env = { ...process.env, TMPDIR: profile };
  const stdio = ["ignore", "ignore", "ignore", "pipe", "pipe"];
  const child = spawn(chromium, flags, { env, stdio });
  const waiting = new Map();
  let last = 0;
  let held = Buffer.alloc(0);
  child.stdio[4].on("data", (data) => {
    held = Buffer.concat([held, data]);
    for (let end = held.indexOf(0); end >= 0; end = held.indexOf(0)) {
      const message = JSON.parse(held.subarray(0, end).toString("utf8"));
      held = held.subarray(end + 1);
      if (message.id === undefined) onEvent(message);
      else waiting.get(message.id)?.(message);
    }
  });
  const ask = (method, params, sessionId) =>
    new Promise((resolve, reject) => {
      last += 1;
      waiting.set(last, ({ result, error }) => {
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(result);
      });
      child.stdio[3].write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
    });
  const close = async () => {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  };
  return { ask, close };
}

async function main() {
  const told = [];
  let loaded;
  let done;
  const isLoaded = new Promise((resolve) => (loaded = resolve));
  const isDone = new Promise((resolve) => (done = resolve));
  const { ask, close } = browser(asked, ({ method, params }) => {
    if (method === "Page.loadEventFired") loaded();
    if (method !== "Runtime.bindingCalled") return;
    told.push(JSON.parse(params.payload));
    console.log(params.payload);
    const count = (name) => told.filter(({ event }) => event === name).length;
    // A call may come before the answer to the second REGISTER does.
    if (count("not answered") === asked.calls && count("registered") > 1) done();
  });
  const late = setTimeout(() => done("late"), PATIENCE_MS);
  try {
    const { targetId } = await ask("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await ask("Target.attachToTarget", { targetId, flatten: true });
    const page = (method, params) => ask(method, params, sessionId);
    const run = async (expression) => {
      const { exceptionDetails } = await page("Runtime.evaluate", { expression });
      if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
    };
    await page("Page.enable", {});
    await page("Page.navigate", { url: asked.page });
    await isLoaded;
    await page("Runtime.enable", {});
    await page("Runtime.addBinding", { name: "tell" });
    await run(`globalThis.JsSIP = ${bundle("jssip")}; 0`);
    await run(`(${phone})(${JSON.stringify(asked)}); 0`);
    if ((await isDone) === "late") throw new Error("not all calls came in time");
  } finally {
    clearTimeout(late);
    await close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});

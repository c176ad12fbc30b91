// An ESME by `smpp` of npm that waits for the switch to call it, binds on the line, and prints what
// it was told and the receipts that it got.

"use strict";

const { readFileSync } = require("node:fs");
const smpp = require("smpp");

// Longer than the switch rests between two calls, shorter than the test waits.
const SILENCE_MS = 30_000;

const asked = JSON.parse(readFileSync(process.argv[2], "utf8"));
const patience = setTimeout(() => fail("nobody called in time"), SILENCE_MS);
let receipts = 0;

function say(fact) {
  console.log(JSON.stringify(fact));
}

function fail(reason) {
  console.error(reason);
  process.exit(1);
}

const server = smpp.createServer((session) => {
  session.on("error", fail);
  session.on("enquire_link", (pdu) => session.send(pdu.response()));
  session.on("outbind", (pdu) => {
    say({ outbind: pdu.system_id, password: pdu.password });
    const { system_id, password } = asked;
    session.bind_transceiver({ system_id, password }, (answer) => {
      say({ bind: answer.command_status });
    });
  });
  session.on("deliver_sm", (pdu) => {
    session.send(pdu.response());
    say({ receipt: String(pdu.short_message?.message ?? "") });
    receipts += 1;
    if (receipts === asked.receipts) {
      session.unbind((answer) => {
        say({ unbind: answer.command_status });
        clearTimeout(patience);
        process.exit(0);
      });
    }
  });
});
server.listen(asked.port, asked.host);

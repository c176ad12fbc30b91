// An ESME by `smpp` of npm that submits a text and prints the alerts that it hears.

"use strict";

const { readFileSync } = require("node:fs");
const smpp = require("smpp");

// Longer than an alert takes, shorter than the test waits.
const SILENCE_MS = 15_000;

const asked = JSON.parse(readFileSync(process.argv[2], "utf8"));
const session = smpp.connect({ host: asked.host, port: asked.port });
const patience = setTimeout(() => fail("nothing came in time"), SILENCE_MS);
let alerts = 0;

function say(fact) {
  console.log(JSON.stringify(fact));
}

function fail(reason) {
  console.error(reason);
  process.exit(1);
}

session.on("error", fail);
session.on("enquire_link", (pdu) => session.send(pdu.response()));
session.on("deliver_sm", (pdu) => session.send(pdu.response()));
session.on("alert_notification", (pdu) => {
  say({
    alert: {
      from: [pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr],
      to: [pdu.esme_addr_ton, pdu.esme_addr_npi, pdu.esme_addr],
      status: pdu.ms_availability_status ?? null,
    },
  });
  alerts += 1;
  if (alerts === asked.alerts) {
    session.unbind((answer) => {
      say({ unbind: answer.command_status });
      clearTimeout(patience);
      process.exit(0);
    });
  }
});
session.on("connect", () => {
  const { system_id, password } = asked;
  session.bind_transceiver({ system_id, password }, (answer) => {
    say({ bind: answer.command_status });
    const submit = {
      source_addr_ton: 1,
      source_addr_npi: 1,
      source_addr: asked.from,
      dest_addr_ton: 1,
      dest_addr_npi: 1,
      destination_addr: asked.to,
      short_message: "Are you there?",
    };
    session.submit_sm(submit, (answer) => say({ submit: answer.command_status }));
  });
});

// An ESME by `smpp` of npm. Takes and prints what esme.py does; a text of over 160 characters goes
// whole, as message_payload.

"use strict";

const { readFileSync } = require("node:fs");
const smpp = require("smpp");

// Longer than the switch takes for a receipt, shorter than the test waits.
const SILENCE_MS = 15_000;
const SHORT_CHARACTERS = 160;

const asked = JSON.parse(readFileSync(process.argv[2], "utf8"));
const session = smpp.connect({ host: asked.host, port: asked.port });
const patience = setTimeout(() => fail("nothing came in time"), SILENCE_MS);
let unanswered = 0;
let receipts = 0;
let inbound = 0;

function say(fact) {
  console.log(JSON.stringify(fact));
}

function fail(reason) {
  console.error(reason);
  process.exit(1);
}

// The text of a short message, which is an object, or of an optional C-octet string.
function text(value) {
  return String(value?.message ?? value ?? "").replace(/\0+$/, "");
}

function submit({ name, from, to, text: message }) {
  unanswered += 1;
  const field = message.length > SHORT_CHARACTERS ? "message_payload" : "short_message";
  const options = {
    source_addr_ton: 5,
    source_addr: from,
    dest_addr_ton: 1,
    dest_addr_npi: 1,
    destination_addr: to,
    registered_delivery: 1,
    [field]: message,
  };
  session.submit_sm(options, (answer) => {
    unanswered -= 1;
    const id = answer.command_status ? null : answer.message_id;
    say({ submit: name, part: 1, status: answer.command_status, id });
    endWhenDone();
  });
}

function endWhenDone() {
  if (unanswered === 0 && receipts >= asked.receipts && inbound >= asked.inbound) {
    session.unbind((answer) => {
      say({ unbind: answer.command_status });
      close();
    });
  }
}

function close() {
  clearTimeout(patience);
  session.removeAllListeners("close");
  session.close();
}

session.on("error", fail);
session.on("close", () => fail("the switch closed the connection"));
session.on("enquire_link", (pdu) => session.send(pdu.response()));
session.on("deliver_sm", (pdu) => {
  session.send(pdu.response());
  if (pdu.esm_class & smpp.ESM_CLASS.MC_DELIVERY_RECEIPT) {
    receipt(pdu);
  } else {
    message(pdu);
  }
  endWhenDone();
});

// A part of what a handset wrote; the library has taken its user data header off.
function message(pdu) {
  const header = pdu.short_message.udh;
  say({
    inbound: {
      from: pdu.source_addr,
      to: pdu.destination_addr,
      data_coding: pdu.data_coding,
      udh: header ? Buffer.concat(header).toString("hex") : null,
      text: text(pdu.short_message),
    },
  });
  inbound += 1;
}

function receipt(pdu) {
  const fields = new Map(
    text(pdu.short_message)
      .split(" ")
      .filter((word) => word.includes(":"))
      .map((word) => [word.slice(0, word.indexOf(":")), word.slice(word.indexOf(":") + 1)]),
  );
  say({
    receipt: {
      esm_class: pdu.esm_class,
      from: pdu.source_addr,
      to: pdu.destination_addr,
      id: fields.get("id") ?? null,
      stat: fields.get("stat") ?? null,
      tlv_id: text(pdu.receipted_message_id),
      tlv_state: pdu.message_state,
    },
  });
  receipts += 1;
}

session.on("connect", () => {
  const { system_id, password } = asked;
  session.bind_transceiver({ system_id, password }, (answer) => {
    say({ bind: answer.command_status });
    if (answer.command_status) {
      close();
    } else {
      asked.messages.forEach(submit);
    }
  });
});

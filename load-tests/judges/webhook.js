// Verifies webhooks with the library `standardwebhooks` of npm. Takes and prints what webhook.py
// does.

"use strict";

const { readFileSync } = require("node:fs");
const { Webhook } = require("standardwebhooks");

// What the library says of a request: verified, or its reason against.
function judged({ secret, headers, body }) {
  try {
    const event = new Webhook(secret).verify(Buffer.from(body, "hex"), headers);
    return { verified: true, said: event.type };
  } catch (refusal) {
    return { verified: false, said: `${refusal.name}: ${refusal.message}` };
  }
}

for (const request of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  console.log(JSON.stringify({ name: request.name, ...judged(request) }));
}

"""An ESME by `smpplib` of PyPI: binds, submits, takes what comes, unbinds.

Usage: esme.py FILE, with a JSON object {host, port, system_id, password, receipts, inbound,
messages}; a message is {name, from, to, text}. Long texts are split by the library's own
`gsm.make_parts`. Prints a line of JSON for all that happens: {bind}, {submit, part, status, id},
{receipt}, {inbound}, {unbind}. It ends after as many receipts and parts of inbound messages as are
wanted, or with an error when nothing came for a while.
"""

import json
import sys
import warnings

from smpplib import client, consts, exceptions, gsm

# Longer than the switch takes for a receipt, shorter than the test waits.
SILENCE_S = 15
# esm_class of a delivery receipt (SMPP 3.4, 5.2.12); the library has no name for it.
RECEIPT = 0x04

# Of the library's own age.
warnings.simplefilter("ignore")


def say(**fact):
    print(json.dumps(fact), flush=True)


class Esme:
    def __init__(self, asked):
        self.asked = asked
        self.unanswered = {}
        self.receipts = 0
        self.inbound = 0
        self.client = client.Client(
            asked["host"], asked["port"], timeout=SILENCE_S, allow_unknown_opt_params=True
        )
        self.client.set_message_sent_handler(self.answered)
        self.client.set_error_pdu_handler(self.refused)
        self.client.set_message_received_handler(self.received)

    def bind(self):
        self.client.connect()
        try:
            self.client.bind_transceiver(
                system_id=self.asked["system_id"], password=self.asked["password"]
            )
        except exceptions.PDUError as refusal:
            say(bind=refusal.args[1])
            return False
        say(bind=0)
        return True

    def submit(self, message):
        parts, encoding, esm_class = gsm.make_parts(message["text"])
        for number, part in enumerate(parts, start=1):
            pdu = self.client.send_message(
                source_addr_ton=consts.SMPP_TON_ALNUM,
                source_addr=message["from"],
                dest_addr_ton=consts.SMPP_TON_INTL,
                dest_addr_npi=consts.SMPP_NPI_ISDN,
                destination_addr=message["to"],
                short_message=part,
                data_coding=encoding,
                esm_class=esm_class,
                registered_delivery=True,
            )
            self.unanswered[pdu.sequence] = (message["name"], number)

    def answered(self, pdu):
        """A submit_sm_resp, good or bad."""
        name, part = self.unanswered.pop(pdu.sequence)
        identity = None if pdu.status else pdu.message_id.decode("ascii")
        say(submit=name, part=part, status=pdu.status, id=identity)

    def refused(self, pdu):
        """Any PDU with an error; a submit_sm_resp comes to `answered` next."""
        if pdu.command != "submit_sm_resp":
            sys.exit(f"{pdu.command} {pdu.status:#x}")

    def received(self, pdu):
        """A deliver_sm; the library acknowledges it afterwards."""
        if pdu.esm_class & RECEIPT:
            self.receipt(pdu)
        else:
            self.message(pdu)

    def message(self, pdu):
        """A part of what a handset wrote, with its user data header apart."""
        octets = pdu.short_message
        header = octets[: octets[0] + 1] if pdu.esm_class & consts.SMPP_GSMFEAT_UDHI else b""
        wide = pdu.data_coding == consts.SMPP_ENCODING_ISO10646
        say(
            inbound={
                "from": pdu.source_addr.decode("ascii"),
                "to": pdu.destination_addr.decode("ascii"),
                "data_coding": pdu.data_coding,
                "udh": header.hex() or None,
                "text": octets[len(header) :].decode("utf-16-be" if wide else "ascii"),
            }
        )
        self.inbound += 1

    def receipt(self, pdu):
        text = pdu.short_message.decode("ascii", "replace")
        fields = dict(word.split(":", 1) for word in text.split() if ":" in word)
        say(
            receipt={
                "esm_class": pdu.esm_class,
                "from": pdu.source_addr.decode("ascii"),
                "to": pdu.destination_addr.decode("ascii"),
                "id": fields.get("id"),
                "stat": fields.get("stat"),
                "tlv_id": tlv_text(pdu.receipted_message_id),
                "tlv_state": pdu.message_state,
            }
        )
        self.receipts += 1

    def waits(self):
        few = self.receipts < self.asked["receipts"] or self.inbound < self.asked["inbound"]
        return self.unanswered or few

    def run(self):
        if self.bind():
            for message in self.asked["messages"]:
                self.submit(message)
            while self.waits():
                # Nothing in time ends it: a timeout is an error.
                self.client.read_once(auto_send_enquire_link=False)
            say(unbind=self.client.unbind().status)
        self.client.disconnect()


def tlv_text(value):
    """A C-octet string of the optional part."""
    return value and value.rstrip(b"\0").decode("ascii")


with open(sys.argv[1], encoding="utf-8") as file:
    Esme(json.load(file)).run()

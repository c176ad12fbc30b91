//! A carrier that does what a test says, one PDU at a time.
//!
//! A thread per connection; all that came is kept. The wire is that of the independent SMSC, not
//! the switch's own. It stops when dropped.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use load_tests::peer::smsc::wire::{self, Deliver, Frame, Header};

use crate::world::wait_until;

const DATA_CODING_UCS2: u8 = 8;

/// One PDU from the switch.
#[derive(Clone, Debug)]
pub(crate) struct Pdu {
    pub(crate) header: Header,
    pub(crate) body: Vec<u8>,
    /// Of the connection, from 0.
    pub(crate) connection: usize,
}

/// What a script wants after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Go,
    Close,
}

pub(crate) type Script = Box<dyn FnMut(&Pdu, &mut Vec<u8>) -> Next + Send>;

/// A `submit_sm` taken apart by hand.
#[derive(Debug)]
pub(crate) struct Submit {
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) esm_class: u8,
    pub(crate) registered: u8,
    pub(crate) data_coding: u8,
    /// `short_message` with its user data header.
    pub(crate) octets: Vec<u8>,
    pub(crate) tlvs: Vec<(u16, Vec<u8>)>,
}

struct Shared {
    script: Mutex<Script>,
    seen: Mutex<Vec<Pdu>>,
    streams: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scripted {
    pub(crate) fn start(script: impl FnMut(&Pdu, &mut Vec<u8>) -> Next + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(script)),
            seen: Mutex::default(),
            streams: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().flatten().enumerate() {
                if serving.stopped.load(Ordering::Acquire) {
                    return;
                }
                let shared = Arc::clone(&serving);
                lock(&shared.streams).push(stream.try_clone().expect("a second handle"));
                std::thread::spawn(move || shared.serve(stream, connection));
            }
        });
        Self { address, shared }
    }

    /// All PDUs so far, of one command.
    pub(crate) fn seen(&self, command: u32) -> Vec<Pdu> {
        let seen = lock(&self.shared.seen);
        seen.iter().filter(|pdu| pdu.header.command == command).cloned().collect()
    }

    pub(crate) fn submits(&self) -> Vec<Submit> {
        self.seen(wire::SUBMIT_SM).iter().map(|pdu| Submit::parse(&pdu.body)).collect()
    }

    /// Waits until this many PDUs of a command came.
    pub(crate) async fn sees(&self, command: u32, count: usize) -> Vec<Pdu> {
        let came = wait_until(async || self.seen(command).len() >= count);
        assert!(came.await, "{count} of {command:#x} do not come: {:?}", self.seen(command));
        self.seen(command)
    }

    /// Sends octets on the newest connection.
    pub(crate) fn inject(&self, octets: &[u8]) {
        let mut streams = lock(&self.shared.streams);
        let stream = streams.last_mut().expect("a connection");
        stream.write_all(octets).expect("the switch reads");
    }

    /// Ends all connections.
    pub(crate) fn hang_up(&self) {
        for stream in lock(&self.shared.streams).iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.hang_up();
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream, connection: usize) {
        let mut input = Vec::new();
        let mut some = [0; 16 * 1024];
        loop {
            let mut out = Vec::new();
            let mut next = Next::Go;
            while next == Next::Go {
                let Frame::Whole(header, body) = wire::frame(&input) else { break };
                let pdu = Pdu { header, body: body.to_vec(), connection };
                input.drain(..header.length);
                // Before the answer, so that a test that sees an effect finds its cause.
                lock(&self.seen).push(pdu.clone());
                next = (lock(&self.script))(&pdu, &mut out);
            }
            if stream.write_all(&out).is_err() || next == Next::Close {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            match stream.read(&mut some) {
                Ok(count @ 1..) => input.extend_from_slice(&some[..count]),
                _ => return,
            }
        }
    }
}

impl Submit {
    pub(crate) fn parse(body: &[u8]) -> Self {
        let mut rest = body;
        let mut take = |count: usize| {
            let (head, tail) = rest.split_at(count);
            rest = tail;
            head.to_vec()
        };
        let text = |take: &mut dyn FnMut(usize) -> Vec<u8>| {
            let mut out = String::new();
            loop {
                match take(1)[0] {
                    0 => return out,
                    octet => out.push(char::from(octet)),
                }
            }
        };
        text(&mut take); // service_type
        take(2);
        let source = text(&mut take);
        take(2);
        let destination = text(&mut take);
        let esm_class = take(1)[0];
        take(2); // protocol_id, priority_flag
        text(&mut take); // schedule_delivery_time
        text(&mut take); // validity_period
        let registered = take(1)[0];
        take(1); // replace_if_present_flag
        let data_coding = take(1)[0];
        take(1); // sm_default_msg_id
        let length = take(1)[0];
        let octets = take(usize::from(length));
        let mut tlvs = Vec::new();
        while let [a, b, c, d, value @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*c, *d]));
            tlvs.push((u16::from_be_bytes([*a, *b]), value[..length].to_vec()));
            rest = &value[length..];
        }
        Self { source, destination, esm_class, registered, data_coding, octets, tlvs }
    }

    pub(crate) fn tlv(&self, tag: u16) -> Option<&[u8]> {
        self.tlvs.iter().find(|(known, _)| *known == tag).map(|(_, value)| value.as_slice())
    }

    /// The user data header without its length, or nothing.
    pub(crate) fn udh(&self) -> &[u8] {
        if self.esm_class & 0x40 == 0 {
            return &[];
        }
        &self.octets[1..=usize::from(self.octets[0])]
    }

    /// The text without its header.
    pub(crate) fn text(&self) -> String {
        let header = if self.udh().is_empty() { 0 } else { 1 + self.udh().len() };
        let octets = self.tlv(0x0424).unwrap_or(&self.octets[header..]);
        if self.data_coding == DATA_CODING_UCS2 {
            let units = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            return String::from_utf16(&units.collect::<Vec<_>>()).expect("UTF-16");
        }
        octets.iter().map(|octet| char::from(*octet)).collect()
    }
}

/// Answers a PDU with a status and a body.
pub(crate) fn answer(out: &mut Vec<u8>, header: &Header, status: u32, body: &[u8]) {
    wire::put(out, header.command | wire::RESPONSE, status, header.sequence, |out| {
        out.extend_from_slice(body);
    });
}

/// A receipt in text, as `id:… stat:…`.
pub(crate) fn receipt(out: &mut Vec<u8>, sequence: u32, submit: &Submit, id: &str, stat: &str) {
    let text = format!(
        "id:{id} sub:001 dlvrd:001 submit date:2601020304 done date:2601020304 stat:{stat} \
         err:000 text:"
    );
    let address = |digits| wire::Address { ton: 1, npi: 1, digits };
    let deliver = Deliver {
        source: address(submit.destination.as_bytes()),
        destination: address(submit.source.as_bytes()),
        esm_class: 0x04,
        text: text.as_bytes(),
        tlvs: &[],
    };
    wire::put_deliver(out, sequence, &deliver);
}

/// A message from a handset.
pub(crate) fn inbound(out: &mut Vec<u8>, sequence: u32, from: &str, to: &str, text: &[u8]) {
    let address = |digits| wire::Address { ton: 1, npi: 1, digits };
    let deliver = Deliver {
        source: address(from.as_bytes()),
        destination: address(to.as_bytes()),
        esm_class: 0,
        text,
        tlvs: &[],
    };
    wire::put_deliver(out, sequence, &deliver);
}

/// What every polite carrier does: binds, ids from 1, a receipt for each submit.
#[derive(Default)]
pub(crate) struct Polite {
    ids: u32,
}

impl Polite {
    pub(crate) fn does(&mut self, pdu: &Pdu, out: &mut Vec<u8>) -> Next {
        match pdu.header.command {
            wire::SUBMIT_SM => {
                self.ids += 1;
                let id = format!("{}", 7_000_000 + self.ids);
                answer(out, &pdu.header, wire::OK, format!("{id}\0").as_bytes());
                receipt(out, self.ids, &Submit::parse(&pdu.body), &id, "DELIVRD");
            }
            wire::BIND_TRANSCEIVER => {
                wire::put_bind_answer(out, pdu.header, wire::OK, "scripted");
            }
            wire::UNBIND => {
                answer(out, &pdu.header, wire::OK, b"");
                return Next::Close;
            }
            command if command & wire::RESPONSE == 0 => answer(out, &pdu.header, wire::OK, b""),
            _ => {}
        }
        Next::Go
    }
}

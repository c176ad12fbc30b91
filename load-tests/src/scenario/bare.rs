//! `bare`: submits straight into the SMSC, without a switch or a store.
//!
//! Gives the ceiling of the carrier itself: each message is a submit, its answer, a receipt
//! and its answer. When a switch comes near this figure, the carrier is what is measured.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::flow::{Meters, tenths, until};
use crate::peer::smsc::wire::{
    BIND_TRANSCEIVER, DELIVER_SM, Frame, RESPONSE, SUBMIT_SM, frame, put,
};
use crate::peer::smsc::{Receipts, Smsc, SmscOptions};

const READ_BYTES: usize = 64 * 1024;
const TIME: Duration = Duration::from_secs(300);

#[derive(Debug, Args)]
pub(crate) struct BareArgs {
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    connections: u64,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    window: u32,
    #[arg(long, default_value_t = 500_000)]
    messages: u64,
    #[command(flatten)]
    smsc: SmscOptions,
}

/// What one connection has to do.
#[derive(Clone, Copy)]
struct Work {
    messages: u64,
    window: u32,
    receipts: bool,
}

pub(crate) async fn run(args: BareArgs) -> Result<Option<Value>> {
    let smsc = Smsc::start(([127, 0, 0, 1], 0).into(), args.smsc.clone())?;
    let each = args.messages / args.connections;
    let receipts = args.smsc.receipts != Receipts::Off;
    let work = Work { messages: each, window: args.window, receipts };
    let meters = Meters { processes: Vec::new(), carrier: smsc.thread.clone(), postgres: false };
    let mark = meters.mark();
    let started = Instant::now();
    let mut links = JoinSet::new();
    for link in 0..args.connections {
        let stream = TcpStream::connect(smsc.address).await?;
        stream.set_nodelay(true)?;
        links.spawn_local(tokio::time::timeout(TIME, submit(stream, link, work)));
    }
    while let Some(ended) = links.join_next().await {
        ended???;
    }
    let messages = each * args.connections;
    let wanted = if receipts { messages } else { 0 };
    let complete = until(&smsc, TIME, |stats| stats.receipts_acked >= wanted).await;
    let seconds = started.elapsed().as_secs_f64();
    Ok(Some(json!({
        "scenario": "bare",
        "passed": complete,
        "messages": messages,
        "seconds": seconds,
        "messages_per_second": tenths(messages as f64 / seconds),
        "cpu_us_per_message": meters.since(&mark, messages),
        "carrier": smsc.stats(),
    })))
}

/// Submits with a full window, acknowledges receipts, ends when all answers are here.
async fn submit(mut stream: TcpStream, link: u64, work: Work) -> Result<()> {
    let Work { messages, window, .. } = work;
    let mut input = Vec::with_capacity(READ_BYTES);
    let mut out = Vec::with_capacity(READ_BYTES);
    put(&mut out, BIND_TRANSCEIVER, 0, 0, |out| out.extend_from_slice(b"u\0p\0\0\x34\0\0\0"));
    let (mut sent, mut answered, mut receipts) = (0_u64, 0_u64, 0_u64);
    let mut bound = false;
    while answered < messages || (work.receipts && receipts < messages) {
        while bound && sent < messages && sent - answered < u64::from(window) {
            sent += 1;
            put(&mut out, SUBMIT_SM, 0, sent as u32, |out| body(link, sent, out));
        }
        stream.write_all(&out).await?;
        out.clear();
        ensure!(stream.read_buf(&mut input).await? > 0, "the carrier closed");
        let mut at = 0;
        while let Frame::Whole(header, _) = frame(&input[at..]) {
            at += header.length;
            ensure!(header.status == 0, "refused: {header:?}");
            match header.command {
                command if command == SUBMIT_SM | RESPONSE => answered += 1,
                DELIVER_SM => {
                    receipts += 1;
                    put(&mut out, DELIVER_SM | RESPONSE, 0, header.sequence, |out| out.push(0));
                }
                _ => bound = true,
            }
        }
        input.drain(..at);
    }
    stream.write_all(&out).await?;
    // Until the last acknowledgements are read.
    stream.shutdown().await?;
    while stream.read_buf(&mut input).await? > 0 {
        input.clear();
    }
    Ok(())
}

/// A text of about 120 octets, as in the figures of others.
fn body(link: u64, number: u64, out: &mut Vec<u8>) {
    let mut text = *b"000000000000-0000 hello from the load test, which fills this text up \
                      to the length that others measured with, near 120";
    let mut rest = number;
    for digit in text[..12].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let mut rest = link;
    for digit in text[13..17].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(b"\0\x05\0Orbit\0\x01\x0114155550123\0");
    out.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0, 0, 0, text.len() as u8]);
    out.extend_from_slice(&text);
}

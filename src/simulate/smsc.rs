//! A fast SMSC with the quirks of real carriers, for one account.
//!
//! smsc              this file: listener, connections, inbound messages, flapping
//! ├─ session        the protocol of one connection, without a socket
//! │  └─ habits      what quirks make of it
//! ├─ center         what connections share: numbers, receipts, the backlog
//! ├─ receipt        receipts as this carrier writes them
//! ├─ handset        what handsets write
//! ├─ queue          what waits for its time, the window or an answer
//! ├─ book           repeated submits and the log
//! └─ wire, ids      octets
//!
//! It runs on one thread, reads until the socket is empty and answers all PDUs of a read
//! with one write. Receipts are kept until acknowledged, over the end of their bind.

mod book;
mod center;
mod handset;
mod ids;
mod options;
mod queue;
mod receipt;
mod session;
mod stats;
pub mod wire;

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use self::center::{Center, Seat};
pub use self::ids::IdFormat;
pub use self::options::{ReceiptBind, ReceiptStyle, Receipts, SmscOptions, parse_status};
use self::session::{Ending, Session, habits};
use self::stats::add;
pub use self::stats::{Counters, Stats};

const READ_BYTES: usize = 64 * 1024;
/// Read no further while this much input or output is unhandled.
const BUFFER_BYTES_MAX: usize = 1024 * 1024;
const INBOUND_STEP: Duration = Duration::from_millis(10);
const LOG_STEP: Duration = Duration::from_millis(500);

type Shared = Rc<RefCell<Center>>;

/// An SMSC on a thread of its own; stops when dropped.
pub struct Smsc {
    pub address: SocketAddr,
    pub counters: Arc<Counters>,
    /// Its thread below `/proc`.
    pub thread: Option<PathBuf>,
    stop: Option<oneshot::Sender<()>>,
    joined: Option<std::thread::JoinHandle<()>>,
}

impl Smsc {
    pub fn start(bind: SocketAddr, options: SmscOptions) -> Result<Self> {
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, started) = mpsc::channel();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let thread = this_thread();
            runtime.block_on(LocalSet::new().run_until(async move {
                let said = move |address| {
                    // The starter waits for exactly this.
                    let _ = ready.send((address, thread));
                };
                let until = async {
                    let _ = stopped.await;
                };
                run(bind, options, shared, said, until).await
            }))
        };
        let joined = std::thread::Builder::new().name("smsc".into()).spawn(move || {
            let result: Result<()> = work();
            if let Err(error) = result {
                eprintln!("smsc: {error:#}");
            }
        })?;
        let (address, thread) = started.recv().context("the smsc did not start")?;
        Ok(Self { address, counters, thread, stop: Some(stop), joined: Some(joined) })
    }

    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }
}

impl Drop for Smsc {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(joined) = self.joined.take() {
            let _ = joined.join();
        }
    }
}

/// Serves until `until` completes; must run inside a `LocalSet`.
pub async fn run(
    bind: SocketAddr,
    options: SmscOptions,
    counters: Arc<Counters>,
    ready: impl FnOnce(SocketAddr),
    until: impl Future<Output = ()>,
) -> Result<()> {
    let listener = TcpListener::bind(bind).await?;
    let address = listener.local_addr()?;
    let center = Rc::new(RefCell::new(Center::new(options, counters)?));
    ready(address);
    let inbound = tokio::task::spawn_local(send_inbound(Rc::clone(&center)));
    let flushing = tokio::task::spawn_local(flush_log(Rc::clone(&center)));
    let result = tokio::select! {
        result = listen(listener, address, &center) => result,
        () = until => Ok(()),
    };
    inbound.abort();
    flushing.abort();
    kick_all(&center);
    center.borrow_mut().book.flush()?;
    result
}

async fn listen(listener: TcpListener, address: SocketAddr, center: &Shared) -> Result<()> {
    let (flap, down) = {
        let options = &center.borrow().options;
        let seconds = Duration::from_secs;
        ((options.flap_s > 0).then(|| seconds(options.flap_s)), seconds(options.down_s))
    };
    let mut listener = listener;
    loop {
        let Some(flap) = flap else {
            return accept(&listener, center).await;
        };
        if let Ok(result) = tokio::time::timeout(flap, accept(&listener, center)).await {
            return result;
        }
        drop(listener);
        add(&center.borrow().counters.flaps, 1);
        kick_all(center);
        tokio::time::sleep(down).await;
        listener = TcpListener::bind(address).await?;
    }
}

async fn accept(listener: &TcpListener, center: &Shared) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        if habits::turns_away(&center.borrow()) {
            add(&center.borrow().counters.turned_away, 1);
            continue;
        }
        // A peer that is gone already is no fault of the listener.
        let _ = stream.set_nodelay(true);
        add(&center.borrow().counters.connections, 1);
        let center = Rc::clone(center);
        // Before the next one is asked for: it may be one too many.
        let seat = {
            let mut shared = center.borrow_mut();
            let window = shared.options.unacked_window;
            let seat = Rc::new(Seat::new(window, shared.numbering()));
            shared.enter(&seat);
            seat
        };
        tokio::task::spawn_local(async move {
            // A lost connection is nothing to report: the counters show it.
            let _ = serve(&stream, &center, &seat).await;
            center.borrow_mut().leave(&seat, Instant::now());
        });
    }
}

fn kick_all(center: &Shared) {
    for seat in center.borrow().seats() {
        seat.kicked.set(true);
        seat.wake.notify_one();
    }
}

async fn serve(stream: &TcpStream, center: &Shared, seat: &Rc<Seat>) -> std::io::Result<()> {
    let mut session = Session::new(Rc::clone(seat));
    let mut input = Vec::with_capacity(READ_BYTES);
    let mut out = Vec::with_capacity(READ_BYTES);
    session.greet(&mut center.borrow_mut(), &mut out);
    let most = if center.borrow().quirks.is(36, "octets") { 1 } else { usize::MAX };
    loop {
        let now = Instant::now();
        session.pump(&center.borrow(), now, &mut out);
        let used = session.receive(&mut center.borrow_mut(), &input, now, &mut out);
        input.drain(..used);
        write_some(stream, &mut out, most)?;
        if out.is_empty() {
            session.flushed();
        }
        if seat.kicked.get() || session.ending == Ending::Cut {
            return Ok(());
        }
        if session.ending != Ending::No && out.is_empty() {
            if session.ending == Ending::Reset {
                stream.set_zero_linger()?;
            }
            return Ok(());
        }
        let deaf = session.is_deaf(now);
        let interest = match (out.is_empty(), deaf || out.len() > BUFFER_BYTES_MAX) {
            (true, _) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => Interest::READABLE | Interest::WRITABLE,
        };
        tokio::select! {
            ready = stream.ready(interest), if !(deaf && out.is_empty()) => {
                if ready?.is_readable() {
                    let ended = read_some(stream, &mut input)?;
                    let now = Instant::now();
                    let used = session.receive(&mut center.borrow_mut(), &input, now, &mut out);
                    if used == input.len() {
                        input.clear();
                    } else {
                        input.drain(..used);
                    }
                    if ended {
                        return Ok(());
                    }
                }
            }
            () = seat.wake.notified() => {}
            () = wait_until(session.due()) => {}
        }
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Reads until nothing is there; true at the end of the stream.
fn read_some(stream: &TcpStream, input: &mut Vec<u8>) -> std::io::Result<bool> {
    while input.len() < BUFFER_BYTES_MAX {
        input.reserve(READ_BYTES);
        match stream.try_read_buf(input) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Writes as much as goes, at most so many octets at once.
fn write_some(stream: &TcpStream, out: &mut Vec<u8>, most: usize) -> std::io::Result<()> {
    let mut written = 0;
    while written < out.len() {
        let end = out.len().min(written.saturating_add(most));
        match stream.try_write(&out[written..end]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    if written == out.len() {
        out.clear();
    } else {
        out.drain(..written);
    }
    Ok(())
}

async fn send_inbound(center: Shared) {
    let rate = center.borrow().options.mo_rate;
    if rate == 0 {
        return;
    }
    let started = Instant::now();
    let mut sent = 0;
    loop {
        tokio::time::sleep(INBOUND_STEP).await;
        let now = Instant::now();
        let wanted = (now.duration_since(started).as_secs_f64() * rate as f64) as u64;
        center.borrow_mut().queue_inbound(wanted - sent, now);
        sent = wanted;
    }
}

/// The calling thread, as the kernel names it: `<pid>/task/<tid>`.
fn this_thread() -> Option<PathBuf> {
    let link = std::fs::read_link("/proc/thread-self").ok()?;
    Some(std::path::Path::new("/proc").join(link))
}

async fn flush_log(center: Shared) {
    loop {
        tokio::time::sleep(LOG_STEP).await;
        if let Err(error) = center.borrow_mut().book.flush() {
            eprintln!("smsc: the log cannot be written: {error}");
        }
    }
}

#[cfg(test)]
mod tests;

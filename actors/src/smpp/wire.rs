//! The tasks around a bind: connecting, reading, writing. The only code that waits for a peer.
//!
//! Owned by the bind's actor through abort handles, so that they end with it, however it ends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::profile::Endpoint;
use super::tls::Tls;
use crate::customer::webhook::guard::Networks;
use crate::gate::{Gate, Permit};

/// Octets taken from a socket at once: few by a bind that says little, more by one that fills them.
const READ_MIN: usize = 2 * 1024;
const READ_MAX: usize = 64 * 1024;
/// Writes that may wait for the socket.
const WRITES_MAX: usize = 64;

pub type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
pub type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// Connects within `patience`.
pub(super) async fn connect(
    endpoint: &Endpoint,
    patience: Duration,
) -> Result<(ReadHalf, WriteHalf), String> {
    match endpoint {
        Endpoint::Tcp { host, port, tls, only } => {
            let connecting = dial(host, *port, tls.as_ref(), only.as_ref());
            match tokio::time::timeout(patience, connecting).await {
                Ok(Ok((halves, _))) => Ok(halves),
                Ok(Err(error)) => Err(format!("connecting: {error}")),
                Err(_) => Err(String::from("connecting: no answer in time")),
            }
        }
        Endpoint::Pipe(open) => {
            let pipe = open().ok_or_else(|| String::from("the sandbox is not there"))?;
            let (read, write) = tokio::io::split(pipe);
            Ok((Box::new(read), Box::new(write)))
        }
    }
}

/// Connects, to one of these networks if there are some; says to which address.
pub(super) async fn dial(
    host: &str,
    port: u16,
    tls: Option<&Tls>,
    only: Option<&Networks>,
) -> Result<((ReadHalf, WriteHalf), SocketAddr), String> {
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| error.to_string())?;
    // What the name leads to is looked at here, and these addresses alone are connected to.
    let allowed = |address: &SocketAddr| only.is_none_or(|only| only.allow(address.ip(), true));
    let addresses: Vec<SocketAddr> = found.filter(allowed).collect();
    if addresses.is_empty() {
        return Err(String::from("the host leads to no address that is allowed"));
    }
    let stream = TcpStream::connect(&*addresses).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let address = stream.peer_addr().map_err(|error| error.to_string())?;
    let Some(tls) = tls else {
        let (read, write) = stream.into_split();
        return Ok(((Box::new(read), Box::new(write)), address));
    };
    let (read, write) = tokio::io::split(tls.open(host, stream).await?);
    Ok(((Box::new(read), Box::new(write)), address))
}

/// A running connection's tasks; dropping this ends them and closes the socket.
pub(super) struct Wire {
    writes: Option<mpsc::Sender<Vec<u8>>>,
    reader: AbortHandle,
    writer: AbortHandle,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.reader.abort();
        // After `finish` the writer ends by itself.
        if self.writes.is_some() {
            self.writer.abort();
        }
    }
}

/// The peer does not read, or is gone.
pub(super) struct Stuck;

/// What a connection's tasks work with.
pub(super) struct Line {
    pub(super) halves: (ReadHalf, WriteHalf),
    pub(super) gate: Gate,
    /// A peer that takes no octet of what it is sent for so long is gone.
    pub(super) write_patience: Duration,
}

impl Wire {
    /// Starts reading and writing. `on_read` takes what came with the permit that it costs;
    /// `on_end` is told once why either direction ended.
    pub(super) fn start(
        line: Line,
        on_read: impl Fn(Vec<u8>, Permit) -> bool + Send + 'static,
        on_end: impl Fn(String) + Clone + Send + 'static,
    ) -> Self {
        let Line { halves: (read, write), gate, write_patience } = line;
        let (writes, queue) = mpsc::channel(WRITES_MAX);
        let ended = on_end.clone();
        let reader = tokio::spawn(async move {
            let why = read_all(read, gate, on_read).await;
            ended(why);
        });
        let writer = tokio::spawn(async move {
            let why = write_all(write, queue, write_patience).await;
            on_end(why);
        });
        let writes = Some(writes);
        Self { writes, reader: reader.abort_handle(), writer: writer.abort_handle() }
    }

    pub(super) fn write(&self, octets: Vec<u8>) -> Result<(), Stuck> {
        let writes = self.writes.as_ref().ok_or(Stuck)?;
        writes.try_send(octets).map_err(|_| Stuck)
    }

    /// Writes that the peer has not taken.
    pub(super) fn waiting(&self) -> usize {
        self.writes.as_ref().map_or(0, |writes| writes.max_capacity() - writes.capacity())
    }

    /// Reads no more, writes what waits within a write's patience, and closes the socket then.
    pub(super) fn finish(&mut self) {
        self.reader.abort();
        self.writes = None;
    }
}

async fn read_all(
    mut read: ReadHalf,
    gate: Gate,
    on_read: impl Fn(Vec<u8>, Permit) -> bool,
) -> String {
    let mut buffer = vec![0; READ_MIN];
    loop {
        let Some(permit) = gate.wait().await else {
            return String::from("closing");
        };
        match read.read(&mut buffer).await {
            Ok(0) => return String::from("the peer closed the connection"),
            Ok(count) => {
                if !on_read(buffer[..count].to_vec(), permit) {
                    return String::from("closing");
                }
                if count == buffer.len() && count < READ_MAX {
                    buffer = vec![0; (4 * count).min(READ_MAX)];
                }
            }
            Err(error) => return format!("reading: {error}"),
        }
    }
}

/// One write takes all that waits.
async fn write_all(
    mut write: WriteHalf,
    mut queue: mpsc::Receiver<Vec<u8>>,
    patience: Duration,
) -> String {
    let mut last_words: Option<Instant> = None;
    while let Some(mut octets) = queue.recv().await {
        while let Ok(mut more) = queue.try_recv() {
            octets.append(&mut more);
        }
        let is_last = || queue.is_closed();
        if let Err(why) = write_out(&mut write, &octets, patience, (is_last, &mut last_words)).await
        {
            return why;
        }
    }
    String::from("closing")
}

/// Writes all, as long as the peer goes on taking some of it within each `patience`. What is left
/// when the connection is over has that time in all.
async fn write_out(
    write: &mut WriteHalf,
    mut octets: &[u8],
    patience: Duration,
    (is_last, last_words): (impl Fn() -> bool, &mut Option<Instant>),
) -> Result<(), String> {
    loop {
        if is_last() && last_words.get_or_insert_with(Instant::now).elapsed() >= patience {
            return Err(String::from("writing: the peer reads too slowly"));
        }
        let writing = async {
            if octets.is_empty() {
                // TLS may hold back what it was given.
                return write.flush().await.map(|()| 0);
            }
            write.write(octets).await
        };
        match tokio::time::timeout(patience, writing).await {
            Ok(Ok(0)) if octets.is_empty() => return Ok(()),
            Ok(Ok(0)) => return Err(String::from("writing: the connection takes nothing more")),
            Ok(Ok(taken)) => octets = &octets[taken..],
            Ok(Err(error)) => return Err(format!("writing: {error}")),
            Err(_) => return Err(String::from("writing: the peer reads nothing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piped(patience: Duration) -> (Wire, tokio::io::DuplexStream, mpsc::Receiver<String>) {
        let (ours, theirs) = tokio::io::duplex(64);
        let (read, write) = tokio::io::split(ours);
        let (ended, ends) = mpsc::channel(2);
        let line = Line {
            halves: (Box::new(read), Box::new(write)),
            gate: Gate::new(4),
            write_patience: patience,
        };
        let wire = Wire::start(
            line,
            |_, _| true,
            move |why| {
                let _ = ended.try_send(why);
            },
        );
        (wire, theirs, ends)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_gone_after_its_patience_and_one_that_is_slow_is_not() {
        let patience = Duration::from_secs(30);
        let (wire, _theirs, mut ends) = piped(patience);
        let begun = tokio::time::Instant::now();
        assert!(wire.write(vec![7; 1_000]).is_ok());
        assert_eq!(ends.recv().await.unwrap(), "writing: the peer reads nothing");
        assert_eq!(begun.elapsed().as_secs(), 30);

        let (wire, mut theirs, mut ends) = piped(patience);
        assert!(wire.write(vec![7; 1_000]).is_ok());
        let mut some = [0; 50];
        for _ in 0..20 {
            tokio::time::advance(Duration::from_secs(20)).await;
            theirs.read_exact(&mut some).await.unwrap();
        }
        assert!(ends.try_recv().is_err(), "four hundred seconds, and all of it");

        let (mut wire, mut theirs, mut ends) = piped(patience);
        assert!(wire.write(vec![7; 1_000]).is_ok());
        theirs.read_exact(&mut some).await.unwrap();
        wire.finish();
        let mut read = 0;
        while ends.try_recv().is_err() {
            tokio::time::advance(Duration::from_secs(20)).await;
            read += theirs.read(&mut some).await.unwrap();
        }
        assert!(read < 400, "{read}: what is over is over");
    }
}

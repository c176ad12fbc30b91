//! A lean HTTP/1.1 keep-alive client over one TCP connection.
//!
//! It sends a request that the caller wrote as bytes and hands out the status and body of
//! the answer, with `Content-Length` or chunked bodies. Buffers are reused; nothing is
//! allocated per request. It speaks to loopback addresses only, follows no redirect and
//! knows no TLS. After any error the connection is closed and the next request opens one.

use std::io::{Error, ErrorKind, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const READ_BYTES: usize = 16 * 1024;
const HEAD_BYTES_MAX: usize = 64 * 1024;
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    input: Vec<u8>,
    body: Vec<u8>,
    request: Vec<u8>,
}

#[derive(Debug)]
pub struct Response<'a> {
    pub status: u16,
    /// Status line and headers, with the blank line.
    pub head: &'a [u8],
    pub body: &'a [u8],
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
    close: bool,
    /// Octets up to and with the blank line.
    size: usize,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
            input: Vec::with_capacity(READ_BYTES),
            body: Vec::new(),
            request: Vec::new(),
        }
    }

    /// Opens the connection, so that the first request need not.
    pub async fn connect(&mut self) -> std::io::Result<()> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
        }
        Ok(())
    }

    /// Sends one whole request and waits for its answer.
    pub async fn send(&mut self, request: &[u8]) -> std::io::Result<Response<'_>> {
        let result = self.exchange(request).await;
        match result {
            Ok(head) => {
                if head.close {
                    self.stream = None;
                }
                let octets = &self.input[..head.size];
                Ok(Response { status: head.status, head: octets, body: &self.body })
            }
            Err(error) => {
                self.stream = None;
                Err(error)
            }
        }
    }

    /// Forgets the connection, as after a time-out, whose answer may still come.
    pub fn reset(&mut self) {
        self.stream = None;
    }

    /// `GET` with the key of an organization; the status and the parsed body.
    pub async fn get(&mut self, path: &str, key: &str) -> Result<(u16, Value)> {
        let mut request = std::mem::take(&mut self.request);
        request.clear();
        write!(
            request,
            "GET {path} HTTP/1.1\r\nHost: {}\r\nX-API-Key: {key}\r\nAccept: application/json\r\n\r\n",
            self.address
        )?;
        let response = self.send(&request).await;
        let answer = response.map(|r| {
            let body = serde_json::from_slice(r.body).unwrap_or(Value::Null);
            (r.status, body)
        });
        self.request = request;
        answer.with_context(|| format!("GET {path}"))
    }

    /// `POST` of JSON with the key of an organization; the status and the parsed body.
    pub async fn post(&mut self, path: &str, key: &str, body: &str) -> Result<(u16, Value)> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let response = self.send(request.as_bytes()).await;
        let response = response.with_context(|| format!("POST {path}"))?;
        let body = serde_json::from_slice(response.body).unwrap_or(Value::Null);
        Ok((response.status, body))
    }

    async fn exchange(&mut self, request: &[u8]) -> std::io::Result<Head> {
        self.input.clear();
        self.body.clear();
        self.connect().await?;
        let Some(mut stream) = self.stream.take() else {
            return Err(ErrorKind::NotConnected.into());
        };
        stream.write_all(request).await?;
        let head = loop {
            if let Some(head) = parse_head(&self.input)? {
                if head.status >= 200 {
                    break head;
                }
                self.input.drain(..head.size);
                continue;
            }
            if self.input.len() > HEAD_BYTES_MAX {
                return Err(Error::new(ErrorKind::InvalidData, "head too long"));
            }
            fill(&stream, &mut self.input).await?;
        };
        if head.chunked {
            self.read_chunks(&stream, head.size).await?;
        } else {
            let length = head.length.unwrap_or(0);
            if length > BODY_BYTES_MAX {
                return Err(Error::new(ErrorKind::InvalidData, "body too long"));
            }
            while self.input.len() < head.size + length {
                fill(&stream, &mut self.input).await?;
            }
            let body = &self.input[head.size..head.size + length];
            self.body.extend_from_slice(body);
        }
        self.stream = Some(stream);
        Ok(head)
    }

    async fn read_chunks(&mut self, stream: &TcpStream, start: usize) -> std::io::Result<()> {
        let mut at = start;
        loop {
            let (size, next) = loop {
                if let Some(found) = chunk_size(&self.input, at)? {
                    break found;
                }
                fill(stream, &mut self.input).await?;
            };
            if self.body.len() + size > BODY_BYTES_MAX {
                return Err(Error::new(ErrorKind::InvalidData, "body too long"));
            }
            while self.input.len() < next + size + 2 {
                fill(stream, &mut self.input).await?;
            }
            self.body.extend_from_slice(&self.input[next..next + size]);
            at = next + size + 2;
            if size == 0 {
                return Ok(());
            }
        }
    }
}

impl Response<'_> {
    /// The value of a header, by its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.split(|&octet| octet == b'\n').skip(1);
        let mut fields = lines.filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }
}

/// The address and path of `http://host:port/path`, which must be a loopback address.
pub fn parse_url(url: &str) -> Result<(SocketAddr, String)> {
    let rest = url.strip_prefix("http://").context("only http:// is spoken")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => (&rest[..at], &rest[at..]),
        None => (rest, ""),
    };
    let authority = authority.replace("localhost", "127.0.0.1");
    let authority = if authority.contains(':') { authority } else { format!("{authority}:80") };
    let address: SocketAddr = authority.parse().context("expected an IP address and a port")?;
    ensure!(address.ip().is_loopback(), "loopback addresses only");
    if path.contains(' ') {
        bail!("blank in the path");
    }
    Ok((address, path.trim_end_matches('/').to_owned()))
}

async fn fill(stream: &TcpStream, input: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        stream.readable().await?;
        input.reserve(READ_BYTES);
        match stream.try_read_buf(input) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn parse_head(input: &[u8]) -> std::io::Result<Option<Head>> {
    let Some(end) = find(input, b"\r\n\r\n") else {
        return Ok(None);
    };
    let bad = || Error::new(ErrorKind::InvalidData, "not an HTTP/1.1 answer");
    let mut lines = input[..end].split(|&octet| octet == b'\n');
    let first = lines.next().ok_or_else(bad)?;
    let digits = first.get(9..12).ok_or_else(bad)?;
    let text = std::str::from_utf8(digits).map_err(|_| bad())?;
    let mut head = Head {
        status: text.parse().map_err(|_| bad())?,
        length: None,
        chunked: false,
        close: first.starts_with(b"HTTP/1.0"),
        size: end + 4,
    };
    for line in lines {
        let Some(colon) = line.iter().position(|&octet| octet == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(value).map_err(|_| bad())?;
            head.length = Some(text.parse().map_err(|_| bad())?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            head.chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case(b"connection") {
            head.close = value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok(Some(head))
}

/// The size of the chunk whose line starts at `at`, and where its octets start.
fn chunk_size(input: &[u8], at: usize) -> std::io::Result<Option<(usize, usize)>> {
    let Some(rest) = input.get(at..) else {
        return Ok(None);
    };
    let Some(end) = find(rest, b"\r\n") else {
        return Ok(None);
    };
    let line = rest[..end].split(|&octet| octet == b';').next().unwrap_or(b"");
    let text = std::str::from_utf8(line).unwrap_or("").trim();
    let size = usize::from_str_radix(text, 16)
        .map_err(|_| Error::new(ErrorKind::InvalidData, "bad chunk size"))?;
    if size > BODY_BYTES_MAX {
        return Err(Error::new(ErrorKind::InvalidData, "chunk too long"));
    }
    Ok(Some((size, at + end + 2)))
}

pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|part| part == needle)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_head_gives_status_length_and_close() {
        let head = parse_head(b"HTTP/1.1 202 Accepted\r\ncontent-Length: 12\r\n\r\n")
            .expect("well formed")
            .expect("whole");
        assert_eq!((head.status, head.length, head.close), (202, Some(12), false));
        let head = parse_head(b"HTTP/1.0 200 OK\r\nX: y\r\n\r\n").expect("well formed");
        assert!(head.expect("whole").close);
        assert_eq!(parse_head(b"HTTP/1.1 200 OK\r\n").expect("no error"), None);
    }

    #[test]
    fn a_url_must_point_to_this_machine() {
        let (address, path) = parse_url("http://127.0.0.1:8080/").expect("loopback");
        assert_eq!((address.port(), path.as_str()), (8080, ""));
        assert!(parse_url("http://192.0.2.1:80").is_err());
        assert!(parse_url("https://127.0.0.1").is_err());
    }

    #[tokio::test]
    async fn length_and_chunks_are_read_on_one_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let mut seen = [0; 3];
            stream.read_exact(&mut seen).await.expect("request");
            let first = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
            stream.write_all(first).await.expect("answer");
            stream.read_exact(&mut seen).await.expect("request");
            let second = b"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
            stream.write_all(second).await.expect("answer");
            stream.write_all(b"2;x=y\r\nde\r\n0\r\n\r\n").await.expect("answer");
        });
        let mut client = Client::new(address);
        let response = client.send(b"one").await.expect("answer");
        assert_eq!((response.status, response.body), (200, &b"hello"[..]));
        let response = client.send(b"two").await.expect("answer");
        assert_eq!((response.status, response.body), (201, &b"abcde"[..]));
        server.await.expect("server");
        assert!(client.send(b"six").await.is_err(), "the server is gone");
    }
}

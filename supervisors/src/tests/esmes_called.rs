//! Customers that are called: an account that is owed something and is not there gets a connection,
//! an `outbind` on it, and then what it is owed, once it has bound.

use std::time::Duration;

use actors::smpp::tls::{Tls, Trust};
use proto_smpp::pdu::notify::Outbind;
use proto_smpp::{Bind, BindKind, CommandId, CommandStatus, Frames, Output};
use store::lane::SmppSettings;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::esmes::{Client, Server, text_of};
use super::peer::{Act, Peer};
use super::tls::{door_before, file};
use super::world::{PATIENCE, World, profile, until};
use crate::esmes::EsmesMsg;

const MS: fn(u64) -> Duration = Duration::from_millis;

async fn world() -> World {
    let peer = Peer::new();
    peer.answer(|_, _| Act::AckThenReceipt);
    World::of(profile("one", &peer)).await
}

/// A customer's system that waits for calls.
struct Phone(TcpListener);

impl Phone {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn number(&self, settings: &mut SmppSettings) {
        numbered(settings, self.0.local_addr().unwrap().port(), false);
    }

    /// The next call, with what it begins with.
    async fn rings(&self) -> TcpStream {
        let call = tokio::time::timeout(PATIENCE, self.0.accept()).await;
        let (mut stream, _) = call.expect("a call").unwrap();
        let mut octets = vec![0; 16 + "orbit\0knock\0".len()];
        let reading = tokio::time::timeout(PATIENCE, stream.read_exact(&mut octets)).await;
        reading.expect("it says who calls").unwrap();
        let mut frames = Frames::new(1_024);
        let frame = frames.next(&mut &octets[..]).unwrap().expect("a PDU");
        assert_eq!(frame.header.command, CommandId::OUTBIND);
        let said = Outbind::decode(frame.body).unwrap();
        assert_eq!((said.system_id.as_str(), said.password.as_str()), ("orbit", "knock"));
        stream
    }

    async fn is_silent(&self) -> bool {
        tokio::time::timeout(MS(30), self.0.accept()).await.is_err()
    }
}

fn numbered(settings: &mut SmppSettings, port: u16, tls: bool) {
    settings.outbind = Some(format!(
        "{{\"host\":\"127.0.0.1\",\"port\":{port},\"tls\":{tls},\"system_id\":\"orbit\"}}"
    ));
    settings.outbind_password = Some(b"knock".to_vec());
}

async fn ended(mut stream: TcpStream) {
    let mut buffer = [0; 64];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await;
    assert_eq!(read.expect("it is closed").unwrap_or(0), 0);
}

/// Has a receipt waiting for the account.
async fn owed(sender: &mut Client, text: &str) {
    sender.submit(text, 1).await;
    assert_eq!(sender.answered().await.1, CommandStatus::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_owed_something_and_is_not_there_is_called_and_gets_it() {
    let world = world().await;
    let server = Server::start(&world).await;
    let (phone, quiet) = (Phone::new().await, Phone::new().await);
    server.account(&world, "acme", |settings| phone.number(settings)).await;
    server.account(&world, "quiet", |settings| quiet.number(settings)).await;
    for name in ["acme", "quiet"] {
        let system_id = String::from(name);
        server.esmes.send_message(EsmesMsg::Changed { system_id }).unwrap();
    }
    let mut sender = Client::bound(&server, BindKind::Transmitter, "acme").await;
    owed(&mut sender, "first").await;
    let bind = || Bind::new(BindKind::Transceiver, "acme", "secret");
    let mut called = Client::over(phone.rings().await, bind()).await;
    assert_eq!(called.next().await, Output::Bound);
    assert!(text_of(&called.brought().await).contains("text:first"));
    // It is a bind like any other: it submits, and nobody else is called.
    called.submit("second", 2).await;
    assert!(text_of(&called.brought().await).contains("text:second"));
    assert!(phone.is_silent().await);
    drop(called);
    until("it is gone", async || server.find("acme").binds() == 1).await;
    owed(&mut sender, "third").await;
    let mut called = Client::over(phone.rings().await, bind()).await;
    assert_eq!(called.next().await, Output::Bound);
    assert!(text_of(&called.brought().await).contains("text:third"));
    assert!(quiet.is_silent().await, "it is owed nothing");
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_line_that_we_opened_only_its_account_binds_to_receive_and_one_call_is_made_at_a_time()
{
    let world = world().await;
    let server = Server::start_as(&world, |args| args.settings.bind_timeout = MS(500)).await;
    let phone = Phone::new().await;
    server.account(&world, "acme", |settings| phone.number(settings)).await;
    server.account(&world, "other", |_| {}).await;
    let mut sender = Client::bound(&server, BindKind::Transmitter, "acme").await;
    owed(&mut sender, "first").await;
    let changed = |name: &str| EsmesMsg::Changed { system_id: name.to_owned() };
    server.esmes.send_message(changed("acme")).unwrap();
    // Nobody answers: the line is closed, and only then there is another.
    let silent = phone.rings().await;
    assert!(phone.is_silent().await);
    ended(silent).await;
    for (kind, name, password, status) in [
        (BindKind::Receiver, "other", "secret", CommandStatus::BINDFAIL),
        (BindKind::Transmitter, "acme", "secret", CommandStatus::BINDFAIL),
        (BindKind::Receiver, "acme", "wrong", CommandStatus::INVPASWD),
    ] {
        let mut wrong = Client::over(phone.rings().await, Bind::new(kind, name, password)).await;
        assert_eq!(wrong.next().await, Output::BindRefused(status), "{name} {password}");
    }
    let bind = Bind::new(BindKind::Receiver, "acme", "secret");
    let mut right = Client::over(phone.rings().await, bind).await;
    assert_eq!(right.next().await, Output::Bound);
    assert!(text_of(&right.brought().await).contains("text:first"));
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_by_tls_reaches_only_whose_certificate_is_trusted() {
    let world = world().await;
    for (trust, reached) in [(Trust::File(&file("ca.pem")), true), (Trust::Machine, false)] {
        let tls = Tls::new(trust).unwrap();
        let server = Server::start_as(&world, |args| args.calls.tls = Some(tls)).await;
        let name = if reached { "trusting" } else { "wary" };
        let phone = Phone::new().await;
        let inside = phone.0.local_addr().unwrap();
        let port = door_before(move || async move { TcpStream::connect(inside).await.ok() }).await;
        server.account(&world, name, |settings| numbered(settings, port, true)).await;
        server.esmes.send_message(EsmesMsg::Changed { system_id: name.to_owned() }).unwrap();
        let mut sender = Client::bound(&server, BindKind::Transmitter, name).await;
        owed(&mut sender, "sealed").await;
        if reached {
            let bind = Bind::new(BindKind::Receiver, name, "secret");
            let mut called = Client::over(phone.rings().await, bind).await;
            assert_eq!(called.next().await, Output::Bound);
            assert!(text_of(&called.brought().await).contains("text:sealed"));
        } else {
            assert!(phone.is_silent().await, "its password was not said to a stranger");
        }
        server.end().await;
    }
    world.end().await;
}

//! What is done for each request.

use actors::lockout::Rule;
use actors::smpp::owner::{CarrierView, Views};
use actors::smpp::server::accounts::Accounts;
use actors::traffic::interceptors::Interceptors;
use actors::traffic::router::Router;
use actors::writer::WriterHandle;
use model::api_key::{Mode, SCOPES};
use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use model::message::Status;
use model::money::Micros;
use model::refusal::{Code, Refusal};
use ractor::ActorRef;
use ractor::rpc::CallResult;
use serde_json::{Value, json};
use std::time::Duration;
use store::lane::{Admin, AdminDone};
use store::{Store, StoreError, TailRow};
use supervisors::root::RootMsg;

use super::sip::SipDesk;
use super::{
    Minted, Request, carriers, interceptors, mint, numbers, pools, route, senders, sip, smpp,
    trunks,
};
use crate::carriers::Book;
use crate::numbers::NumberBook;
use crate::pools::PoolBook;
use crate::sip::SipBook;
use crate::trunks::TrunkBook;

/// Lines of a list at once.
pub(super) const PAGE: i64 = 200;
/// Orphans stay so long, and so long it is said that some went before.
const ORPHANS_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How long a carrier may take to finish what is under way.
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);

/// Where requests are answered: in a running switch, or on a store that nobody serves.
#[derive(Clone)]
pub struct Desk {
    pub(super) store: Store,
    pub(super) writer: WriterHandle,
    pub(super) root: Option<ActorRef<RootMsg>>,
    views: Views,
    pub(super) accounts: Accounts,
    pub(super) interceptors: Interceptors,
    /// Of a running switch.
    pub(super) router: Option<Router>,
    pub(super) book: Option<Book>,
    pub(super) sip: SipDesk,
    pub(super) pools: PoolBook,
    phones: Option<SipBook>,
    trunks: Option<TrunkBook>,
    numbers: Option<NumberBook>,
}

impl Desk {
    #[must_use]
    pub fn new(
        store: Store,
        writer: WriterHandle,
        root: Option<ActorRef<RootMsg>>,
        views: Views,
        accounts: Accounts,
    ) -> Self {
        let interceptors = Interceptors::default();
        let pools = PoolBook::new(store.clone(), writer.clone(), Router::default());
        let (router, book, phones, trunks, numbers) = (None, None, None, None, None);
        let sip = SipDesk::default();
        Self {
            store,
            writer,
            root,
            views,
            accounts,
            interceptors,
            router,
            book,
            pools,
            sip,
            phones,
            trunks,
            numbers,
        }
    }

    /// The same desk, which knows these rules.
    #[must_use]
    pub fn intercepted(self, interceptors: Interceptors) -> Self {
        Self { interceptors, ..self }
    }

    /// A desk that can say where messages go.
    #[must_use]
    pub fn routed_by(self, router: Router) -> Self {
        Self { router: Some(router), ..self }
    }

    /// The same desk, which changes these sender pools.
    #[must_use]
    pub(crate) fn pooling(self, pools: PoolBook) -> Self {
        Self { pools, ..self }
    }

    /// The same desk, which knows who is shut out.
    #[must_use]
    pub fn hearing(self, sip: SipDesk) -> Self {
        Self { sip, ..self }
    }

    /// The same desk, which changes these SIP credentials.
    #[must_use]
    pub(crate) fn registering(self, phones: SipBook) -> Self {
        Self { phones: Some(phones), ..self }
    }

    /// The same desk, which changes these trunks.
    #[must_use]
    pub(crate) fn trunking(self, trunks: TrunkBook) -> Self {
        Self { trunks: Some(trunks), ..self }
    }

    /// The same desk, which changes these numbers.
    #[must_use]
    pub(crate) fn numbering(self, numbers: NumberBook) -> Self {
        Self { numbers: Some(numbers), ..self }
    }

    pub(super) fn numbers(&self) -> Result<&NumberBook, Refusal> {
        let missing = || Refusal::new(Code::InternalError, "this desk has no numbers");
        self.numbers.as_ref().ok_or_else(missing)
    }

    pub(super) fn trunks(&self) -> Result<&TrunkBook, Refusal> {
        let missing = || Refusal::new(Code::InternalError, "this desk has no SIP trunks");
        self.trunks.as_ref().ok_or_else(missing)
    }

    pub(super) fn phones(&self) -> Result<&SipBook, Refusal> {
        let missing = || Refusal::new(Code::InternalError, "this desk has no SIP credentials");
        self.phones.as_ref().ok_or_else(missing)
    }

    /// The same desk, which keeps these carriers.
    #[must_use]
    pub fn keeping(self, book: Book) -> Self {
        Self { book: Some(book), ..self }
    }

    /// A desk that only reads.
    pub(crate) fn reader(store: Store) -> Self {
        let limits = actors::writer::Limits { accepts_max: 1, backlog_per_organization_max: 0 };
        let nobody = std::sync::Arc::new(actors::writer::Shared::new(limits));
        let rule = Rule { tries: 0, within: Duration::ZERO, shut: Duration::ZERO };
        let accounts = Accounts::new([0; 32], rule);
        Self::new(store, WriterHandle::new(nobody), None, Views::default(), accounts)
    }

    pub async fn answer(&self, request: Request) -> Result<Value, Refusal> {
        match request {
            Request::CreateOrganization { name, credit_usd, sandbox } => {
                self.create_organization(name, &credit_usd, sandbox).await
            }
            Request::ListOrganizations => self.organizations().await,
            Request::CreateKey { organization_id, mode, scopes, name } => {
                self.create_key(&organization_id, &mode, &scopes, &name).await
            }
            Request::RevokeKey { key_id } => self.revoke_key(&key_id).await,
            Request::TopUp { organization_id, usd, note } => {
                self.top_up(&organization_id, &usd, note).await
            }
            Request::AddSmppAccount { organization_id, system_id, password, mode, fields } => {
                let asked = smpp::Asked { organization_id, system_id, password, mode, fields };
                smpp::add(self, asked).await
            }
            Request::SipBans => sip::bans(self),
            Request::SipUnban { address } => sip::pardon(self, &address),
            Request::ListSmppAccounts => smpp::list(&self.store).await,
            Request::Interceptors { organization_id } => {
                interceptors::list(self, organization_id.as_deref()).await
            }
            Request::TestInterceptors { trial } => interceptors::test(self, trial).await,
            Request::Carrier { request } => carriers::answer(self, request).await,
            Request::Pool { organization_id, request } => {
                pools::answer(self, &organization_id, request).await
            }
            Request::Sip { organization_id, request } => {
                sip::answer(self, &organization_id, request).await
            }
            Request::Trunk { organization_id, request } => {
                trunks::answer(self, organization_id.as_deref(), request).await
            }
            Request::Number { request } => numbers::answer(self, request).await,
            Request::ShowSmppAccount { system_id } => smpp::show(self, &system_id).await,
            Request::SetSmppAccount { system_id, fields } => {
                smpp::set(self, &system_id, &fields).await
            }
            Request::RotateSmppPassword { system_id } => smpp::rotate(self, &system_id).await,
            Request::RemoveSmppAccount { system_id } => smpp::remove(self, &system_id).await,
            Request::LimitOrganization { organization_id, smpp_tps } => {
                smpp::limit(self, &organization_id, smpp_tps).await
            }
            Request::Queues => Ok(self.views.all().iter().map(|view| queue(view)).collect()),
            Request::Pause { carrier, paused } => self.pause(carrier, paused).await,
            Request::Drain { carrier } => self.drain(carrier).await,
            Request::Tail { after } => self.tail(after).await,
            Request::Orphans { older_s, below } => self.orphans(older_s, below).await,
            Request::Quarantine { below } => self.quarantine(below).await,
            Request::SimulateRoute { organization_id, to, from, category } => {
                let organization = self.organization(&organization_id).await?;
                route::simulate(self.router.as_ref(), organization, &to, from, category)
            }
            Request::Senders => senders::pending(&self.store).await,
            Request::DecideSender { id, country, approved, reason } => {
                senders::decide(&self.writer, &id, country, approved, reason).await
            }
        }
    }

    async fn create_organization(
        &self,
        name: String,
        credit_usd: &str,
        sandbox: bool,
    ) -> Result<Value, Refusal> {
        let length = name.trim().chars().count();
        if !(1..=200).contains(&length) || name.contains('\0') {
            return Err(invalid("name", "1 to 200 characters"));
        }
        let credit = dollars(credit_usd, Micros::ZERO, "credit_usd")?;
        let mode = if sandbox { Mode::Test } else { Mode::Live };
        let Minted { text, key } = mint(mode, "*", "first key");
        let id = PublicId::new(At::now());
        let name = name.trim().to_owned();
        let create = Admin::CreateOrganization { id, name, credit, sandbox, key };
        self.writer.administer(create).await?;
        Ok(json!({ "organization_id": id.show(Kind::Organization), "api_key": text }))
    }

    async fn organizations(&self) -> Result<Value, Refusal> {
        let rows = self.store.organizations(PAGE).await.map_err(away)?;
        let shown = rows.into_iter().map(|row| {
            json!({
                "organization_id": id_text(&row.public_id, Kind::Organization),
                "name": row.name,
                "slug": row.slug,
                "is_sandbox": row.is_sandbox != 0,
                "smpp_tps": row.smpp_tps,
                "created_at": At(row.created_at).iso(),
            })
        });
        Ok(shown.collect())
    }

    async fn create_key(
        &self,
        organization_id: &str,
        mode: &str,
        scopes: &[String],
        name: &str,
    ) -> Result<Value, Refusal> {
        let organization = self.organization(organization_id).await?;
        let mode = Mode::parse(mode).ok_or_else(|| invalid("mode", "live or test"))?;
        let known = |scope: &String| SCOPES.contains(&scope.as_str());
        if scopes.is_empty() || !scopes.iter().all(known) {
            return Err(invalid("scopes", SCOPES.join(", ")));
        }
        let Minted { text, key } = mint(mode, &scopes.join(" "), name);
        let id = key.id;
        self.writer.administer(Admin::CreateKey { organization, key }).await?;
        Ok(json!({
            "organization_id": organization_id,
            "key_id": id.show(Kind::ApiKey),
            "api_key": text,
            "mode": mode.as_str(),
            "scopes": scopes,
        }))
    }

    async fn revoke_key(&self, key_id: &str) -> Result<Value, Refusal> {
        let id = PublicId::parse(Kind::ApiKey, key_id)
            .ok_or_else(|| invalid("key_id", "key_ and 32 hexadecimal digits"))?;
        match self.writer.administer(Admin::RevokeKey { id }).await? {
            AdminDone::Revoked(true) => Ok(json!({ "key_id": key_id, "revoked": true })),
            _ => Err(Refusal::new(Code::NotFound, "no such key that is not revoked already")),
        }
    }

    async fn top_up(
        &self,
        organization_id: &str,
        usd: &str,
        note: String,
    ) -> Result<Value, Refusal> {
        let organization = self.organization(organization_id).await?;
        let amount = dollars(usd, Micros(1), "usd")?;
        self.writer.administer(Admin::TopUp { organization, amount, note }).await?;
        let wallet = self.store.wallet(organization).await.map_err(away)?;
        let available = wallet.map_or(0, |wallet| wallet.available);
        Ok(json!({
            "organization_id": organization_id,
            "added_usd": amount.to_string(),
            "balance_usd": Micros(available).to_string(),
        }))
    }

    pub(super) async fn organization(&self, text: &str) -> Result<OrgId, Refusal> {
        let id = PublicId::parse(Kind::Organization, text)
            .ok_or_else(|| invalid("organization_id", "org_ and 32 hexadecimal digits"))?;
        let found = self.store.organization(id).await.map_err(away)?;
        let found = found.ok_or_else(|| Refusal::new(Code::NotFound, "no such organization"))?;
        Ok(OrgId(found.id))
    }

    async fn pause(&self, carrier: String, paused: bool) -> Result<Value, Refusal> {
        let name = self.known(&carrier)?;
        let root = self.root()?;
        let ask = |reply| RootMsg::Pause { name, paused, reply };
        match root.call(ask, Some(Duration::from_secs(10))).await {
            Ok(CallResult::Success(true)) => Ok(json!({ "carrier": carrier, "paused": paused })),
            _ => Err(Refusal::unavailable("the carrier's owner does not answer")),
        }
    }

    async fn drain(&self, carrier: String) -> Result<Value, Refusal> {
        let name = Some(self.known(&carrier)?);
        let root = self.root()?;
        let ask = |reply| RootMsg::Drain { name, reply };
        match root.call(ask, Some(DRAIN_PATIENCE)).await {
            Ok(CallResult::Success(())) => Ok(json!({ "carrier": carrier, "drained": true })),
            _ => Err(Refusal::unavailable("the carrier still has work under way")),
        }
    }

    fn known(&self, carrier: &str) -> Result<String, Refusal> {
        if self.views.find(carrier).is_some() {
            return Ok(carrier.to_owned());
        }
        let names: Vec<String> = self.views.all().iter().map(|v| v.name.to_string()).collect();
        let message = format!("no carrier is called {carrier}; there are: {}", names.join(", "));
        Err(Refusal::new(Code::NotFound, message))
    }

    /// The carriers, if this desk was given them.
    pub(super) fn book(&self) -> Result<&Book, Refusal> {
        self.book.as_ref().ok_or_else(|| Refusal::new(Code::Conflict, "no carriers are kept here"))
    }

    fn root(&self) -> Result<&ActorRef<RootMsg>, Refusal> {
        self.root.as_ref().ok_or_else(|| Refusal::new(Code::Conflict, "no switch runs here"))
    }

    async fn tail(&self, after: Option<i64>) -> Result<Value, Refusal> {
        let Some(after) = after else {
            let newest = self.store.newest_event().await.map_err(away)?;
            return Ok(json!({ "after": newest, "lines": [] }));
        };
        let rows = self.store.tail(after, PAGE).await.map_err(away)?;
        let next = rows.last().map_or(after, |row| row.seq);
        let lines: Vec<Value> = rows.iter().map(line).collect();
        Ok(json!({ "after": next, "lines": lines }))
    }

    async fn orphans(&self, older_s: u64, below: Option<i64>) -> Result<Value, Refusal> {
        let before = At::now().minus(Duration::from_secs(older_s)).micros();
        let rows = self.store.orphans(before, below.unwrap_or(i64::MAX), PAGE).await;
        let mut all = self.receipts_dropped(below).await?;
        let shown = rows.map_err(away)?.into_iter().map(|row| {
            json!({
                "seq": row.seq,
                "at": At(row.at).iso(),
                "carrier": row.carrier,
                "external_id": row.raw_id,
                "status": Status::from_code(row.state).map(Status::as_str),
                "carrier_error": row.error,
                "source": row.source,
                "destination": row.destination,
            })
        });
        all.extend(shown);
        Ok(Value::Array(all))
    }

    /// Above the first page: where orphans went before their time.
    async fn receipts_dropped(&self, below: Option<i64>) -> Result<Vec<Value>, Refusal> {
        if below.is_some() {
            return Ok(Vec::new());
        }
        let since = At::now().minus(ORPHANS_KEPT).micros();
        let rows = self.store.receipts_dropped(since, PAGE).await.map_err(away)?;
        let shown = rows.into_iter().map(|row| {
            json!({
                "carrier": row.carrier,
                "dropped": row.receipts,
                "at": At(row.dropped_at).iso(),
            })
        });
        Ok(shown.collect())
    }

    async fn quarantine(&self, below: Option<i64>) -> Result<Value, Refusal> {
        let rows = self.store.quarantined(below.unwrap_or(i64::MAX), PAGE).await;
        let shown = rows.map_err(away)?.into_iter().map(|row| {
            json!({
                "seq": row.seq,
                "at": At(row.at).iso(),
                "carrier": row.carrier,
                "reason": row.reason,
                "item": row.item,
            })
        });
        Ok(shown.collect())
    }
}

fn queue(view: &CarrierView) -> Value {
    let oldest = Some(view.oldest()).filter(|at| *at != 0);
    json!({
        "carrier": &*view.name,
        "binds": view.connections,
        "bound": view.bound(),
        "paused": view.is_paused(),
        "waiting": view.waiting().max(0),
        "oldest": oldest.map(|at| At(at).iso()),
        "in_flight": view.in_flight(),
        "in_doubt": view.in_doubt(),
        "last_error": Some(view.last_error()).filter(|text| !text.is_empty()),
    })
}

fn line(row: &TailRow) -> Value {
    let detail = row.detail.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    json!({
        "at": At(row.at).iso(),
        "message_id": id_text(&row.id, Kind::Message),
        "event": EventKind::from_code(row.kind).map(EventKind::as_str),
        "status": Status::from_code(row.status).map(Status::as_str),
        "from": row.from_addr,
        "to": row.to_addr,
        "segments": row.segments,
        "carrier": row.carrier,
        "error_code": row.error_code,
        "detail": detail,
    })
}

pub(super) fn id_text(octets: &[u8], kind: Kind) -> Option<String> {
    <[u8; 16]>::try_from(octets).ok().map(|octets| PublicId::from_bytes(octets).show(kind))
}

fn dollars(text: &str, least: Micros, field: &'static str) -> Result<Micros, Refusal> {
    let amount = Micros::parse_usd(text).filter(|a| (least..=Micros::TOP_UP_MAX).contains(a));
    amount.ok_or_else(|| invalid(field, "dollars up to 1000000, with at most six decimals"))
}

pub(super) fn invalid(field: &'static str, expected: impl Into<String>) -> Refusal {
    let expected: String = expected.into();
    let message = format!("{field} must be {expected}");
    Refusal::new(Code::ValidationError, message).field(field).expected(expected)
}

pub(super) fn away(error: StoreError) -> Refusal {
    tracing::error!(%error, "reading the store");
    Refusal::unavailable("the store does not answer")
}

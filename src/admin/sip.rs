//! SIP at the operator's desk: credentials, who is shut out, and who is let in again.

use std::net::IpAddr;

use actors::sip::credentials::Credentials;
use model::id::Kind;
use model::refusal::{Code, Refusal};
use serde_json::{Value, json};
use supervisors::sip::SipHandle;

use super::desk::{Desk, invalid};
use crate::telephones::Office;

/// Bans that one answer lists.
const BANS_MAX: usize = 1_000;

/// What the desk knows of SIP.
#[derive(Clone, Default)]
pub struct SipDesk {
    pub domain: String,
    pub credentials_max: u32,
    /// Of a running switch.
    pub credentials: Option<Credentials>,
    pub handle: SipHandle,
}

pub(super) async fn add(
    desk: &Desk,
    organization_id: &str,
    username: &str,
    extension: Option<&str>,
) -> Result<Value, Refusal> {
    let organization = desk.organization(organization_id).await?;
    let office = Office {
        store: &desk.store,
        writer: &desk.writer,
        credentials: desk.sip.credentials.as_ref(),
        domain: &desk.sip.domain,
        most: desk.sip.credentials_max,
    };
    let issued = office.issue(organization, username, extension).await;
    let issued = issued.map_err(|error| Refusal::new(Code::ValidationError, error.to_string()))?;
    Ok(json!({
        "organization_id": organization_id,
        "credential_id": issued.id.show(Kind::SipCredential),
        "sip_username": issued.username,
        "sip_password": issued.password,
        "sip_server": issued.realm,
    }))
}

pub(super) fn bans(desk: &Desk) -> Result<Value, Refusal> {
    let now = tokio::time::Instant::now().into_std();
    let mut bans = wire(desk)?.shield().bans(now);
    bans.sort_by_key(|ban| std::cmp::Reverse(ban.left));
    let shown = bans.into_iter().take(BANS_MAX).map(|ban| {
        json!({
            "address": ban.address.to_string(),
            "user": ban.name,
            "seconds_left": ban.left.as_secs() + 1,
        })
    });
    Ok(shown.collect())
}

pub(super) fn pardon(desk: &Desk, address: &str) -> Result<Value, Refusal> {
    let ip: IpAddr = address.parse().map_err(|_| invalid("address", "an IP address"))?;
    let lifted = wire(desk)?.shield().pardon(ip);
    Ok(json!({ "address": address, "lifted": lifted }))
}

fn wire(desk: &Desk) -> Result<actors::sip::transport::Wire, Refusal> {
    desk.sip
        .handle
        .wire()
        .ok_or_else(|| Refusal::new(Code::ServiceUnavailable, "no switch serves SIP here"))
}

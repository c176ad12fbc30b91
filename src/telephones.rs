//! The SIP credential of `orbit dev`, made on this machine.
//!
//! A password is made here and shown once; what is stored is worth nothing outside of its realm.

use actors::sip::credentials::{Credentials, hashes};
use actors::writer::WriterHandle;
use anyhow::{Result, anyhow, bail};
use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::sip;
use rand::RngExt as _;
use store::Store;
use store::lane::{Admin, AdminDone, SipChange, SipDone, SipSettings};

/// Letters that nobody takes for another.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789";
const LENGTH: usize = 20;

/// Who makes credentials.
pub(crate) struct Office<'a> {
    pub(crate) store: &'a Store,
    pub(crate) writer: &'a WriterHandle,
    /// Of a running switch; others read what is stored when they start.
    pub(crate) credentials: Option<&'a Credentials>,
    pub(crate) domain: &'a str,
    pub(crate) most: u32,
}

/// What a telephone is given.
pub(crate) struct Issued {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) realm: String,
}

impl Office<'_> {
    /// A credential of this name, with another password if it is there already.
    pub(crate) async fn issue(
        &self,
        organization: OrgId,
        username: &str,
        extension: Option<&str>,
    ) -> Result<Issued> {
        if !sip::is_username(username) {
            bail!("a user name has small letters, digits, - _ and ., 32 at most");
        }
        if extension.is_some_and(|extension| !sip::is_extension(extension)) {
            bail!("an extension has 2 to 8 digits");
        }
        let slug = self.store.organization_slug(organization).await?;
        let slug = slug.ok_or_else(|| anyhow!("the organization has no slug"))?;
        let realm = sip::realm(&slug, self.domain);
        let password = password();
        let hashes = hashes(&realm, username, &password);
        let known = self.store.own_sip_credential_named(organization, username).await?;
        let (id, change) = match known {
            Some(row) => {
                let id = PublicId::from_bytes(row.public_id.as_slice().try_into()?);
                (id, SipChange::Rotate { organization, id, realm: realm.clone(), hashes })
            }
            None => {
                let id = PublicId::new(At::now());
                let settings = SipSettings {
                    label: username.to_owned(),
                    extension: extension.map(str::to_owned),
                    allowed_outbound: true,
                    allowed_destinations: String::from("[]"),
                    caller_id: None,
                    max_contacts: sip::CONTACTS,
                    suspended: false,
                };
                let (username, realm) = (username.to_owned(), realm.clone());
                let most = i64::from(self.most);
                let change =
                    SipChange::Create { organization, id, realm, username, hashes, settings, most };
                (id, change)
            }
        };
        let done = self.writer.administer(Admin::Sip(Box::new(change))).await;
        match done.map_err(|refusal| anyhow!("{}", refusal.message))? {
            AdminDone::Sip(SipDone::Stored) => {}
            AdminDone::Sip(SipDone::ExtensionTaken) => bail!("this extension is taken"),
            AdminDone::Sip(SipDone::TooMany) => bail!("the organization has too many credentials"),
            other => bail!("the credential is not stored: {other:?}"),
        }
        if let (Some(credentials), Some(row)) =
            (self.credentials, self.store.sip_credential(id).await?)
        {
            credentials.put(&row);
        }
        Ok(Issued { username: username.to_owned(), password, realm })
    }
}

fn password() -> String {
    let mut random = rand::rng();
    let letter = |_| char::from(LETTERS[random.random_range(0..LETTERS.len())]);
    (0..LENGTH).map(letter).collect()
}

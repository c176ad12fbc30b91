//! What an address is, and which scope of the suppression list it belongs in.

use model::consent::Scope;
use model::identity::{Country, Identity};
use model::refusal::Code;
use serde_json::json;

use super::super::error::Fault;

/// Whether a channel knows people by such an identity.
pub(crate) fn fits(identity: &Identity, scope: Scope) -> bool {
    match scope {
        Scope::Sms | Scope::Voice | Scope::Whatsapp | Scope::Rcs | Scope::Viber | Scope::Fax => {
            matches!(identity, Identity::Phone(_))
        }
        Scope::Email => matches!(identity, Identity::Email(_)),
        Scope::All
        | Scope::Push
        | Scope::Telegram
        | Scope::Messenger
        | Scope::Instagram
        | Scope::Line => true,
    }
}

/// Reads whom a text names, where it is to be reached by these channels.
pub(crate) fn identity(text: &str, scopes: &[Scope], country: Option<Country>) -> Option<Identity> {
    let by_phone = !text.contains('@') && (scopes.is_empty() || scopes.iter().all(is_phone));
    let read = if let [Scope::Whatsapp] = scopes
        && country.is_none()
    {
        Identity::whatsapp(text)
    } else if by_phone {
        Identity::phone(text, country)
    } else {
        Identity::parse(text)
    };
    read.filter(|identity| scopes.iter().all(|scope| fits(identity, *scope)))
}

/// True where a text without `@` can only be a phone number.
fn is_phone(scope: &Scope) -> bool {
    *scope == Scope::All || !fits(&Identity::Other(String::new()), *scope) && *scope != Scope::Email
}

/// Address and scope of an entry. Without a scope email addresses go into `email`, others `all`.
pub(super) fn resolve(
    address: &str,
    scope: Option<Scope>,
    country: Option<Country>,
) -> Result<(String, Scope), Fault> {
    let scopes: Vec<Scope> = scope.into_iter().collect();
    let Some(identity) = identity(address, &scopes, country) else {
        return Err(unknown(address, scope));
    };
    let own = if matches!(identity, Identity::Email(_)) { Scope::Email } else { Scope::All };
    Ok((identity.as_str().to_owned(), scope.unwrap_or(own)))
}

fn unknown(address: &str, scope: Option<Scope>) -> Fault {
    let phone = scope.as_ref().is_none_or(is_phone) && !address.contains('@');
    let fault = if phone {
        Fault::new(Code::InvalidPhoneNumber, "the address is not a phone number")
            .expected("E.164, as in +14155550123; a national number needs default_country")
    } else {
        Fault::new(Code::ValidationError, "the address is not one of this scope")
            .expected("E.164 with +, an email address, or the channel's own id")
    };
    fault.field("address").value(json!(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(address: &str, scope: Option<Scope>, country: &str) -> Option<(String, Scope)> {
        resolve(address, scope, Country::parse(country)).ok()
    }

    fn is(address: &str, scope: Scope) -> Option<(String, Scope)> {
        Some((address.to_owned(), scope))
    }

    #[test]
    fn an_address_finds_its_scope() {
        let phone = "+14155550123";
        assert_eq!(resolved("+1 415 555 0123", None, ""), is(phone, Scope::All));
        assert_eq!(resolved("A@B.co", None, ""), is("a@b.co", Scope::Email));
        assert_eq!(resolved("A@B.co", Some(Scope::All), ""), is("a@b.co", Scope::All));
        assert_eq!(resolved(phone, Some(Scope::Sms), ""), is(phone, Scope::Sms));
        assert_eq!(resolved("u1", Some(Scope::Telegram), ""), is("u1", Scope::Telegram));
        assert_eq!(resolved("14155550123", Some(Scope::Whatsapp), ""), is(phone, Scope::Whatsapp));
    }

    #[test]
    fn a_national_number_needs_its_country() {
        assert_eq!(resolved("4155550123", None, ""), None);
        assert_eq!(resolved("4155550123", None, "US"), is("+14155550123", Scope::All));
        let fault = resolve("4155550123", None, None).unwrap_err();
        assert_eq!(fault.code, Code::InvalidPhoneNumber);
    }

    #[test]
    fn an_address_of_another_channel_is_refused() {
        for (address, scope) in [
            ("a@b.co", Some(Scope::Sms)),
            ("+14155550123", Some(Scope::Email)),
            ("u1", None),
            ("u1", Some(Scope::All)),
            ("", None),
        ] {
            assert_eq!(resolved(address, scope, "US"), None, "{address}");
        }
    }
}

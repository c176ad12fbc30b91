//! Our challenges, and whether credentials are good.
//!
//! A nonce carries its own time, chance and a seal (HMAC-SHA-256), so a flood of challenges leaves
//! nothing in memory. Credentials of a user that does not exist take the same steps as those of one that
//! does. `stale` is said to those alone who knew the password, so that their telephone tries again without
//! asking anybody.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::counts::{NonceId, Taken};
use super::{Algorithm, Asked, Challenge, Counted, Counts, Credentials, Ha1};

/// Octets of a nonce: time, chance, seal.
const NONCE: usize = 32;
const SEAL: usize = 16;
/// A nonce from so far ahead of our clock is not ours.
const AHEAD_MS: u64 = 5_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Granted,
    /// The password is right, the nonce not fresh: challenge again with `stale`.
    Stale,
    /// The password is right, and these credentials came before: as `Stale`, and worth counting.
    Replayed,
    /// Challenge again, and count towards a ban.
    Denied,
}

/// What a check is about.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a str,
    pub realm: &'a str,
    /// What a nonce is bound to beside the realm, as an address; empty for nothing.
    pub scope: &'a [u8],
    /// Milliseconds of any clock that goes on over a restart.
    pub now_ms: u64,
}

/// Makes nonces and knows them again.
#[derive(Clone)]
pub struct Nonces {
    seal: Hmac<Sha256>,
    life_ms: u64,
    /// Whether the form without `qop` is taken, once for each nonce.
    without_qop: bool,
    /// In the place of what a user that does not exist has.
    nobody: [Ha1; 2],
}

impl fmt::Debug for Nonces {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Nonces").field("life_ms", &self.life_ms).finish_non_exhaustive()
    }
}

impl Nonces {
    /// With a key that nobody else knows.
    pub fn new(key: &[u8; 32], life: Duration, without_qop: bool) -> Self {
        let nobody = |algorithm: Algorithm| Ha1(algorithm, algorithm.hash(&[key]));
        Self {
            seal: Hmac::new_from_slice(key).expect("HMAC takes a key of any length"),
            life_ms: u64::try_from(life.as_millis()).unwrap_or(u64::MAX),
            without_qop,
            nobody: [nobody(Algorithm::Md5), nobody(Algorithm::Sha256)],
        }
    }

    fn mac(&self, head: &[u8], realm: &str, scope: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.seal.clone();
        mac.update(head);
        mac.update(&(realm.len() as u64).to_be_bytes());
        mac.update(realm.as_bytes());
        mac.update(scope);
        mac
    }

    /// A fresh nonce.
    pub fn make(&self, request: &Request<'_>, chance: u64) -> String {
        let mut octets = [0; NONCE];
        octets[..8].copy_from_slice(&request.now_ms.to_be_bytes());
        octets[8..16].copy_from_slice(&chance.to_be_bytes());
        let seal = self.mac(&octets[..16], request.realm, request.scope).finalize().into_bytes();
        octets[16..].copy_from_slice(&seal[..SEAL]);
        URL_SAFE_NO_PAD.encode(octets)
    }

    /// One challenge for each algorithm, in this order, over the same nonce.
    pub fn challenges(
        &self,
        request: &Request<'_>,
        chance: u64,
        algorithms: &[Algorithm],
        stale: bool,
    ) -> Vec<Challenge> {
        let nonce = self.make(request, chance);
        let challenge = |algorithm: &Algorithm| Challenge {
            realm: request.realm.to_owned(),
            nonce: nonce.clone(),
            algorithm: *algorithm,
            opaque: None,
            stale,
            qop_auth: true,
        };
        algorithms.iter().map(challenge).collect()
    }

    /// Whether we made this nonce for this realm and scope, however long ago. Who comes with another has not
    /// heard our challenge, or lets on not to: its failures say nothing about where it is.
    pub fn is_ours(&self, nonce: &str, request: &Request<'_>) -> bool {
        self.unseal(nonce, request).is_some()
    }

    fn unseal(&self, nonce: &str, request: &Request<'_>) -> Option<NonceId> {
        let octets: [u8; NONCE] = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        let (head, seal) = octets.split_at(NONCE - SEAL);
        self.mac(head, request.realm, request.scope).verify_truncated_left(seal).ok()?;
        let (time, chance) = head.split_first_chunk::<8>()?;
        Some(NonceId {
            issued_ms: u64::from_be_bytes(*time),
            chance: u64::from_be_bytes(*chance.first_chunk()?),
        })
    }

    /// The nonce, if it is one of ours and still good.
    fn open(&self, nonce: &str, request: &Request<'_>) -> Option<NonceId> {
        let id = self.unseal(nonce, request)?;
        let past = id.issued_ms.saturating_add(self.life_ms) <= request.now_ms;
        let future = id.issued_ms > request.now_ms.saturating_add(AHEAD_MS);
        (!past && !future).then_some(id)
    }

    /// Checks credentials against what is stored for their user, realm and algorithm; `None` for a user
    /// that does not exist.
    pub fn check(
        &self,
        credentials: &Credentials,
        known: Option<&Ha1>,
        request: &Request<'_>,
        counts: &mut Counts,
    ) -> Verdict {
        let [md5, sha256] = &self.nobody;
        let nobody = match credentials.algorithm {
            Algorithm::Md5 => md5,
            Algorithm::Sha256 => sha256,
        };
        let known = known.filter(|ha1| ha1.algorithm() == credentials.algorithm);
        let counted = credentials.counted.as_ref();
        let counted = counted.map(|(count, cnonce)| Counted { count: *count, cnonce });
        let asked = Asked {
            method: request.method,
            uri: &credentials.uri,
            nonce: &credentials.nonce,
            counted,
        };
        let right = known.unwrap_or(nobody).response(&asked).is(&credentials.response);
        let opened = self.open(&credentials.nonce, request);
        let spoken = counted.is_some() || self.without_qop;
        if !right || known.is_none() || credentials.realm != request.realm || !spoken {
            return Verdict::Denied;
        }
        let Some(id) = opened else { return Verdict::Stale };
        counts.expire(request.now_ms.saturating_sub(self.life_ms));
        // Without a count a nonce is good for one request: all counts are taken with it.
        match counts.take(id, counted.map_or(u32::MAX, |counted| counted.count)) {
            Taken::Fresh => Verdict::Granted,
            Taken::Replayed => Verdict::Replayed,
            Taken::Forgotten => Verdict::Stale,
        }
    }
}

/// Whether the URI that was hashed means the request's: user and host are the same, whatever the
/// parameters and the port. What is no SIP URI is compared as text.
pub fn refers_to(hashed: &str, requested: &str) -> bool {
    match (essence(hashed), essence(requested)) {
        (Some((user, host)), Some((other_user, other_host))) => {
            user == other_user && host.eq_ignore_ascii_case(other_host)
        }
        _ => hashed == requested,
    }
}

fn essence(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("sip") && !scheme.eq_ignore_ascii_case("sips") {
        return None;
    }
    let (user, host) = rest.split_once('@').unwrap_or(("", rest));
    let host = host.split([';', '?', '>']).next().unwrap_or_default();
    let host = match host.rfind(']') {
        Some(end) => &host[..=end],
        None => host.split(':').next().unwrap_or_default(),
    };
    (!host.is_empty()).then_some((user, host))
}

#[cfg(test)]
mod tests {
    use super::super::client::{Account, Attempt, Client, Target};
    use super::*;

    const REALM: &str = "acme.example.com";

    fn nonces() -> Nonces {
        Nonces::new(&[7; 32], Duration::from_secs(300), false)
    }

    fn at(now_ms: u64) -> Request<'static> {
        Request { method: "REGISTER", realm: REALM, scope: b"", now_ms }
    }

    fn ha1(password: &str) -> Ha1 {
        Ha1::new(Algorithm::Sha256, "bob", REALM, password)
    }

    /// What a telephone with this password says to a nonce.
    fn says(nonce: &str, count: u32, password: &str) -> Credentials {
        let counted = Some((count, "c0ffee".to_owned()));
        let uri = "sip:acme.example.com".to_owned();
        let asked = Asked {
            method: "REGISTER",
            uri: &uri,
            nonce,
            counted: Some(Counted { count, cnonce: "c0ffee" }),
        };
        let response = ha1(password).response(&asked);
        Credentials {
            user: "bob".into(),
            realm: REALM.into(),
            nonce: nonce.into(),
            uri,
            algorithm: Algorithm::Sha256,
            opaque: None,
            counted,
            response,
        }
    }

    #[test]
    fn the_right_password_is_granted_once_for_each_count() {
        let (nonces, mut counts, known) = (nonces(), Counts::new(10), ha1("secret"));
        let nonce = nonces.make(&at(1_000), 1);
        let mut check = |credentials: &Credentials, now| {
            nonces.check(credentials, Some(&known), &at(now), &mut counts)
        };
        assert_eq!(check(&says(&nonce, 1, "secret"), 1_000), Verdict::Granted);
        assert_eq!(check(&says(&nonce, 1, "secret"), 1_000), Verdict::Replayed);
        assert_eq!(check(&says(&nonce, 3, "secret"), 1_000), Verdict::Granted);
        assert_eq!(check(&says(&nonce, 2, "secret"), 300_999), Verdict::Granted);
        assert_eq!(check(&says(&nonce, 4, "secret"), 301_000), Verdict::Stale);
        assert_eq!(check(&says(&nonce, 5, "wrong"), 1_000), Verdict::Denied);
        assert_eq!(
            check(&says(&nonce, 5, "wrong"), 301_000),
            Verdict::Denied,
            "stale tells nothing"
        );
    }

    #[test]
    fn a_nonce_that_is_not_ours_is_stale_to_who_knows_the_password() {
        let (nonces, mut counts, known) = (nonces(), Counts::new(10), ha1("secret"));
        let mut check = |nonce: &str, request: &Request<'_>| {
            nonces.check(&says(nonce, 1, "secret"), Some(&known), request, &mut counts)
        };
        let good = nonces.make(&at(1_000), 1);
        let other = Nonces::new(&[8; 32], Duration::from_secs(300), false).make(&at(1_000), 1);
        let mut forged = good.clone().into_bytes();
        forged[0] ^= 1;
        let forged = String::from_utf8(forged).unwrap();
        let long = "x".repeat(4_000);
        for nonce in [&other, &forged, "", "abc", &long] {
            assert_eq!(check(nonce, &at(1_000)), Verdict::Stale);
        }
        let elsewhere = Request { scope: b"203.0.113.9", ..at(1_000) };
        assert_eq!(check(&good, &elsewhere), Verdict::Stale);
        let future = nonces.make(&at(100_000), 1);
        assert_eq!(check(&future, &at(1_000)), Verdict::Stale);
        assert!(counts.is_empty());
    }

    #[test]
    fn who_does_not_exist_is_denied_as_who_does_not_know() {
        let (nonces, mut counts) = (nonces(), Counts::new(10));
        let nonce = nonces.make(&at(0), 1);
        let credentials = says(&nonce, 1, "secret");
        assert_eq!(nonces.check(&credentials, None, &at(0), &mut counts), Verdict::Denied);
        let md5 = Ha1::new(Algorithm::Md5, "bob", REALM, "secret");
        assert_eq!(nonces.check(&credentials, Some(&md5), &at(0), &mut counts), Verdict::Denied);
        let other = Request { realm: "other.example.com", ..at(0) };
        let known = ha1("secret");
        assert_eq!(nonces.check(&credentials, Some(&known), &other, &mut counts), Verdict::Denied);
        let invite = Request { method: "INVITE", ..at(0) };
        assert_eq!(nonces.check(&credentials, Some(&known), &invite, &mut counts), Verdict::Denied);
    }

    #[test]
    fn a_nonce_is_ours_where_it_was_given_also_when_it_is_over() {
        let nonces = nonces();
        let home = Request { scope: b"192.0.2.1", ..at(0) };
        let nonce = nonces.make(&home, 1);
        assert!(nonces.is_ours(&nonce, &Request { now_ms: 10_000_000, ..home }));
        assert!(!nonces.is_ours(&nonce, &Request { scope: b"192.0.2.2", ..home }));
        assert!(!nonces.is_ours("invented", &home));
    }

    #[test]
    fn the_form_without_qop_is_taken_once_a_nonce_or_never() {
        let known = ha1("secret");
        let without = |nonce: &str| {
            let asked =
                Asked { method: "REGISTER", uri: "sip:acme.example.com", nonce, counted: None };
            Credentials { counted: None, response: known.response(&asked), ..says(nonce, 1, "") }
        };
        let strict = nonces();
        let nonce = strict.make(&at(0), 1);
        let mut counts = Counts::new(10);
        let verdict = strict.check(&without(&nonce), Some(&known), &at(0), &mut counts);
        assert_eq!(verdict, Verdict::Denied);
        let lenient = Nonces::new(&[7; 32], Duration::from_secs(300), true);
        for expected in [Verdict::Granted, Verdict::Replayed] {
            let verdict = lenient.check(&without(&nonce), Some(&known), &at(0), &mut counts);
            assert_eq!(verdict, expected);
        }
        let verdict = lenient.check(&says(&nonce, 9, "secret"), Some(&known), &at(0), &mut counts);
        assert_eq!(verdict, Verdict::Replayed, "nor with a count after it");
    }

    #[test]
    fn a_flood_of_users_costs_bounded_memory_and_an_honest_one_a_second_try() {
        let (nonces, mut counts, known) = (nonces(), Counts::new(100), ha1("secret"));
        let first = nonces.make(&at(0), 0);
        for chance in 1..1_000 {
            let nonce = nonces.make(&at(chance), chance);
            let credentials = says(&nonce, 1, "secret");
            let verdict = nonces.check(&credentials, Some(&known), &at(chance), &mut counts);
            assert_eq!(verdict, Verdict::Granted);
        }
        assert_eq!(counts.len(), 100);
        let late = says(&first, 1, "secret");
        assert_eq!(nonces.check(&late, Some(&known), &at(1_000), &mut counts), Verdict::Stale);
    }

    #[test]
    fn our_client_and_our_server_agree() {
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let (nonces, mut counts) = (nonces(), Counts::new(10));
            let mut client = Client::new(vec![Account::new(REALM, "bob", "secret")]);
            let known = Ha1::new(algorithm, "bob", REALM, "secret");
            let challenges = nonces.challenges(&at(0), 5, &[algorithm], false);
            let values: Vec<String> = challenges.iter().map(|one| one.value().unwrap()).collect();
            let target = Target { method: "REGISTER", uri: "sip:acme.example.com", cnonce: "abc" };
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let first = client.answer(&values, &target, &mut Attempt::default()).unwrap();
            let again = client.again(REALM, &target).unwrap();
            for value in [first, again] {
                let credentials = Credentials::parse(&value).unwrap();
                let verdict = nonces.check(&credentials, Some(&known), &at(0), &mut counts);
                assert_eq!(verdict, Verdict::Granted, "{value}");
            }
        }
    }

    #[test]
    fn the_hashed_uri_has_to_mean_the_requested_one() {
        for (one, other, same) in [
            ("sip:a@b.com", "sips:a@B.COM:5061;transport=tls", true),
            ("sip:b.com", "sip:b.com;lr", true),
            ("sip:[2001:db8::1]:5060", "sip:[2001:DB8::1]", true),
            ("sip:a@b.com", "sip:c@b.com", false),
            ("sip:a@b.com", "sip:a@evil.com", false),
            ("sip:A@b.com", "sip:a@b.com", false),
            ("tel:+1", "tel:+1", true),
            ("tel:+1", "tel:+2", false),
            ("", "sip:b.com", false),
        ] {
            assert_eq!(refers_to(one, other), same, "{one} {other}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        assert_eq!(format!("{:?}", nonces()), "Nonces { life_ms: 300000, .. }");
    }
}

//! Our credentials for what others challenge: trunks and registrars that we were given a password for.
//!
//! **A challenge of a realm that is not configured is never answered**: whoever wants our hashes only
//! needs to challenge a BYE of ours. A request is answered again only when the nonce was stale, and only
//! a few times. Of several challenges the better algorithm is taken.

use std::fmt;

use super::{Algorithm, Asked, Challenge, Counted, Credentials, DigestError, Ha1};

/// Challenges of one response that are looked at.
const CHALLENGES_MAX: usize = 8;
/// Answers to one realm for one request.
const ANSWERS_MAX: u8 = 3;

#[derive(Clone)]
enum Secret {
    Password(String),
    Hashes(Vec<Ha1>),
}

/// What we are called in a realm.
#[derive(Clone)]
pub struct Account {
    realm: String,
    user: String,
    secret: Secret,
}

impl fmt::Debug for Account {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = out.debug_struct("Account");
        shown.field("realm", &self.realm).field("user", &self.user).finish_non_exhaustive()
    }
}

impl Account {
    pub fn new(realm: &str, user: &str, password: &str) -> Self {
        let secret = Secret::Password(password.to_owned());
        Self { realm: realm.to_owned(), user: user.to_owned(), secret }
    }

    /// With stored hashes; an algorithm that has none is not answered.
    pub fn with_hashes(realm: &str, user: &str, hashes: Vec<Ha1>) -> Self {
        let secret = Secret::Hashes(hashes);
        Self { realm: realm.to_owned(), user: user.to_owned(), secret }
    }

    fn ha1(&self, algorithm: Algorithm) -> Option<Ha1> {
        match &self.secret {
            Secret::Password(password) => {
                Some(Ha1::new(algorithm, &self.user, &self.realm, password))
            }
            Secret::Hashes(hashes) => {
                hashes.iter().find(|ha1| ha1.algorithm() == algorithm).copied()
            }
        }
    }
}

/// The request that credentials are for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub method: &'a str,
    /// The Request-URI, as it is sent.
    pub uri: &'a str,
    /// Of letters and digits, and not to be guessed.
    pub cnonce: &'a str,
}

/// Why a challenge is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    #[error("no challenge of a configured realm")]
    Realm,
    #[error("no challenge that is spoken here")]
    Unsupported,
    #[error("our answer was refused")]
    Refused,
    #[error("the request or the challenge cannot be put into a header")]
    Form,
}

/// What was answered for one request; a new request begins with an empty one.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    answered: Vec<Answered>,
}

#[derive(Debug, Clone)]
struct Answered {
    account: usize,
    nonce: String,
    times: u8,
}

/// The challenge an account answered last, and how often.
#[derive(Debug, Clone)]
struct Session {
    challenge: Challenge,
    count: u32,
}

#[derive(Debug, Clone)]
pub struct Client {
    accounts: Vec<(Account, Option<Session>)>,
}

impl Client {
    /// For one peer: its accounts are shown to nobody else.
    pub fn new(accounts: Vec<Account>) -> Self {
        Self { accounts: accounts.into_iter().map(|account| (account, None)).collect() }
    }

    /// Answers the challenges of a 401 or 407: the value of `Authorization` or `Proxy-Authorization`.
    pub fn answer(
        &mut self,
        challenges: &[&str],
        target: &Target<'_>,
        attempt: &mut Attempt,
    ) -> Result<String, NoAnswer> {
        let (at, challenge) = self.choose(challenges)?;
        match attempt.answered.iter_mut().find(|answered| answered.account == at) {
            Some(before) => {
                let may = challenge.stale && before.nonce != challenge.nonce;
                if !may || before.times >= ANSWERS_MAX {
                    // What was refused is not used ahead either.
                    self.accounts[at].1 = None;
                    return Err(NoAnswer::Refused);
                }
                before.nonce.clone_from(&challenge.nonce);
                before.times += 1;
            }
            None => attempt.answered.push(Answered {
                account: at,
                nonce: challenge.nonce.clone(),
                times: 1,
            }),
        }
        let (_, session) = &mut self.accounts[at];
        // The same nonce again, as for another request, keeps its count.
        match session {
            Some(session) if session.challenge.nonce == challenge.nonce => {}
            _ => *session = Some(Session { challenge, count: 0 }),
        }
        self.credentials(at, target).ok_or(NoAnswer::Form)
    }

    /// Credentials for the next request by the nonce that was used last, without being asked: it saves
    /// a round, and the peer says `stale` when it is over.
    pub fn again(&mut self, realm: &str, target: &Target<'_>) -> Option<String> {
        let at = self.accounts.iter().position(|(account, _)| account.realm == realm)?;
        let (_, session) = &self.accounts[at];
        // Without a count the same words would be said twice.
        if !session.as_ref()?.challenge.qop_auth {
            return None;
        }
        self.credentials(at, target)
    }

    /// The best challenge of a configured realm.
    fn choose(&self, challenges: &[&str]) -> Result<(usize, Challenge), NoAnswer> {
        let mut best: Option<(usize, Challenge)> = None;
        let mut unsupported = false;
        for value in challenges.iter().take(CHALLENGES_MAX) {
            let challenge = match Challenge::parse(value) {
                Ok(challenge) => challenge,
                Err(error) => {
                    unsupported |= error == DigestError::Unsupported;
                    continue;
                }
            };
            let mut accounts = self.accounts.iter();
            let Some(at) = accounts.position(|(account, _)| account.realm == challenge.realm)
            else {
                continue;
            };
            let is_better =
                best.as_ref().is_none_or(|(_, other)| challenge.algorithm > other.algorithm);
            if self.accounts[at].0.ha1(challenge.algorithm).is_none() {
                unsupported = true;
            } else if is_better {
                best = Some((at, challenge));
            }
        }
        best.ok_or(if unsupported { NoAnswer::Unsupported } else { NoAnswer::Realm })
    }

    fn credentials(&mut self, at: usize, target: &Target<'_>) -> Option<String> {
        let (account, session) = self.accounts.get_mut(at)?;
        let session = session.as_mut()?;
        session.count = session.count.checked_add(1)?;
        let Challenge { realm, nonce, algorithm, opaque, qop_auth, .. } = &session.challenge;
        let counted = Counted { count: session.count, cnonce: target.cnonce };
        let counted = Some(counted).filter(|_| *qop_auth);
        let asked = Asked { method: target.method, uri: target.uri, nonce, counted };
        let response = account.ha1(*algorithm)?.response(&asked);
        let credentials = Credentials {
            user: account.user.clone(),
            realm: realm.clone(),
            nonce: nonce.clone(),
            uri: target.uri.to_owned(),
            algorithm: *algorithm,
            opaque: opaque.clone(),
            counted: counted.map(|counted| (counted.count, counted.cnonce.to_owned())),
            response,
        };
        credentials.value().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target<'static> =
        Target { method: "INVITE", uri: "sip:100@carrier.example.com", cnonce: "c0ffee" };

    fn client() -> Client {
        Client::new(vec![
            Account::new("carrier.example.com", "orbit", "secret"),
            Account::new("edge.example.com", "orbit", "other"),
        ])
    }

    fn challenge(realm: &str, nonce: &str, more: &str) -> String {
        format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", qop=\"auth\"{more}")
    }

    fn answer(
        client: &mut Client,
        values: &[String],
        attempt: &mut Attempt,
    ) -> Result<String, NoAnswer> {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        client.answer(&values, &TARGET, attempt)
    }

    #[test]
    fn a_challenge_of_another_realm_is_never_answered() {
        let mut client = client();
        let bye = Target { method: "BYE", ..TARGET };
        for realm in ["evil.example.com", "CARRIER.example.com", "carrier.example.com ", ""] {
            let value = challenge(realm, "n", "");
            let result = client.answer(&[&value], &bye, &mut Attempt::default());
            assert_eq!(result, Err(NoAnswer::Realm), "{realm}");
            assert_eq!(client.again(realm, &bye), None);
        }
        let none = client.answer(&[], &bye, &mut Attempt::default());
        assert_eq!(none, Err(NoAnswer::Realm));
    }

    #[test]
    fn the_better_algorithm_is_taken_whatever_the_order() {
        let realm = "carrier.example.com";
        let md5 = challenge(realm, "one", ", algorithm=MD5");
        let sha256 = challenge(realm, "one", ", algorithm=SHA-256");
        let unknown = challenge(realm, "one", ", algorithm=SHA-512-256");
        for values in [[md5.clone(), sha256.clone()], [sha256, md5.clone()]] {
            let value = answer(&mut client(), &values, &mut Attempt::default()).unwrap();
            assert!(value.contains("algorithm=SHA-256"), "{value}");
        }
        let value =
            answer(&mut client(), &[unknown.clone(), md5], &mut Attempt::default()).unwrap();
        assert!(value.contains("algorithm=MD5"), "{value}");
        let none = answer(&mut client(), &[unknown], &mut Attempt::default());
        assert_eq!(none, Err(NoAnswer::Unsupported));
    }

    #[test]
    fn an_answer_that_was_refused_is_not_given_again() {
        let (mut client, mut attempt) = (client(), Attempt::default());
        let first = [challenge("carrier.example.com", "one", "")];
        let second = [challenge("carrier.example.com", "two", "")];
        assert!(answer(&mut client, &first, &mut attempt).is_ok());
        assert_eq!(answer(&mut client, &second, &mut attempt), Err(NoAnswer::Refused));
        assert_eq!(client.again("carrier.example.com", &TARGET), None);
    }

    #[test]
    fn stale_nonces_are_answered_a_few_times_and_no_more() {
        let (mut client, mut attempt) = (client(), Attempt::default());
        let mut answered = 0;
        for number in 0..100 {
            let value = [challenge("carrier.example.com", &format!("n{number}"), ", stale=true")];
            answered += u8::from(answer(&mut client, &value, &mut attempt).is_ok());
        }
        assert_eq!(answered, ANSWERS_MAX);
        let same = [challenge("edge.example.com", "same", ", stale=true")];
        assert!(answer(&mut client, &same, &mut attempt).is_ok(), "another realm, as a proxy's");
        assert_eq!(answer(&mut client, &same, &mut attempt), Err(NoAnswer::Refused));
    }

    #[test]
    fn counts_go_up_with_one_nonce_and_begin_anew_with_the_next() {
        let mut client = client();
        let realm = "carrier.example.com";
        let count = |value: &str| Credentials::parse(value).unwrap().counted.unwrap().0;
        let first = [challenge(realm, "one", "")];
        assert_eq!(count(&answer(&mut client, &first, &mut Attempt::default()).unwrap()), 1);
        assert_eq!(count(&client.again(realm, &TARGET).unwrap()), 2);
        assert_eq!(count(&answer(&mut client, &first, &mut Attempt::default()).unwrap()), 3);
        let second = [challenge(realm, "two", "")];
        assert_eq!(count(&answer(&mut client, &second, &mut Attempt::default()).unwrap()), 1);
    }

    #[test]
    fn hashes_answer_their_own_algorithm_alone() {
        let realm = "carrier.example.com";
        let md5 = Ha1::new(Algorithm::Md5, "orbit", realm, "secret");
        let account = Account::with_hashes(realm, "orbit", vec![md5]);
        let mut client = Client::new(vec![account]);
        let sha256 = [challenge(realm, "one", ", algorithm=SHA-256")];
        let none = answer(&mut client, &sha256, &mut Attempt::default());
        assert_eq!(none, Err(NoAnswer::Unsupported));
        let plain = [challenge(realm, "one", ", opaque=\"o\"")];
        let value = answer(&mut client, &plain, &mut Attempt::default()).unwrap();
        assert!(value.ends_with("opaque=\"o\""), "{value}");
    }

    #[test]
    fn the_older_form_is_answered_and_not_used_ahead() {
        let mut client = client();
        let old = ["Digest realm=\"carrier.example.com\", nonce=\"one\"".to_owned()];
        let value = answer(&mut client, &old, &mut Attempt::default()).unwrap();
        assert_eq!(Credentials::parse(&value).unwrap().counted, None);
        assert_eq!(client.again("carrier.example.com", &TARGET), None);
    }

    #[test]
    fn a_uri_that_would_begin_a_line_is_not_put_into_a_header() {
        let value = challenge("carrier.example.com", "one", "");
        let target = Target { uri: "sip:a\r\nEvil: x", ..TARGET };
        let result = client().answer(&[&value], &target, &mut Attempt::default());
        assert_eq!(result, Err(NoAnswer::Form));
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = format!("{:?}", client());
        assert!(shown.contains("carrier.example.com") && !shown.contains("secret"), "{shown}");
    }
}

//! Passwords at rest: sealed with AES-256-GCM under a key that lies beside the database, not in it.
//!
//! What is sealed is bound to the id of its row, so that a password moved to another row does not
//! open. A text begins with a version octet, then a nonce of its own.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use model::id::PublicId;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::home::Home;
use crate::settings::Secrets;

/// The file of the data folder, unless the settings name another.
const KEY: &str = "secret-key";
const VERSION: u8 = 1;

/// Seals and opens. A clone has the same key.
#[derive(Clone)]
pub struct Vault(Arc<LessSafeKey>);

impl Vault {
    pub fn new(key: &[u8; 32]) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key);
        let key = key.map_err(|_| anyhow::anyhow!("a key of 32 octets is refused"))?;
        Ok(Self(Arc::new(LessSafeKey::new(key))))
    }

    /// Under the key of the settings, or that of the data folder, which is made once.
    pub(crate) fn open_with(secrets: &Secrets, home: &Home) -> Result<Self> {
        match &secrets.key_file {
            None => Self::new(&home.secret(KEY)?),
            Some(path) => Self::new(&read_key(Path::new(path))?),
        }
    }

    /// Fails on a text that no memory holds.
    pub(crate) fn seal(&self, id: PublicId, text: &str) -> Result<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut body = text.as_bytes().to_vec();
        let aad = Aad::from(id.as_bytes());
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body)
            .map_err(|_| anyhow::anyhow!("a password cannot be sealed"))?;
        Ok([&[VERSION][..], &nonce, &body].concat())
    }

    /// `None`: it was sealed under another key or for another row, or changed since.
    pub(crate) fn open(&self, id: PublicId, sealed: &[u8]) -> Option<String> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>()?;
        if *version != VERSION {
            return None;
        }
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let text = self.0.open_in_place(nonce, Aad::from(id.as_bytes()), &mut body).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

/// 32 octets, or 64 hexadecimal digits and what stands around them.
fn read_key(path: &Path) -> Result<[u8; 32]> {
    let octets =
        std::fs::read(path).with_context(|| format!("secrets.key_file {}", path.display()))?;
    if let Ok(key) = <[u8; 32]>::try_from(octets.as_slice()) {
        return Ok(key);
    }
    let text = String::from_utf8_lossy(&octets);
    let digits = text.trim();
    let mut key = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        bail!(
            "secrets.key_file {}: it must hold 32 octets or 64 hexadecimal digits",
            path.display()
        );
    }
    for (at, octet) in key.iter_mut().enumerate() {
        *octet = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16)?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use model::clock::At;

    use super::*;

    #[test]
    fn what_is_sealed_opens_under_its_key_and_for_its_row_alone() {
        let vault = Vault::new(&[7; 32]).unwrap();
        let (id, other) = (PublicId::new(At::now()), PublicId::new(At::now()));
        let sealed = vault.seal(id, "hunter2").unwrap();
        assert_eq!(vault.open(id, &sealed).as_deref(), Some("hunter2"));
        assert_eq!(vault.open(other, &sealed), None);
        assert_eq!(Vault::new(&[8; 32]).unwrap().open(id, &sealed), None);
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        assert_ne!(vault.seal(id, "hunter2").unwrap(), sealed, "a nonce is used once");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(vault.open(id, &changed), None, "{at}");
            assert_eq!(vault.open(id, &sealed[..at]), None, "{at}");
        }
    }

    #[test]
    fn a_key_is_read_from_octets_or_digits_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("orbit-vault-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("key");
        for (content, fits) in [
            (vec![5; 32], true),
            ("05".repeat(32).into_bytes(), true),
            (format!(" {}\n", "05".repeat(32)).into_bytes(), true),
            (vec![5; 31], false),
            (b"zz".repeat(32), false),
            (Vec::new(), false),
        ] {
            std::fs::write(&path, content).unwrap();
            let read = read_key(&path);
            assert_eq!(read.is_ok(), fits);
            assert!(read.is_err() || read.unwrap() == [5; 32]);
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(read_key(&path).unwrap_err().to_string().contains("secrets.key_file"));
    }
}

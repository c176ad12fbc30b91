//! What the answer to a REGISTER says of a binding, RFC 3261 §10.3 step 8.

use super::Binding;

impl Binding {
    /// A value of Contact: the URI as it came, and how long it is still good.
    pub fn contact_value(&self, now_s: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.contact.len() + self.instance.len() + 64);
        out.push(b'<');
        out.extend_from_slice(&self.contact);
        out.push(b'>');
        if self.q < 1_000 {
            out.extend_from_slice(format!(";q=0.{:03}", self.q).as_bytes());
        }
        if !self.instance.is_empty() {
            out.extend_from_slice(b";+sip.instance=");
            let mut text = Vec::with_capacity(self.instance.len() + 2);
            text.push(b'<');
            text.extend_from_slice(&self.instance);
            text.push(b'>');
            crate::grammar::write_quoted(&text, &mut out);
        }
        if self.reg_id > 0 {
            out.extend_from_slice(format!(";reg-id={}", self.reg_id).as_bytes());
        }
        let left_s = self.expires_at_s.saturating_sub(now_s);
        out.extend_from_slice(format!(";expires={left_s}").as_bytes());
        out
    }
}

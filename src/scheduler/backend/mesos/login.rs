//! The credentials for HTTP Basic authentication. The secret is never logged.

use std::fmt;

/// A principal and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    principal: String,
    header: String,
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Login {
    /// Encodes the credentials.
    pub fn new(principal: &str, secret: &str) -> Self {
        let encoded = base64(format!("{principal}:{secret}").as_bytes());
        Self {
            principal: principal.to_owned(),
            header: format!("Basic {encoded}"),
        }
    }

    /// The value of the `Authorization` header.
    pub fn header(&self) -> &str {
        &self.header
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({:?})", self.principal)
    }
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut padded = [0; 3];
        padded[..group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for index in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * index)) as usize & 63];
            text.push(if index <= group.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_encoded_and_the_secret_is_not_logged() {
        let login = Login::new("Aladdin", "open sesame");
        assert_eq!(login.header(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(format!("{login:?}"), "Login(\"Aladdin\")");
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"a"), "YQ==");
        assert_eq!(base64(b"ab\xff"), "YWL/");
    }
}

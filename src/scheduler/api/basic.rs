//! HTTP Basic authentication (RFC 7617) with the users and passwords of the configuration.

use crate::codec::config::Login;
use crate::core::words::UserName;

/// The user who has these credentials; `authorization` is the value of the header field.
///
/// The time that this takes reveals nothing about passwords: every login is compared completely.
pub fn user<'a>(logins: &'a [Login], authorization: &str) -> Option<&'a UserName> {
    let (scheme, credentials) = authorization.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = decode(credentials.trim())?;
    let colon = credentials.iter().position(|byte| *byte == b':')?;
    let (name, password) = (&credentials[..colon], &credentials[colon + 1..]);
    let mut found = None;
    for login in logins {
        let is_name = same(login.user.as_str().as_bytes(), name);
        let is_password = same(login.password.as_bytes(), password);
        if is_name & is_password {
            found = Some(&login.user);
        }
    }
    found
}

/// Compares in a time that depends only on the lengths.
fn same(wanted: &[u8], given: &[u8]) -> bool {
    let mut differences = wanted.len() ^ given.len();
    for (index, byte) in given.iter().enumerate() {
        let other = wanted.get(index).copied().unwrap_or_default();
        differences |= usize::from(byte ^ other);
    }
    std::hint::black_box(differences) == 0
}

/// Decodes base64 with or without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    // Six remaining bits would be an incomplete byte.
    (held < 6).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins() -> Vec<Login> {
        let login = |user: &str, password: &str| Login {
            user: UserName::new(user).expect("valid"),
            password: password.to_owned(),
        };
        vec![login("bob", "secret"), login("eve", "a:b ü")]
    }

    #[test]
    fn a_login_needs_the_right_user_and_password() {
        let logins = logins();
        let user = |text| user(&logins, text).map(UserName::as_str);
        // bob:secret, eve:a:b ü
        assert_eq!(user("Basic Ym9iOnNlY3JldA=="), Some("bob"));
        assert_eq!(user("basic  Ym9iOnNlY3JldA"), Some("bob"));
        assert_eq!(user("Basic ZXZlOmE6YiDDvA=="), Some("eve"));
        for wrong in [
            "",
            "Basic",
            "Basic ",
            "Bearer Ym9iOnNlY3JldA==",
            "Basic Ym9i",             // bob
            "Basic Ym9iOg==",         // bob:
            "Basic Ym9iOnNlY3JldDE=", // bob:secret1
            "Basic Ym9iOnNlY3Jl",     // bob:secre
            "Basic ZXZlOnNlY3JldA==", // eve:secret
            "Basic Ym9iOnNlY3JldA==!",
            "Basic Y",
        ] {
            assert_eq!(user(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn base64_is_decoded() {
        for (text, wanted) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8", b"fo"),
            ("Zm9v", b"foo"),
            ("+/+/", b"\xfb\xff\xbf"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(wanted));
        }
    }
}

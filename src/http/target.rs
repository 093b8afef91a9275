//! Path and query of a request's target, and the parts of a URL.
//!
//! This is own code because a URL library costs 27 kB for features of host names that are not needed here.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The path of a request's target, with `.` and `..` resolved (RFC 3986, 5.2.4), and its query; both still
/// percent-encoded. `None` if the target is neither a path nor an http URL.
pub(super) fn path_and_query(target: &str) -> Option<(String, Option<String>)> {
    let target = match without_scheme(target) {
        // The host of the URL does not matter: the request has arrived here.
        Some(rest) => match rest.find(['/', '?', '#']) {
            Some(at) => &rest[at..],
            None => "/",
        },
        None => target,
    };
    if !target.starts_with('/') {
        return None;
    }
    let target = without_fragment(target);
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    Some((resolve(path), query))
}

/// The authority of an http URL, and the target for a request: path and query, with invalid characters
/// percent-encoded. `None` if the text is not such a URL.
pub(super) fn authority_and_target(url: &str) -> Option<(&str, String)> {
    let rest = without_fragment(without_scheme(url)?);
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let is_authority = |byte: u8| byte.is_ascii_graphic() && byte != b'@';
    if authority.is_empty() || !authority.bytes().all(is_authority) {
        return None;
    }
    let mut encoded = String::with_capacity(target.len() + 1);
    if !target.starts_with('/') {
        encoded.push('/');
    }
    for byte in target.bytes() {
        match byte.is_ascii_graphic() {
            true => encoded.push(char::from(byte)),
            // Writing to a string cannot fail.
            false => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    Some((authority, encoded))
}

fn without_scheme(text: &str) -> Option<&str> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let (begin, rest) = text.split_at_checked(scheme.len())?;
        begin.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

fn without_fragment(text: &str) -> &str {
    text.split_once('#').map_or(text, |(before, _)| before)
}

/// Resolves `.` and `..`. `path` begins with a slash, and so does the result. A percent-encoded dot counts
/// as a dot, as in browsers.
fn resolve(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in path.split('/').skip(1) {
        let dots = match segment.contains('%') {
            true => Cow::Owned(segment.replace("%2e", ".").replace("%2E", ".")),
            false => Cow::Borrowed(segment),
        };
        ends_in_folder = matches!(&*dots, "." | "..");
        match &*dots {
            "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    if ends_in_folder || segments.is_empty() {
        segments.push("");
    }
    segments
        .iter()
        .fold(String::with_capacity(path.len()), |whole, segment| {
            whole + "/" + segment
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved_and_never_go_above_the_root() {
        for (path, wanted) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("//a//", "//a//"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/../..", "/"),
            ("/../../a", "/a"),
            ("/a/b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e", "/"),
            ("/a/...", "/a/..."),
            ("/a%2F..", "/a%2F.."),
        ] {
            assert_eq!(
                path_and_query(path),
                Some((wanted.to_owned(), None)),
                "{path}"
            );
        }
    }

    #[test]
    fn a_url_has_an_authority_and_a_target() {
        for (url, authority, target) in [
            ("http://127.0.0.1:5051/a/b?c", "127.0.0.1:5051", "/a/b?c"),
            ("http://[::1]:80", "[::1]:80", "/"),
            ("HTTP://a?b#c", "a", "/?b"),
            (
                "http://a/b c\u{e4}\r\nX: y",
                "a",
                "/b%20c%C3%A4%0D%0AX:%20y",
            ),
        ] {
            assert_eq!(
                authority_and_target(url),
                Some((authority, target.to_owned())),
                "{url}"
            );
        }
        for none in [
            "",
            "nonsense",
            "/a",
            "http://",
            "http:///a",
            "ftp://a",
            "http://a b/c",
            "http://u@a/",
            "http://a\r\n/",
        ] {
            assert_eq!(authority_and_target(none), None, "{none:?}");
        }
    }
}

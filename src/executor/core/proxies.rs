//! Proxies. The task API is on this host, so clients that use a proxy must bypass it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::core::environment::{Environment, Name, Value};
use crate::core::variables::{self, Class};

/// The usual name of this host.
const LOCALHOST: &[u8] = b"localhost";

/// If a proxy variable is set, adds the address of the task API and `localhost` to `no_proxy` and
/// `NO_PROXY`. Entries of both variables are kept, because clients differ in which one they read.
pub fn bypass(environment: &mut Environment) {
    let is_set = |name| environment.get(name).is_some_and(|value| !value.is_empty());
    if !variables::names(Class::Proxy).any(is_set) {
        return;
    }
    let endpoint = environment.get(variables::ENDPOINT).map(OsStr::as_bytes);
    let Some(host) = endpoint.and_then(host) else {
        return;
    };
    let own = [host.to_vec(), LOCALHOST.to_vec()];
    let given = [variables::NO_PROXY, variables::UPPER_NO_PROXY].map(|name| {
        let value = environment.get(name).filter(|value| !value.is_empty());
        value.map(|value| value.as_bytes().to_vec())
    });
    let [lower, upper] = &given;
    for (name, list) in [
        (variables::NO_PROXY, lower.as_ref().or(upper.as_ref())),
        (variables::UPPER_NO_PROXY, upper.as_ref().or(lower.as_ref())),
    ] {
        let list = with(list.cloned().unwrap_or_default(), &own);
        if let (Ok(name), Ok(value)) = (Name::new(name), Value::new(list)) {
            environment.set(name, value);
        }
    }
}

/// A list with these hosts added. A single asterisk means all hosts, but only without other entries and blanks.
fn with(mut list: Vec<u8>, hosts: &[Vec<u8>]) -> Vec<u8> {
    if list == b"*" {
        return list;
    }
    for host in hosts {
        let mut entries = list.split(|byte| *byte == b',' || byte.is_ascii_whitespace());
        if entries.any(|entry| entry == host) {
            continue;
        }
        if !list.is_empty() && !list.ends_with(b",") {
            list.push(b',');
        }
        list.extend_from_slice(host);
    }
    list
}

/// The host of a URL such as `http://127.0.0.1:31005/task/some-id`.
fn host(url: &[u8]) -> Option<&[u8]> {
    let rest = url.strip_prefix(b"http://")?;
    rest.split(|byte| matches!(byte, b':' | b'/')).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both variables after [`bypass`] with these variables.
    fn bypassed(variables: &[(&str, &str)]) -> [Option<String>; 2] {
        let endpoint = [("EXECUTOR_ENDPOINT", "http://127.12.0.1:31005/task/t")];
        let all = endpoint.iter().chain(variables);
        let mut environment =
            Environment::inherited(all.map(|(name, value)| (name.into(), value.into())));
        bypass(&mut environment);
        ["no_proxy", "NO_PROXY"].map(|name| {
            let value = environment.get(name);
            value.map(|value| value.to_string_lossy().into_owned())
        })
    }

    #[test]
    fn with_a_proxy_the_api_is_added_and_existing_entries_are_kept() {
        const OWN: &str = "127.12.0.1,localhost";
        for (variables, wanted) in [
            (&[][..], [None, None]),
            (&[("http_proxy", "")], [None, None]),
            (&[("no_proxy", "a")], [Some("a"), None]),
            (&[("http_proxy", "p")], [Some(OWN), Some(OWN)]),
            (&[("ALL_PROXY", "p")], [Some(OWN), Some(OWN)]),
            (&[("https_proxy", "p")], [Some(OWN), Some(OWN)]),
            (
                &[("HTTP_PROXY", "p"), ("NO_PROXY", "a, b")],
                [
                    Some("a, b,127.12.0.1,localhost"),
                    Some("a, b,127.12.0.1,localhost"),
                ],
            ),
            (
                &[
                    ("http_proxy", "p"),
                    ("no_proxy", ".a,"),
                    ("NO_PROXY", "localhost b"),
                ],
                [
                    Some(".a,127.12.0.1,localhost"),
                    Some("localhost b,127.12.0.1"),
                ],
            ),
            (
                &[("http_proxy", "p"), ("no_proxy", ""), ("NO_PROXY", "b")],
                [
                    Some("b,127.12.0.1,localhost"),
                    Some("b,127.12.0.1,localhost"),
                ],
            ),
            (
                &[("http_proxy", "p"), ("no_proxy", "*")],
                [Some("*"), Some("*")],
            ),
            (
                // curl compares the whole text with an asterisk.
                &[("http_proxy", "p"), ("no_proxy", " * ")],
                [
                    Some(" * ,127.12.0.1,localhost"),
                    Some(" * ,127.12.0.1,localhost"),
                ],
            ),
            (
                &[("http_proxy", "p"), ("no_proxy", "127.12.0.1,localhost")],
                [Some(OWN), Some(OWN)],
            ),
        ] {
            assert_eq!(
                bypassed(variables),
                wanted.map(|text| text.map(str::to_owned)),
                "{variables:?}"
            );
        }
    }

    #[test]
    fn without_a_task_api_nothing_is_added() {
        let variables = [("http_proxy".into(), "p".into())];
        let mut environment = Environment::inherited(variables);
        bypass(&mut environment);
        assert_eq!(environment.iter().count(), 1);
    }
}
